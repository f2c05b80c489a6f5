import json

import numpy as np
import pytest

from simengine.backtest.engine import backtest
from simengine.errors import DataError
from simengine.evaluate.baselines import (
    RESULT_STATISTICS,
    RandomShifts,
    backtest_metrics,
    baseline_metrics,
    hold_targets,
    random_shift_percentile,
    reversal_score,
)
from simengine.evaluate.significance import newey_west_t
from simengine.types import Bars

NAN = np.nan


def frictionless(returns):
    """A simulation as a sum: each target earns the next return of its symbol."""

    def run(targets):
        return float(np.mean([(hold_targets(targets[s]) * r).sum() for s, r in returns.items()]))

    return run


def test_hold_targets_fills_forward_and_starts_flat():
    np.testing.assert_array_equal(
        hold_targets(np.array([NAN, NAN, 1, NAN, -0.5, NAN])), [0, 0, 1, 1, -0.5, -0.5]
    )
    np.testing.assert_array_equal(hold_targets(np.array([NAN, NAN])), [0, 0])


@pytest.fixture
def returns():
    rng = np.random.default_rng(0)
    return {"A": rng.normal(size=500), "B": rng.normal(size=400)}


def test_foresight_beats_every_shift_and_its_opposite_none(returns):
    best = {s: np.sign(r) for s, r in returns.items()}
    found = random_shift_percentile(frictionless(returns), best, n=50, seed=1)
    assert found.percentile == 1.0
    assert found.mean < found.quantiles["q95"] < found.net_return
    worst = {s: -t for s, t in best.items()}
    assert random_shift_percentile(frictionless(returns), worst, n=50, seed=1).percentile == 0.0


def test_always_long_is_no_timing(returns):
    found = random_shift_percentile(
        frictionless(returns), {s: np.ones(len(r)) for s, r in returns.items()}, n=20
    )
    assert found.percentile == 0.5
    assert found.mean == pytest.approx(found.net_return)


def test_targets_without_foresight_are_uniform_among_their_shifts(returns):
    rng = np.random.default_rng(9)
    found = [
        random_shift_percentile(
            frictionless(returns),
            {s: rng.choice([-1.0, NAN, 1.0], len(r)) for s, r in returns.items()},
            n=40,
            seed=k,
        ).percentile
        for k in range(100)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)
    assert np.std(found) == pytest.approx(np.sqrt(1 / 12), abs=0.06)


def test_every_shift_keeps_each_symbols_own_targets():
    targets = {"A": np.array([1.0, NAN, 0.0, -1.0]), "B": np.arange(5.0)}
    seen = []

    def run(moved):
        seen.append({s: x.copy() for s, x in moved.items()})
        return 0.0

    found = random_shift_percentile(run, targets, n=30, seed=3)
    own, shifted = seen[0], seen[1:]
    np.testing.assert_array_equal(own["A"], targets["A"])
    held = {s: hold_targets(x) for s, x in targets.items()}
    rolls = {s: [tuple(np.roll(x, k)) for k in range(1, len(x))] for s, x in held.items()}
    assert all(tuple(hold_targets(moved[s])) in rolls[s] for moved in shifted for s in moved)
    assert any(np.isnan(moved["A"]).any() for moved in shifted)
    # Symbols move independently; held, because NaN differs from itself and would make every shift another.
    assert len({(*hold_targets(moved["A"]), *moved["B"]) for moved in shifted}) > 6
    assert np.isnan(targets["A"][1])
    again = random_shift_percentile(run, targets, n=30, seed=3)
    assert again == found


def test_shift_errors(returns):
    with pytest.raises(
        DataError, match=r"^random shifts: expected symbols and n >= 1, received 0 and n=200$"
    ):
        random_shift_percentile(lambda t: 0.0, {})
    with pytest.raises(DataError, match=r"^random shifts: A has 1 traded bars; at least 2 are needed$"):
        random_shift_percentile(lambda t: 0.0, {"A": np.zeros(1)})
    with pytest.raises(DataError, match=r"^random shifts: the simulation returned NaN as net return$"):
        random_shift_percentile(lambda t: NAN, {"A": np.zeros(5)})


def test_reversal_score_by_hand():
    close = np.array([1.0, 2.0, 4.0, 2.0])
    np.testing.assert_allclose(reversal_score(close, bars=2), [NAN, NAN, -np.log(4), 0])


@pytest.fixture
def results():
    rng = np.random.default_rng(2)
    n = 600
    close = 100 * np.exp(np.cumsum(rng.normal(scale=0.01, size=n)))
    opening = np.concatenate([[100.0], close[:-1]])
    bars = Bars(
        symbol="X",
        timestamp=np.arange(n, dtype=np.int64) * 3_600_000_000_000,
        open=opening,
        high=np.maximum(opening, close),
        low=np.minimum(opening, close),
        close=close,
        volume=np.full(n, 1e6),
    )
    targets = rng.choice([-1.0, 1.0, NAN], size=n)
    net = backtest(bars, targets=targets, fee_bps=10, slippage_bps=5)
    return net, backtest(bars, targets=targets), backtest(bars, targets=np.ones(n), fee_bps=10)


def test_backtest_metrics_gathers_the_figures_of_three_simulations(results):
    net, gross, held = results
    shifts = RandomShifts(percentile=0.4, net_return=0.0, mean=0.0, quantiles={}, n=200)
    found = backtest_metrics(net, gross, held, shifts=shifts, horizon_bars=12, seed=7)
    assert set(found) == set(RESULT_STATISTICS) | {
        "gross_return", "gross_t", "net_return_interval", "buy_and_hold_return", "random_percentile",
        "fill_convention", "sensitivity",
    }  # fmt: skip
    assert found["net_return"] == net.stats["net_return"] < found["gross_return"] == gross.stats["net_return"]
    assert found["gross_t"] == pytest.approx(newey_west_t(gross.equity[1:] / gross.equity[:-1] - 1, 48))
    assert found["net_return_interval"][0] < found["net_return"] < found["net_return_interval"][1]
    assert found["buy_and_hold_return"] == held.stats["net_return"]
    assert found["random_percentile"] == 0.4
    assert found["fill_convention"] == "open_first"
    assert list(found["sensitivity"]) == ["open_first", "stop_first_drop", "open_first_skip_entry"]
    assert found["sensitivity"]["open_first"] == found["net_return"]
    json.dumps(found)


def test_baseline_metrics_are_those_of_the_simulation(results):
    found = baseline_metrics(results[2])
    assert found["net_return"] == results[2].stats["net_return"]
    assert {"sharpe", "max_drawdown", "trades"} <= set(found)


def test_shifts_as_plain_numbers():
    shifts = RandomShifts(percentile=0.4, net_return=0.1, mean=0.2, quantiles={"q50": 0.3}, n=5)
    assert shifts.to_dict() == {"percentile": 0.4, "net_return": 0.1, "mean": 0.2, "q50": 0.3, "n": 5}
