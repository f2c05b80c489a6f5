"""The search before a run: on train alone, with its horizon in the purge, kept beside the labeler's state."""

import json
from dataclasses import replace

import numpy as np
import pytest

from simengine import Component, hookimpl
from simengine.config.schema import Config
from simengine.data.label_search import LabelSearchResult
from simengine.data.split import purge_bars, split_times
from simengine.errors import RunError
from simengine.log import NoProgress
from simengine.plugin.manager import build_registry
from simengine.plugin.state import read_state
from simengine.plugin.testing.samples import changed_after, make_bars
from simengine.steps import thresholds
from simengine.steps.prepare import keep, prepare


class Recorder:
    """A search that keeps what it was given and takes the horizon it is told."""

    tasks = ()

    def __init__(self, *, horizon: int = 9) -> None:
        self.horizon = horizon

    def search(self, task):
        type(self).tasks = (*self.tasks, task)
        best = {"horizon_bars": self.horizon}
        return LabelSearchResult(
            best,
            {"horizon_bars": [self.horizon], "objective": [1.0]},
            1.0,
            np.array([0.25, 0.25, 0.5]),
            ("a remark",),
        )


class Plugin:
    @hookimpl
    def simengine_register_threshold_optimizers(self):
        return [Component("recorder", Recorder)]


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(Recorder, "tasks", ())
    return build_registry(objects=[Plugin()], discover=False)


@pytest.fixture
def bars():
    late = make_bars(900, 1, "LATE")
    late = replace(late, timestamp=late.timestamp + 800 * (late.timestamp[1] - late.timestamp[0]))
    return {"A": make_bars(900, 1, "A"), "B": make_bars(500, 1, "B"), "LATE": late}


@pytest.fixture
def config():
    """Return a function of the optimizer."""

    def make(optimizer, **sections):
        labels = {"labeler": {"type": "adaptive_threshold", "multiplier": 0.5}, "optimizer": optimizer}
        return Config.model_validate({"labels": labels, "window": {"length": 20}, "seed": 11, **sections})

    return make


def times_of(config, bars):
    return split_times(bars, config.split.train, config.split.val, config.split.test)


def test_the_optimizer_is_given_the_bars_of_train_alone(config, registry, bars):
    given = config("recorder", data={"max_gap": "1h"})
    times = times_of(given, bars)
    labeler, result = thresholds.optimise_labels(given, registry, bars, times, NoProgress())
    (task,) = Recorder.tasks
    assert all((item.timestamp < times.train_end).all() for item in task.bars.values())
    cut = np.searchsorted(bars["A"].timestamp, times.train_end)
    np.testing.assert_array_equal(task.bars["A"].close, bars["A"].close[:cut])
    assert (task.labeler, task.options["multiplier"]) == ("adaptive_threshold", 0.5)
    assert task.options["adaptive_max"] == 0.03
    assert (task.train_end, task.window, task.seed) == (times.train_end, 20, 11)
    assert task.max_gap_ns == 3600 * 10**9
    assert task.create({"multiplier": 0.7}).multiplier == 0.7
    assert (labeler.horizon_bars, labeler.multiplier) == (9, 0.5)
    assert result.best == {"horizon_bars": 9}


def test_symbols_that_begin_after_train_are_left_out(config, registry, bars):
    given = config("recorder", split={"train": 0.4, "val": 0.3, "test": 0.3})
    thresholds.optimise_labels(given, registry, bars, times_of(given, bars), NoProgress())
    assert set(Recorder.tasks[0].bars) == {"A", "B"}


@pytest.mark.parametrize(
    "optimizer",
    [
        "grid",
        {"type": "bayesian", "n_trials": 15},
        {"type": "grid", "skill_weight": 5.0, "pnl_weight": 0.1, "finalists": 4},
        {"type": "bayesian", "n_trials": 4, "skill_weight": 5.0, "pnl_weight": 0.1},
    ],
)
def test_bars_from_the_end_of_train_on_never_change_the_result(config, registry, bars, optimizer):
    """Scaled, spiked, or replaced by others: the result keeps its bytes."""
    given = config(optimizer)
    times = times_of(given, bars)

    def found(changed):
        result = thresholds.optimise_labels(given, registry, changed, times, NoProgress())[1]
        return json.dumps(thresholds.search_dict(given, registry, result))

    expected = found(bars)
    cuts = {name: int(np.searchsorted(item.timestamp, times.train_end)) - 1 for name, item in bars.items()}
    for how in ("scale", "spike"):
        later = {
            name: changed_after(item, cuts[name], how) if 0 <= cuts[name] < len(item) - 1 else item
            for name, item in bars.items()
        }
        assert found(later) == expected
    # The test can fail: the last bar of train counts.
    earlier = {**bars, "A": changed_after(bars["A"], cuts["A"] - 40, "scale")}
    assert found(earlier) != expected


def test_the_purge_counts_the_horizon_that_was_found(config, registry, make_config, parts):
    labels = {"labeler": {"type": "adaptive_threshold", "adaptive": False, "price_change": 0.005}}
    given = make_config(labels={**labels, "optimizer": {"type": "recorder", "horizon": 5}})
    bars = parts.source.load()
    chosen, search = thresholds.with_best_labels(given, parts, registry, bars, progress=NoProgress())
    prepared = prepare(given, chosen, bars)
    assert prepared.horizon_bars == 5
    first_val = int(np.searchsorted(bars["A"].timestamp, prepared.times.train_end))
    assert prepared.dataset.segments[0].train[1] == first_val - purge_bars(5, 5)
    assert search["configured"] == {"horizon_bars": 12}
    assert search["notes"] == ["a remark"]


def test_without_an_optimizer_nothing_is_done(make_config, parts, registry, run_dir):
    config = make_config()
    found, search = thresholds.with_best_labels(
        config, parts, registry, parts.source.load(), progress=NoProgress()
    )
    assert found is parts
    assert search is None
    assert thresholds.with_kept_labels(config, parts, registry, run_dir) is parts


def test_what_was_found_is_kept_and_taken_again_without_a_search(make_config, parts, registry, run_dir):
    labels = {"labeler": {"type": "volatility_quantile", "horizon_bars": 4}}
    config = make_config(labels={**labels, "optimizer": {"type": "recorder", "horizon": 2}})
    bars = {name: make_bars(300, seed, name) for name, seed in (("A", 1), ("B", 2))}
    chosen, search = thresholds.with_best_labels(config, parts, registry, bars, progress=NoProgress())
    prepared = prepare(config, chosen, bars)
    keep(prepared, chosen, run_dir, search)
    document = json.loads((run_dir / "thresholds.json").read_text())
    assert set(document) == {"format", "state", "search"}
    assert document["search"]["best"] == {"horizon_bars": 2}
    assert document["search"]["shares"] == {"sell": 0.25, "hold": 0.25, "buy": 0.5}
    assert document["search"]["optimizer"] == {"type": "recorder", "horizon": 2}
    assert set(read_state(run_dir / "thresholds.json")) == {"lower_", "upper_"}
    assert len(Recorder.tasks) == 1
    again = thresholds.with_kept_labels(config, parts, registry, run_dir)
    assert (again.labeler.horizon_bars, again.labeler.sell) == (2, 0.283)
    resumed, kept = thresholds.with_best_labels(
        config, parts, registry, bars, run_dir=run_dir, progress=NoProgress()
    )
    assert resumed.labeler.horizon_bars == 2
    assert kept == document["search"]
    assert len(Recorder.tasks) == 1


def test_a_run_that_kept_nothing_says_so(make_config, parts, registry, run_dir):
    config = make_config(labels={"labeler": "volatility_quantile", "optimizer": "recorder"})
    (run_dir / "thresholds.json").write_text('{"format": 1, "state": {}}')
    with pytest.raises(RunError) as caught:
        thresholds.with_kept_labels(config, parts, registry, run_dir)
    assert str(caught.value) == (
        f"{run_dir / 'thresholds.json'}: search: expected a dict, received nothing; "
        "restore the file or run again"
    )
    (run_dir / "thresholds.json").write_text('{"format": 1, "state": {}, "search": {}}')
    with pytest.raises(RunError, match="search has no best options; restore the file or run again"):
        thresholds.with_kept_labels(config, parts, registry, run_dir)


@pytest.mark.parametrize(
    ("backtest", "costs"),
    [
        ({}, (10.0, 5.0)),
        (
            {"fees": {"type": "proportional", "fee_bps": 1}, "slippage": {"type": "bps", "slippage_bps": 2}},
            (1, 2),
        ),
        ({"fees": None, "slippage": None}, (0, 0)),
        ({"fees": {"type": "fixed"}}, (10.0, 5.0)),
    ],
)
def test_the_optimizer_is_given_the_costs_of_the_account(config, bars, registry, backtest, costs, caplog):
    made = config({"type": "recorder"}, backtest=backtest)
    with caplog.at_level("INFO"):
        thresholds.optimise_labels(made, registry, bars, times_of(made, bars), NoProgress())
    (task,) = Recorder.tasks
    assert (task.fee_bps, task.slippage_bps) == costs
    assert ("assumes 10 bps" in caplog.text) == (backtest.get("fees") == {"type": "fixed"})
