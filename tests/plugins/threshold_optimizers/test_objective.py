import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine import PerClass
from simengine.errors import DataError
from simengine_plugins.threshold_optimizers.objective import BALANCED, Objective, Scores

PLAIN = Objective(BALANCED, 1.0, 5.0, 0.0, 0.0, 0.0)


def test_the_formula_by_hand():
    found = PLAIN.balance(np.array([[1, 1, 2], [10, 10, 10], [0, 4, 0], [0, 0, 0]]))
    # -(1/4 ln 1/4 + 1/4 ln 1/4 + 1/2 ln 1/2) = 1.5 ln 2; (1/12)^2 + (1/12)^2 + (1/6)^2 = 1/24.
    assert found["entropy"][0] == pytest.approx(1.5 * np.log(2))
    assert found["distance"][0] == pytest.approx(1 / 24)
    assert found["objective"][0] == pytest.approx(1.5 * np.log(2) - 5 / 24)
    assert found["objective"][1] == pytest.approx(np.log(3))
    assert found["entropy"][2] == 0
    assert found["objective"][2] == pytest.approx(-5 * (4 / 9 + 1 / 9 + 1 / 9))
    assert np.isnan(found["objective"][3])
    assert found["labels"].tolist() == [4, 30, 4, 0]


def test_the_users_target_moves_the_best():
    goal = Objective(PerClass(0.283, 0.339, 0.378), 1.0, 5.0, 0.0, 0.0, 0.0)
    found = goal.balance(np.array([[283, 339, 378], [333, 334, 333]]))
    assert found["distance"].tolist() == [pytest.approx(0, abs=1e-30), pytest.approx(0.00455, abs=1e-5)]
    assert found["objective"][0] > found["objective"][1]


counts_of_labels = st.tuples(*[st.integers(0, 10**6)] * 3).filter(lambda counts: sum(counts) > 0)


@given(
    counts=counts_of_labels,
    target=st.tuples(*[st.integers(0, 20)] * 3).filter(lambda parts: sum(parts) > 0),
    order=st.permutations(range(3)),
    weights=st.tuples(st.floats(0, 10), st.floats(0, 10)),
)
def test_no_shares_beat_the_target_in_distance_nor_thirds_in_entropy(counts, target, order, weights):
    shares = PerClass(*(part / sum(target) for part in target))
    goal = Objective(shares, *weights, 0.0, 0.0, 0.0)
    rows = np.array([counts, np.array(counts) * 3, target])
    found = {name: values.tolist() for name, values in goal.balance(rows).items()}
    assert 0 <= found["entropy"][0] <= np.log(3) + 1e-12
    assert 0 <= found["distance"][0] <= 2
    assert found["distance"][2] == pytest.approx(0, abs=1e-12)
    assert found["objective"][0] <= weights[0] * np.log(3) + 1e-9
    assert found["objective"][1] == pytest.approx(found["objective"][0])  # shares alone count
    turned = Objective(PerClass(*np.array(shares)[order]), *weights, 0.0, 0.0, 0.0)
    again = turned.balance(rows[:, order])["objective"]
    assert again.tolist() == pytest.approx(found["objective"])


@given(counts=counts_of_labels)
def test_by_default_thirds_are_the_best_there_is(counts):
    found = PLAIN.balance(np.array([counts, [1, 1, 1]]))["objective"]
    assert found[0] <= found[1] + 1e-12


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (PerClass(0.5, 0.5, 0.5), "received 0.5, 0.5, 0.5"),
        (PerClass(-0.5, 1, 0.5), "received -0.5, 1, 0.5"),
    ],
)
def test_a_target_that_is_no_distribution(target, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        Objective(target, 1, 5, 0, 0, 0)
    assert str(caught.value) == f"target must be shares of at least 0 that sum to 1; {message}"


def options(*values):
    return [{"multiplier": value, "adaptive_max": 0.03} for value in values]


def test_of_equal_rows_the_one_that_changes_least_is_best(make_task, bars):
    task = make_task(bars, multiplier=0.7, adaptive_max=0.03)
    counts = np.array([[5, 5, 5], [5, 5, 5], [1, 2, 3]])
    found = Scores(options(0.5, 0.7, 0.9), PLAIN, counts).result(task)
    assert found.best == {"multiplier": 0.7, "adaptive_max": 0.03}
    assert found.notes == ()
    assert found.shares.tolist() == pytest.approx([1 / 3] * 3)


def test_nearly_equal_rows_are_equal_within_the_tolerance(make_task, bars):
    task = make_task(bars, multiplier=0.7)
    counts = np.array([[500, 500, 500], [501, 500, 499]])
    assert Scores(options(0.5, 0.7), PLAIN, counts).result(task).best["multiplier"] == 0.5
    loose = Objective(BALANCED, 1.0, 5.0, 0.0, 0.0, 0.001)
    found = Scores(options(0.5, 0.7), loose, counts).result(task)
    assert found.best["multiplier"] == 0.7
    assert found.objective == found.table["objective"][1] < found.table["objective"][0]
    assert found.notes == (
        "2 sets of options come within 0.001 of the highest objective, 1.098612; of those the one that "
        "changes fewest is best",
    )


def test_the_table_has_every_part_and_none_where_nothing_is_known(make_task, bars):
    found = Scores(options(0.5, 0.7), PLAIN, np.array([[1, 1, 2], [0, 0, 0]])).result(make_task(bars))
    assert list(found.table) == [
        *("multiplier", "adaptive_max", "labels", "sell_share", "hold_share", "buy_share"),
        *("entropy", "distance", "objective"),
    ]
    assert found.table["buy_share"] == [0.5, None]
    assert found.table["objective"][1] is None


class Fixed:
    """A classifier's figures by multiplier."""

    def judge(self, changed):
        return {0.5: (0.02, -0.1), 0.7: (np.nan, np.nan)}[changed["multiplier"]]


def test_skill_and_pnl_are_added_with_their_weights(make_task, bars):
    goal = Objective(BALANCED, 1.0, 5.0, 10.0, 2.0, 0.0)
    scores = Scores(options(0.5, 0.7, 0.9), goal, np.array([[1, 1, 2], [1, 1, 1], [1, 1, 1]]))
    scores.judge(0, Fixed())
    scores.judge(1, Fixed())
    found = scores.result(make_task(bars))
    assert found.objective == pytest.approx(1.5 * np.log(2) - 5 / 24 + 10 * 0.02 - 2 * 0.1)
    assert found.table["skill"] == [0.02, None, None]
    assert found.table["objective"][1:] == [None, None]


def test_nothing_to_choose_from(make_task, bars):
    with pytest.raises(DataError) as caught:
        Scores(options(0.5), PLAIN, np.zeros((1, 3), np.int64)).result(make_task(bars))
    assert str(caught.value) == (
        "labels.optimizer: none of 1 sets of options can be judged: no bar of train has a label; use more "
        "bars or other options"
    )
    goal = Objective(BALANCED, 1.0, 5.0, 1.0, 0.0, 0.0)
    with pytest.raises(DataError, match="a class has no label on the inner train"):
        Scores(options(0.5), goal, np.ones((1, 3), np.int64)).result(make_task(bars))
