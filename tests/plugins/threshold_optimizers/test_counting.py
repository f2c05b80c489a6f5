"""The counts of a whole grid are those of `label`, one combination after another."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.data.gaps import find_holes
from simengine.data.labels import forward_log_return
from simengine.data.volatility import ewm_volatility
from simengine.plugin.testing.samples import make_bars
from simengine.types import Bars
from simengine_plugins.threshold_optimizers.counting import combinations, count_labels
from simengine_plugins.threshold_optimizers.kernel import tally


def by_label(task, axes):
    """Counts from the labelers themselves."""
    counts = []
    for changed in combinations(axes):
        labeler = task.create(changed).fit(task.bars, task.train_end)
        found = np.zeros(3, np.int64)
        for item in task.bars.values():
            labels = labeler.label(item)
            whole = find_holes(item.timestamp, task.max_gap_ns).same_side(labeler.horizon_bars)
            found += np.bincount(labels[(labels >= 0) & whole], minlength=3)
        counts.append(found)
    return np.array(counts)


def grid(task, axes):
    size = len(list(combinations(axes)))
    done = []
    found = count_labels(task, axes, range(size), done.append)
    assert sum(done) == size
    return found


def test_counts_by_hand(make_task):
    close = 100 * np.exp(np.array([0.0, 0.02, 0.01, 0.01, -0.02, 0.0]))
    item = Bars("X", np.arange(6) * 10**9, close, close, close, close, np.ones(6))
    task = make_task({"X": item}, adaptive=False, horizon_bars=1)
    # Moves: +.02, -.01, 0, -.03, +.02.
    found = grid(task, {"price_change": [0.005, 0.015, 0.025, 0.5]})
    assert found.tolist() == [[2, 1, 2], [1, 2, 2], [1, 4, 0], [0, 5, 0]]


def test_the_histogram_by_hand():
    forward = np.array([0.5, -0.5, 2.0, np.nan, 0.0, -3.0, 1.0])
    volatility = np.array([1.0, 1.0, 1.0, 1.0, 1.0, np.nan, 0.0])
    out = np.zeros((2, 3, 3), np.int64)
    tally()(forward, volatility, 1.0, np.array([0.25, 0.5]), np.array([0.5, 1.0]), out)
    # A tie (0.5 against 0.5) does not exceed; without volatility every multiplier is exceeded.
    expected = np.zeros((2, 3, 3), np.int64)
    expected[1, 1, 0] = expected[0, 1, 0] = 1
    expected[1, 2, 2] = 1
    expected[0, 0, 0] = 1
    expected[1, 2, 1] = 1
    assert out.tolist() == expected.tolist()


@pytest.mark.parametrize("entry", ["close", "next_open"])
@pytest.mark.parametrize("max_gap_ns", [None, 600 * 10**9])
def test_adaptive_grid(make_task, bars, entry, max_gap_ns):
    task = make_task(bars, entry=entry, max_gap_ns=max_gap_ns)
    axes = {
        "horizon_bars": [3, 12, 2000],
        "adaptive_max": [0.02, 0.004],
        "multiplier": [1.5, 0.2, 0.6],
        "adaptive_min": [0.001, 0.004],
    }
    np.testing.assert_array_equal(grid(task, axes), by_label(task, axes))


@pytest.mark.parametrize("max_gap_ns", [None, 600 * 10**9])
def test_constant_and_quantile_grids(make_task, bars, max_gap_ns):
    task = make_task(bars, adaptive=False, max_gap_ns=max_gap_ns)
    axes = {"price_change": [0.01, 0.001, 0.003], "horizon_bars": [1, 8]}
    np.testing.assert_array_equal(grid(task, axes), by_label(task, axes))
    task = make_task(bars, "volatility_quantile", max_gap_ns=max_gap_ns)
    axes = {"buy": [0.4, 0.1], "horizon_bars": [1, 8], "sell": [0.2, 0.3, 0.59]}
    np.testing.assert_array_equal(grid(task, axes), by_label(task, axes))


@pytest.mark.parametrize(
    ("labeler", "axes"),
    [
        ("triple_barrier", {"upper": [0.5, 1.0], "horizon_bars": [4, 8]}),
        ("adaptive_threshold", {"entry": ["close", "next_open"], "multiplier": [0.5, 1.0]}),
        ("adaptive_threshold", {"adaptive": [True, False]}),
    ],
)
def test_what_has_no_kernel_is_labelled_one_by_one(make_task, bars, labeler, axes):
    task = make_task(bars, labeler, max_gap_ns=600 * 10**9)
    np.testing.assert_array_equal(grid(task, axes), by_label(task, axes))


def test_only_what_is_wanted_is_counted(make_task, bars):
    task = make_task(bars)
    axes = {"multiplier": [0.2, 0.6, 1.5], "horizon_bars": [3, 12]}
    done = []
    found = count_labels(task, axes, [4, 1], done.append)
    assert sum(done) == 2
    np.testing.assert_array_equal(found, by_label(task, axes)[[4, 1]])


@given(data=st.data(), seed=st.integers(0, 10**6), n=st.integers(1, 260), horizon=st.integers(1, 60))
@settings(max_examples=40)
def test_random_grids_with_ties_holes_and_still_prices(make_task, data, seed, n, horizon):
    rng = np.random.default_rng(seed)
    item = make_bars(n, seed)
    times = item.timestamp + np.cumsum(rng.random(n) < 0.02) * 7200 * 10**9
    # Prices on a coarse grid, so that moves repeat and stand still.
    close = np.round(item.close, int(rng.integers(0, 3)))
    item = replace(item, timestamp=times, close=close, open=close, high=close, low=close)
    task = make_task({"TEST": item}, max_gap_ns=data.draw(st.sampled_from([None, 600 * 10**9])))
    sizes = np.abs(forward_log_return(item, horizon))
    scale = ewm_volatility(close) * np.sqrt(horizon)
    moves = sizes[(sizes > 0) & (scale > 0)]
    steps = (sizes / scale)[(sizes > 0) & (scale > 0)]
    ties = [*rng.permutation(moves)[:3], 0.001, 0.02]
    axes = {
        "multiplier": sorted({*rng.permutation(steps)[:3].tolist(), 0.5, 1.0}),
        "adaptive_min": data.draw(st.lists(st.sampled_from(ties), min_size=1, max_size=3, unique=True)),
        "adaptive_max": [*(2 * np.array(ties)).tolist(), 0.05],
        "horizon_bars": sorted({horizon, 1, 7}),
    }
    axes = {
        name: [float(v) if name != "horizon_bars" else v for v in values] for name, values in axes.items()
    }
    wanted = [row for row, c in enumerate(combinations(axes)) if c["adaptive_min"] <= c["adaptive_max"]]
    chosen = rng.permutation(wanted)[:15].tolist()
    found = count_labels(task, axes, chosen, lambda done: None)
    every = list(combinations(axes))
    for row, counts in zip(chosen, found, strict=True):
        one = {name: [value] for name, value in every[row].items()}
        np.testing.assert_array_equal(counts, by_label(task, one)[0])
