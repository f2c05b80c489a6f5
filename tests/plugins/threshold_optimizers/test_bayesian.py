import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.errors import ConfigError, MissingExtraError
from simengine_plugins.threshold_optimizers import bayesian
from simengine_plugins.threshold_optimizers.bayesian import BayesianSearch

SPACE = {
    "multiplier": {"low": 0.1, "high": 2.0, "log": True},
    "adaptive_min": [0.0005],
    "adaptive_max": [0.03],
    "horizon_bars": {"low": 4, "high": 16},
}


def test_trials_are_the_same_for_the_same_seed_and_others_for_another(make_task, bars, optimizer):
    search = optimizer("bayesian", n_trials=25, space=SPACE)
    first, again = search.search(make_task(bars)), search.search(make_task(bars))
    assert first.table == again.table
    assert first.best == again.best
    other = search.search(make_task(bars, seed=4))
    assert other.table["multiplier"] != first.table["multiplier"]


def test_every_trial_is_in_the_table_within_its_range(make_task, bars, optimizer):
    found = optimizer("bayesian", n_trials=30, space=SPACE).search(make_task(bars))
    assert {len(column) for column in found.table.values()} == {30}
    assert all(0.1 <= value <= 2.0 for value in found.table["multiplier"])
    assert all(type(value) is int and 4 <= value <= 16 for value in found.table["horizon_bars"])
    assert set(found.table["adaptive_min"]) == {0.0005}


@settings(max_examples=10)
@given(
    seed=st.integers(0, 2**31),
    n_trials=st.integers(1, 14),
    low=st.floats(0.05, 1.0),
    width=st.floats(0, 2.0),
    log=st.booleans(),
)
def test_the_best_is_a_trial_near_the_highest_in_any_range(
    make_task, bars, optimizer, seed, n_trials, low, width, log
):
    space = {**SPACE, "multiplier": {"low": low, "high": low + width, "log": log}}
    search = optimizer("bayesian", n_trials=n_trials, space=space)
    found = search.search(make_task(bars, seed=seed))
    assert all(low <= value <= low + width for value in found.table["multiplier"])
    values = found.table["objective"]
    trials = list(zip(*(found.table[name] for name in found.best), values, strict=True))
    assert len(trials) == n_trials
    assert (*found.best.values(), found.objective) in trials
    assert found.objective >= max(values) - 0.001
    assert search.search(make_task(bars, seed=seed)).table == found.table


def test_the_counts_are_those_of_the_labels(make_task, bars, optimizer):
    task = make_task(bars)
    found = optimizer("bayesian", n_trials=12, space=SPACE).search(task)
    for row in range(12):
        options = {name: found.table[name][row] for name in found.best}
        labels = np.concatenate([task.create(options).label(item) for item in bars.values()])
        shares = np.bincount(labels[labels >= 0], minlength=3) / np.count_nonzero(labels >= 0)
        assert [found.table[f"{name}_share"][row] for name in ("sell", "hold", "buy")] == pytest.approx(
            shares
        )


def test_the_configured_options_are_the_first_trial(make_task, bars, optimizer):
    task = make_task(bars, multiplier=0.9, adaptive_min=0.0005, horizon_bars=5)
    found = optimizer("bayesian", n_trials=3, space=SPACE).search(task)
    assert {name: found.table[name][0] for name in found.best} == {
        "multiplier": 0.9,
        "adaptive_min": 0.0005,
        "adaptive_max": 0.03,
        "horizon_bars": 5,
    }
    outside = optimizer("bayesian", n_trials=3, space=SPACE).search(
        replace(task, options={**task.options, "horizon_bars": 99})
    )
    assert outside.table["horizon_bars"][0] != 99


def test_it_learns_from_its_trials(make_task, bars, optimizer):
    space = {**SPACE, "multiplier": {"low": 0.01, "high": 50.0, "log": True}, "horizon_bars": [12]}
    found = optimizer("bayesian", n_trials=60, space=space).search(make_task(bars))
    value = np.array(found.table["objective"])
    assert value[-20:].mean() > value[1:11].mean() + 0.2
    assert found.objective == pytest.approx(max(value), abs=0.001)


def test_refused_trials_stay_in_the_table_without_figures(make_task, bars, optimizer):
    space = {
        **SPACE,
        "adaptive_min": {"low": 0.001, "high": 0.05},
        "adaptive_max": {"low": 0.001, "high": 0.05},
    }
    found = optimizer("bayesian", n_trials=20, space=space).search(make_task(bars))
    refused = [
        row
        for row, (low, high) in enumerate(
            zip(found.table["adaptive_min"], found.table["adaptive_max"], strict=True)
        )
        if low > high
    ]
    assert refused
    assert all((found.table["objective"][row] is None) == (row in refused) for row in range(20))
    assert found.notes[0].startswith(f"{len(refused)} of 20 trials were refused by the labeler: ")
    assert "adaptive_min must not exceed adaptive_max" in found.notes[0]


def test_skill_and_pnl_of_every_trial(make_task, bars, optimizer):
    found = optimizer("bayesian", n_trials=4, space=SPACE, skill_weight=10.0, pnl_weight=0.5).search(
        make_task(bars)
    )
    table = found.table
    for row in range(4):
        parts = [table[name][row] for name in ("entropy", "distance", "skill", "net_return")]
        assert table["objective"][row] == pytest.approx(np.dot([1, -5, 10, 0.5], parts))


def test_choices_of_another_labeler(make_task, bars, optimizer):
    found = optimizer(
        "bayesian", n_trials=5, space={"upper": {"low": 0.5, "high": 2}, "entry": ["close", "next_open"]}
    ).search(make_task(bars, "triple_barrier"))
    assert set(found.best) == {"upper", "entry"}
    assert all(isinstance(value, float) for value in found.table["upper"])


def test_optuna_keeps_quiet_and_its_level(make_task, bars, optimizer, capfd):
    level = logging.getLogger("optuna").level
    optimizer("bayesian", n_trials=2, space=SPACE).search(make_task(bars))
    assert logging.getLogger("optuna").level == level
    assert capfd.readouterr() == ("", "")


def test_without_optuna_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(bayesian, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        BayesianSearch()
    assert (
        str(caught.value) == "labels.optimizer bayesian needs optuna: pip install 'simengine-xlstm[search]'"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_trials": 0}, "labels.optimizer.n_trials: must be >= 1, received 0"),
        (
            {"space": {"multiplier": {"low": 2, "high": 1}}},
            "labels.optimizer.space.multiplier: low must not exceed high; received 2 and 1",
        ),
    ],
)
def test_options_that_are_not_valid(optimizer, options, message):
    with pytest.raises(ConfigError) as caught:
        optimizer("bayesian", **options)
    assert str(caught.value) == message
