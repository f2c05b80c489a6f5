import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from simengine.errors import DataError
from simengine.evaluate import classification as c
from simengine.evaluate.logproba import log_softmax

SEEDS = st.integers(0, 10_000)


def draw(seed, n=300, scale=1.5):
    """Calibrated scores: labels are drawn from the probabilities themselves."""
    rng = np.random.default_rng(seed)
    log_proba = log_softmax(rng.normal(scale=scale, size=(n, 3)))
    labels = (log_proba + rng.gumbel(size=(n, 3))).argmax(axis=1).astype(np.int8)
    return log_proba, labels


# four rows, by hand
PROBA = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.25, 0.25], [0.2, 0.2, 0.6]])
LABELS = np.array([0, 2, 1, 0], np.int8)


def test_nll_by_hand():
    expected = -(np.log(0.7) + np.log(0.6) + np.log(0.25) + np.log(0.2)) / 4
    assert c.nll(np.log(PROBA), LABELS) == pytest.approx(expected, rel=1e-12)


def test_brier_by_hand():
    rows = [
        0.3**2 + 0.2**2 + 0.1**2,
        0.1**2 + 0.3**2 + 0.4**2,
        0.5**2 + 0.75**2 + 0.25**2,
        0.8**2 + 0.2**2 + 0.6**2,
    ]
    assert c.brier(np.log(PROBA), LABELS) == pytest.approx(sum(rows) / 4, rel=1e-12)


def test_ece_by_hand():
    # Confidences .7, .6, .5, .6 with 10 bins: rows 1 and 3 share the bin (.5, .6], one of them is right.
    gaps = [abs(1 - 0.7), abs(1 - 1.2), abs(0 - 0.5)]
    assert c.top_label_ece(np.log(PROBA), LABELS, bins=10) == pytest.approx(sum(gaps) / 4, rel=1e-12)


def test_a_confidence_at_a_border_belongs_to_the_bin_below_it():
    # Two bins (0, .5], (.5, 1]: a row at .5 that is wrong and one at .45 that is right share the lower one.
    log_proba = np.log([[0.5, 0.25, 0.25], [0.45, 0.3, 0.25], [0.8, 0.1, 0.1]])
    labels = np.array([1, 0, 0], np.int8)
    assert c.top_label_ece(log_proba, labels, bins=2) == pytest.approx((0.05 + 0.2) / 3, rel=1e-12)


def test_calibration_errors_have_fifteen_bins():
    log_proba, labels = draw(5)
    assert c.top_label_ece(log_proba, labels) == c.top_label_ece(log_proba, labels, bins=15)
    assert c.classwise_ace(log_proba, labels) == c.classwise_ace(log_proba, labels, bins=15)
    others = [c.top_label_ece(log_proba, labels, bins=bins) for bins in (10, 14, 16, 20)]
    assert c.top_label_ece(log_proba, labels) not in others


def test_ace_by_hand():
    # Two bins of two rows for each class.
    sell = abs(1 - (0.1 + 0.2)) + abs(1 - (0.5 + 0.7))
    buy = abs(0 - (0.1 + 0.25)) + abs(1 - (0.6 + 0.6))
    # HOLD: .2 .2 | .25 .3
    hold = abs(0 - 0.4) + abs(1 - 0.55)
    expected = (sell + hold + buy) / 12
    assert c.classwise_ace(np.log(PROBA), LABELS, bins=2) == pytest.approx(expected, rel=1e-12)


def test_ace_of_one_constant_answer_does_not_depend_on_the_order_of_rows():
    labels = np.repeat([0, 1, 2], [20, 30, 50]).astype(np.int8)
    prior = np.log(np.tile([0.2, 0.3, 0.5], (100, 1)))
    assert c.classwise_ace(prior, labels) == pytest.approx(0, abs=1e-12)


@settings(deadline=None)
@given(SEEDS)
def test_ace_is_invariant_to_row_order(seed):
    log_proba, labels = draw(seed)
    log_proba = log_proba.round(1)
    order = np.random.default_rng(seed).permutation(len(labels))
    assert c.classwise_ace(log_proba[order], labels[order]) == pytest.approx(
        c.classwise_ace(log_proba, labels)
    )


def test_calibrated_scores_have_small_and_overconfident_ones_large_errors():
    log_proba, labels = draw(1, 20_000)
    sharp = log_softmax(3 * log_proba)
    assert c.top_label_ece(log_proba, labels) < 0.02
    assert c.classwise_ace(log_proba, labels) < 0.02
    assert c.top_label_ece(sharp, labels) > 0.15
    assert c.classwise_ace(sharp, labels) > 0.08


def test_nll_of_the_prior_is_the_entropy_and_its_skill_is_zero():
    labels = np.repeat([0, 1, 2], [283, 339, 378]).astype(np.int8)
    share = c.class_shares(labels)
    prior = np.log(np.tile(share, (1000, 1)))
    assert c.nll(prior, labels) == pytest.approx(-(share * np.log(share)).sum(), rel=1e-12)
    assert c.skill(prior, labels, share) == pytest.approx(0, abs=1e-6)


def test_skill_by_hand():
    share = np.array([0.25, 0.25, 0.5])
    expected = 1 - c.nll(np.log(PROBA), LABELS) / (-(3 * np.log(0.25) + np.log(0.5)) / 4)
    assert c.skill(np.log(PROBA), LABELS, share) == pytest.approx(expected, rel=1e-5)


def test_skill_stays_finite_and_honest_when_a_class_has_no_train_rows():
    # An infinite log-loss of the prior would read as a skill of exactly 1.
    assert c.skill(np.log(PROBA), LABELS, np.array([0.0, 0.5, 0.5])) < 1


@settings(deadline=None)
@given(SEEDS)
def test_agreement_with_scikit_learn(seed):
    log_proba, labels = draw(seed)
    proba, predicted = np.exp(log_proba), log_proba.argmax(axis=1).astype(np.int8)
    assert c.nll(log_proba, labels) == pytest.approx(metrics.log_loss(labels, proba, labels=[0, 1, 2]))
    assert c.macro_f1(labels, predicted) == pytest.approx(
        metrics.f1_score(labels, predicted, average="macro")
    )
    assert c.balanced_accuracy(labels, predicted) == pytest.approx(
        metrics.balanced_accuracy_score(labels, predicted)
    )
    np.testing.assert_array_equal(c.confusion(labels, predicted), metrics.confusion_matrix(labels, predicted))
    expected = metrics.precision_recall_fscore_support(labels, predicted, labels=[0, 1, 2])
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(c.per_class(labels, predicted)[name], values)
    assert c.hold_auc(log_proba, labels) == pytest.approx(metrics.roc_auc_score(labels == 1, proba[:, 1]))
    rounded = np.round(proba[:, 2] - proba[:, 0], 1)
    assert c.auc(rounded, labels == 2) == pytest.approx(metrics.roc_auc_score(labels == 2, rounded))


def test_a_class_that_never_occurs_gives_nan_without_a_warning():
    labels = np.array([0, 0, 2, 2], np.int8)
    table = c.per_class(labels, np.array([0, 2, 2, 2], np.int8))
    np.testing.assert_allclose(table["precision"], [1, np.nan, 2 / 3])
    np.testing.assert_allclose(table["recall"], [0.5, np.nan, 1])
    np.testing.assert_allclose(table["f1"], [2 / 3, np.nan, 0.8])
    assert table["support"] == [2, 0, 2]
    assert c.macro_f1(labels, np.array([0, 2, 2, 2], np.int8)) == pytest.approx((2 / 3 + 0.8) / 2)
    # Answering BUY only: SELL has labels and no hit, so its F1 is 0, not undefined.
    assert c.macro_f1(labels, np.full(4, 2, np.int8)) == pytest.approx((0 + 2 / 3) / 2)
    assert c.balanced_accuracy(labels, np.full(4, 2, np.int8)) == 0.5
    assert np.isnan(c.hold_auc(np.log(PROBA), labels))


def test_sign_auc_by_hand_leaves_zeros_out():
    # P(BUY) - P(SELL): -.6, .5, -.25, .4
    forward = np.array([-0.01, 0.02, 0.0, -0.03])
    assert c.sign_auc(np.log(PROBA), forward) == 1.0
    forward = np.array([0.01, 0.02, 0.0, -0.03])
    assert c.sign_auc(np.log(PROBA), forward) == 0.5
    assert np.isnan(c.sign_auc(np.log(PROBA), np.full(4, 0.01)))


def test_direction_auc_refuses_rows_without_a_return():
    with pytest.raises(DataError) as caught:
        c.direction_auc(np.array([0.1, 0.2]), np.array([0.01, np.nan]))
    assert str(caught.value) == (
        "direction: expected finite values, received score 0.2 and forward return nan in row 1; "
        "leave rows without a forward return out"
    )
    with pytest.raises(DataError, match=r"as many scores as forward returns, received \(2,\) and \(1,\)$"):
        c.direction_auc(np.zeros(2), np.zeros(1))


def test_class_shares():
    np.testing.assert_allclose(c.class_shares(np.array([2, 2, 0, 2], np.int8)), [0.25, 0, 0.75])


def test_confusion_refuses_different_lengths():
    with pytest.raises(DataError, match=r"^expected as many classes as labels, received 1 and 2$"):
        c.confusion(np.array([0, 1], np.int8), np.array([0], np.int8))
