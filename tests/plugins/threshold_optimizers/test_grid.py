import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.errors import ConfigError
from simengine.log import NoProgress
from simengine_plugins.threshold_optimizers.counting import combinations

SPACE = {
    "multiplier": [0.2, 0.5, 1.0],
    "adaptive_min": [0.0005],
    "adaptive_max": [0.03],
    "horizon_bars": [6, 12],
}


def counted(task, options):
    labeler = task.create(options).fit(task.bars, task.train_end)
    labels = np.concatenate([labeler.label(item) for item in task.bars.values()])
    return np.bincount(labels[labels >= 0], minlength=3)


def test_the_best_of_the_table_is_the_best_there_is(make_task, bars, optimizer):
    task = make_task(bars)
    found = optimizer("grid", space=SPACE, tolerance=0).search(task)
    values = []
    for options in combinations(SPACE):
        shares = counted(task, options) / counted(task, options).sum()
        entropy = -sum(p * np.log(p) for p in shares if p > 0)
        values.append(entropy - 5 * sum((p - 1 / 3) ** 2 for p in shares))
    assert found.table["objective"] == pytest.approx(values)
    best = list(combinations(SPACE))[int(np.argmax(values))]
    assert found.best == best
    assert found.objective == pytest.approx(max(values))
    assert found.shares == pytest.approx(counted(task, best) / counted(task, best).sum())


def test_the_target_is_what_is_aimed_at(make_task, bars, optimizer):
    space = {"sell": [0.2, 0.3, 0.4], "buy": [0.2, 0.3, 0.4], "horizon_bars": [12]}
    task = make_task(bars, "volatility_quantile")
    target = {"sell": 0.2, "hold": 0.4, "buy": 0.4}
    found = optimizer("grid", space=space, target=target, entropy_weight=0).search(task)
    assert found.best == {"sell": 0.2, "buy": 0.4, "horizon_bars": 12}
    assert found.table["sell"][:4] == [0.2, 0.2, 0.2, 0.3]
    assert found.table["sell_share"][:4] == pytest.approx([0.2, 0.2, 0.2, 0.3], abs=1e-3)


@settings(max_examples=20)
@given(
    multipliers=st.lists(st.floats(0.05, 3), min_size=1, max_size=4, unique=True),
    horizons=st.lists(st.integers(2, 40), min_size=1, max_size=3, unique=True),
    tolerance=st.sampled_from([0.0, 0.001, 0.2]),
    configured=st.floats(0.05, 3),
)
def test_every_set_is_in_the_table_once_and_the_best_is_near_the_highest(
    make_task, bars, optimizer, multipliers, horizons, tolerance, configured
):
    space = {
        "multiplier": multipliers,
        "horizon_bars": horizons,
        "adaptive_min": [1e-4],
        "adaptive_max": [0.5],
    }
    task = make_task(bars, multiplier=configured)
    found = optimizer("grid", space=space, tolerance=tolerance).search(task)
    tried = list(zip(*(found.table[name] for name in space), strict=True))
    assert sorted(tried) == sorted(tuple(options.values()) for options in combinations(space))
    values = dict(zip(tried, found.table["objective"], strict=True))
    assert values[tuple(found.best[name] for name in space)] == found.objective
    assert found.objective >= max(values.values()) - tolerance


def test_balance_alone_does_not_move_the_horizon(make_task, bars, optimizer):
    task = make_task(bars, "volatility_quantile", horizon_bars=9)
    assert optimizer("grid").search(task).best["horizon_bars"] == 9


def test_refused_combinations_are_counted(make_task, bars, optimizer):
    found = optimizer("grid", space={"adaptive_min": [0.001, 0.02], "adaptive_max": [0.01, 0.03]}).search(
        make_task(bars)
    )
    size = 19 * 5
    assert len(found.table["objective"]) == 3 * size
    assert found.notes[0] == (
        f"{size} of {4 * size} combinations left out: labels.labeler: adaptive_threshold: adaptive_min must "
        "not exceed adaptive_max; received 0.02 and 0.01"
    )


class Watch(NoProgress):
    def __init__(self):
        self.started, self.done = [], 0

    def start(self, label, total):
        self.started.append((label, total))
        self.done = 0

    def advance(self, steps=1, **info):
        self.done += steps


def test_progress_comes_to_its_end(make_task, bars, optimizer):
    from dataclasses import replace

    watch = Watch()
    task = replace(make_task(bars), progress=watch)
    optimizer("grid", space=SPACE).search(task)
    assert (watch.started, watch.done) == ([("labels", 6)], 6)
    optimizer("grid", space=SPACE, skill_weight=1.0, finalists=2).search(task)
    assert (watch.started[2:], watch.done) == ([("labels, classifier", 2)], 2)


def test_finalists_are_the_most_balanced_of_every_horizon(make_task, bars, optimizer):
    task = make_task(bars)
    found = optimizer("grid", space=SPACE, skill_weight=10.0, pnl_weight=0.5, finalists=4).search(task)
    table = found.table
    judged = [row for row, value in enumerate(table["skill"]) if value is not None]
    assert [table["horizon_bars"][row] for row in judged].count(6) == 2
    assert len(judged) == 4
    for horizon in (6, 12):
        rows = [row for row, value in enumerate(table["horizon_bars"]) if value == horizon]
        balance = {row: table["entropy"][row] - 5 * table["distance"][row] for row in rows}
        assert sorted(balance, key=balance.get)[0] not in judged
    for row in judged:
        parts = (table[name][row] for name in ("entropy", "distance", "skill", "net_return"))
        assert table["objective"][row] == pytest.approx(np.dot([1, -5, 10, 0.5], list(parts)))
    assert found.objective == pytest.approx(max(table["objective"][row] for row in judged), abs=0.001)
    assert "the classifier was trained for 4 of 6 combinations" in found.notes


def test_equal_labelings_are_judged_once(make_task, bars, optimizer):
    space = {**SPACE, "multiplier": [0.5], "horizon_bars": [6], "adaptive_max": [0.5, 0.6, 0.7]}
    found = optimizer("grid", space=space, skill_weight=1.0).search(make_task(bars))
    assert [value is None for value in found.table["skill"]] == [False, True, True]
    task = make_task(bars, adaptive_max=0.6)
    found = optimizer("grid", space=space, skill_weight=1.0).search(task)
    assert [value is None for value in found.table["skill"]] == [True, False, True]
    assert found.best["adaptive_max"] == 0.6


def test_a_space_of_another_labeler(make_task, bars, optimizer):
    task = make_task(bars, "triple_barrier")
    found = optimizer("grid", space={"upper": [0.5, 1.0], "lower": [0.5, 1.0]}).search(task)
    assert len(found.table["objective"]) == 4
    assert found.shares == pytest.approx(counted(task, found.best) / counted(task, found.best).sum())
    with pytest.raises(ConfigError, match="there is no default grid for labeler 'triple_barrier'"):
        optimizer("grid").search(task)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"target": {"sell": 1, "hold": 1, "buy": 1}},
            "labels.optimizer: grid: target must be shares of at least 0 that sum to 1; received 1, 1, 1",
        ),
        ({"distance_weight": -1}, "labels.optimizer.distance_weight: must be >= 0, received -1"),
        (
            {"space": {"multiplier": []}},
            "labels.optimizer.space.multiplier: needs at least 1 items, received []",
        ),
    ],
)
def test_options_that_are_not_valid(optimizer, options, message):
    with pytest.raises(ConfigError) as caught:
        optimizer("grid", **options)
    assert str(caught.value) == message
