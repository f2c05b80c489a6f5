import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simengine.errors import DataError
from simengine.evaluate.logproba import log_softmax
from simengine.types import DecisionContext, PerClass
from simengine_plugins.decisions.prior_matched import PriorMatched

CONTEXT = DecisionContext(train_share=np.full(3, 1 / 3), horizon_bars=12)
SEEDS = st.integers(0, 10_000)


def draw(seed, n=300, steepness=1.0, tilt=(0.0, 0.0, 0.0)):
    rng = np.random.default_rng(seed)
    exact = log_softmax(rng.normal(size=(n, 3)) * steepness)
    labels = (exact + rng.gumbel(size=exact.shape)).argmax(axis=1).astype(np.int8)
    return log_softmax(exact + np.array(tilt)), labels


def counts_of(decided):
    return np.bincount(decided, minlength=3)


def test_default_target_is_the_validation_label_shares_and_cures_a_collapse():
    scores, labels = draw(1, 2000, 0.2, (0, 0, 1.5))
    assert (scores.argmax(axis=1) == 2).mean() > 0.95
    rule = PriorMatched().fit(scores, labels, CONTEXT)
    np.testing.assert_array_equal(counts_of(rule.decide(scores)), counts_of(labels))
    np.testing.assert_allclose(rule.target_share_, counts_of(labels) / 2000)
    np.testing.assert_array_equal(rule.reached_share_, rule.target_share_)
    assert rule.decide(scores).dtype == np.int8


def test_given_target():
    scores, labels = draw(2, 1000)
    rule = PriorMatched(target=PerClass(0.1, 0.8, 0.1)).fit(scores, labels, CONTEXT)
    np.testing.assert_array_equal(counts_of(rule.decide(scores)), [100, 800, 100])


def test_a_tilt_of_all_scores_changes_no_decision():
    scores, labels = draw(3, 500)
    tilted = log_softmax(scores + np.array([0.7, -1.0, 3.0]))
    plain = PriorMatched().fit(scores, labels, CONTEXT).decide(scores)
    np.testing.assert_array_equal(PriorMatched().fit(tilted, labels, CONTEXT).decide(tilted), plain)


@settings(deadline=None)
@given(SEEDS, st.integers(0, 2), st.floats(0, 5))
def test_raising_the_score_of_a_class_never_takes_rows_from_it(seed, label, rise):
    scores, labels = draw(seed, 60)
    assume(counts_of(labels).min() > 0)
    rule = PriorMatched().fit(scores, labels, CONTEXT)
    raised = scores.copy()
    raised[:, label] += rise
    assert (rule.decide(raised)[rule.decide(scores) == label] == label).all()


def test_order_of_rows_does_not_matter_and_fits_are_repeatable():
    scores, labels = draw(4, 400)
    order = np.random.default_rng(0).permutation(400)
    offsets = PriorMatched().fit(scores, labels, CONTEXT).offsets_
    assert offsets.tobytes() == PriorMatched().fit(scores, labels, CONTEXT).offsets_.tobytes()
    np.testing.assert_allclose(PriorMatched().fit(scores[order], labels[order], CONTEXT).offsets_, offsets)


def test_few_ties_are_met_as_near_as_they_allow():
    scores, labels = draw(5, 1000)
    scores = scores.round(1)
    rule = PriorMatched(tolerance=0.05).fit(scores, labels, CONTEXT)
    assert np.abs(rule.reached_share_ - rule.target_share_).max() < 0.05


def test_rows_that_share_one_score_are_decided_alike_and_a_warning_gives_the_figures(caplog):
    scores = np.tile(np.log([0.28, 0.34, 0.38]), (100, 1))
    labels = np.repeat([0, 1, 2], [28, 34, 38]).astype(np.int8)
    rule = PriorMatched().fit(scores, labels, CONTEXT)
    assert caplog.messages == [
        "decision prior_matched: on validation it cannot reach the shares 0.280 / 0.340 / 0.380 on 100 rows, "
        "nearest found 0.000 / 0.000 / 1.000, because scores are equal (1 distinct); use a model with finer "
        "scores"
    ]
    np.testing.assert_array_equal(rule.reached_share_, [0, 0, 1])


def test_three_scores_in_the_right_proportion_are_told_apart():
    rows = np.repeat([0, 1, 2], [28, 34, 38])
    scores = np.log(np.array([[0.3, 0.3, 0.4], [0.2, 0.4, 0.4], [0.2, 0.3, 0.5]]))[rows]
    rule = PriorMatched().fit(scores, rows.astype(np.int8), CONTEXT)
    np.testing.assert_array_equal(rule.decide(scores), rows)


def test_a_class_without_a_row_is_refused():
    scores, _ = draw(6, 100)
    with pytest.raises(DataError) as caught:
        PriorMatched().fit(scores, np.repeat([0, 2], 50).astype(np.int8), CONTEXT)
    assert str(caught.value) == (
        "decision prior_matched: HOLD gets no row from the validation labels "
        "(shares 0.500 / 0.000 / 0.500 of 100 rows); set target, or use a longer validation segment"
    )


@pytest.mark.parametrize(
    "target", [PerClass(0.5, 0.5, 0.5), PerClass(0.5, 0.5, 0.0), PerClass(-0.5, 0.75, 0.75)]
)
def test_targets_that_are_no_shares_are_refused(target):
    with pytest.raises(ValueError, match=r"^target: expected three shares above 0 with sum 1, received \["):
        PriorMatched(target=target)


def test_decide_before_fit_is_refused():
    with pytest.raises(DataError, match=r"^decision prior_matched: decide was called before fit$"):
        PriorMatched().decide(np.zeros((1, 3)))
