import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine import PerClass
from simengine.errors import DataError
from simengine.plugin.state import get_state, set_state
from simengine_plugins.losses.cross_entropy import CrossEntropy
from simengine_plugins.reweighters.prediction_aware import PredictionAware

LABELS = np.repeat([0, 1, 2], [283, 339, 378]).astype(np.int8)
SHARE = np.array([0.283, 0.339, 0.378])


def constant(*proba):
    """The same prediction for every row."""
    return np.tile(np.log(proba), (len(LABELS), 1))


COLLAPSED = constant(0.03, 0.02, 0.95)


def started(**options):
    reweighter = PredictionAware(**options)
    assert reweighter.start(LABELS).tolist() == pytest.approx([1.0, 1.0, 1.0])
    return reweighter


def scaled(logs):
    weights = np.exp(logs)
    return weights / (SHARE @ weights)


def test_a_collapse_by_hand():
    # 1 - .03/.283 = .894, 1 - .02/.339 = .941, 1 - .95/.378 = -1.513; the largest becomes one step.
    weights = started(error_weight=0.0).update(LABELS, COLLAPSED, 1)
    np.testing.assert_allclose(weights, scaled([0.0590786, 0.0621852, -0.1]), rtol=1e-6)
    assert SHARE @ weights == pytest.approx(1.0)


def test_the_errors_by_hand():
    # Errors .97, .98, .05 have the mean .6667; their differences .3033, .3133, -.6167 are moves themselves.
    weights = started(error_weight=1.0).update(LABELS, COLLAPSED, 1)
    np.testing.assert_allclose(weights, scaled([0.0303333, 0.0313333, -0.0616667]), rtol=1e-6)


def test_shares_and_errors_are_mixed():
    # .75 x (.8940, .9410, -1.5132) + .25 x (.3033, .3133, -.6167) = (.7463, .7841, -1.2891)
    weights = started(error_weight=0.25).update(LABELS, COLLAPSED, 1)
    np.testing.assert_allclose(weights, scaled(np.array([0.74633, 0.78409, -1.28909]) / 12.8909), rtol=1e-5)


def test_argmax_counts_rows():
    # BUY is predicted everywhere: shares 0, 0, 1 and errors 1, 1, 0.
    log_proba = constant(0.30, 0.34, 0.36)
    hard = started(shares="argmax", error_weight=0.0).update(LABELS, log_proba, 1)
    np.testing.assert_allclose(
        hard, scaled(np.array([1, 1, 1 - 1 / 0.378]) / (1 / 0.378 - 1) / 10), rtol=1e-6
    )
    wrong = started(shares="argmax", error_weight=1.0).update(LABELS, log_proba, 1)
    np.testing.assert_allclose(wrong, scaled([1 / 30, 1 / 30, -2 / 30]), rtol=1e-6)


def test_predictions_in_the_label_shares_leave_the_weights():
    weights = started(error_weight=0.0).update(LABELS, constant(*SHARE), 1)
    np.testing.assert_allclose(weights, 1.0, rtol=1e-12)


def test_the_target_can_be_given():
    weights = started(error_weight=0.0, target=PerClass(0.5, 0.25, 0.25)).update(LABELS, constant(*SHARE), 1)
    np.testing.assert_allclose(weights, scaled([0.0434, -0.0356, -0.0512]), rtol=1e-5)


def test_ema_keeps_a_part_of_the_moves_before():
    reweighter = started(error_weight=0.0, ema=0.75, step=0.2)
    first = np.log(reweighter.update(LABELS, COLLAPSED, 1))
    second = np.log(reweighter.update(LABELS, constant(*SHARE), 2))
    # The second move is .75 of the first, whose largest part is then 1.135: still a whole step.
    np.testing.assert_allclose(np.diff(second - first), np.diff(first), rtol=1e-9)
    third = np.log(reweighter.update(LABELS, constant(*SHARE), 3))
    # .5625 of the first: 1.5132 x .5625 = .8512 of a step.
    np.testing.assert_allclose(np.diff(third - second), 0.851190 * np.diff(first), rtol=1e-5)


def test_the_ratio_is_bounded_and_the_order_kept():
    reweighter = started(error_weight=0.0, step=0.5, max_ratio=2.0)
    for epoch in range(1, 10):
        weights = reweighter.update(LABELS, COLLAPSED, epoch)
    assert weights.max() / weights.min() == pytest.approx(2.0)
    assert weights[2] < weights[0] < weights[1]


def test_it_comes_back_when_the_collapse_is_over():
    reweighter = started(error_weight=0.0)
    for epoch in range(1, 6):
        low = reweighter.update(LABELS, COLLAPSED, epoch)[2]
    for epoch in range(6, 30):
        weights = reweighter.update(LABELS, constant(0.4, 0.4, 0.2), epoch)
    assert low < 0.9 < 1.1 < weights[2]


scores = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).normal([0.0, 0.5, 2.0], 3, (120, 3))
)


@given(
    logits=scores,
    shares=st.sampled_from(["soft", "argmax"]),
    error_weight=st.floats(0, 1),
    step=st.floats(0.01, 1),
    max_ratio=st.floats(1.1, 10),
)
def test_weights_stay_positive_bounded_and_small_steps_apart(logits, shares, error_weight, step, max_ratio):
    labels = np.repeat([0, 1, 2], 40).astype(np.int8)
    log_proba = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    reweighter = PredictionAware(shares=shares, error_weight=error_weight, step=step, max_ratio=max_ratio)
    before = reweighter.start(labels)
    for epoch in (1, 2, 3):
        after = reweighter.update(labels, log_proba, epoch)
        assert (after > 0).all()
        assert after[labels].mean() == pytest.approx(1.0)
        assert after.max() / after.min() <= max_ratio * (1 + 1e-9)
        assert np.ptp(np.log(after) - np.log(before)) <= 2 * step + 1e-9
        before = after


def test_a_resumed_training_goes_on_alike():
    first = started()
    first.update(LABELS, COLLAPSED, 1)
    second = PredictionAware()
    set_state(second, get_state(first))
    np.testing.assert_array_equal(first.update(LABELS, COLLAPSED, 2), second.update(LABELS, COLLAPSED, 2))


def test_what_it_returns_is_its_own():
    reweighter = started()
    reweighter.update(LABELS, COLLAPSED, 1)[:] = 99
    assert reweighter.weights_.max() < 2


def test_every_epoch_is_logged(caplog):
    caplog.set_level(logging.INFO, "simengine")
    weights = started(error_weight=0.0).update(LABELS, COLLAPSED, 4)
    (record,) = [record for record in caplog.records if record.fields["event"] == "reweighted"]
    assert record.fields["epoch"] == 4
    assert record.fields["limited"] is False
    assert list(record.fields["weights"].values()) == weights.tolist()
    assert record.fields["target"] == pytest.approx({"sell": 0.283, "hold": 0.339, "buy": 0.378})
    assert record.fields["share"] == pytest.approx({"sell": 0.03, "hold": 0.02, "buy": 0.95})
    assert record.fields["error"] == pytest.approx({"sell": 0.97, "hold": 0.98, "buy": 0.05})
    assert record.getMessage() == "class weights after epoch 4: SELL 1.058, HOLD 1.061, BUY 0.902"


def test_weights_of_rows_and_of_targets_are_equal_for_hard_targets_only():
    weights, logits = np.array([1.2, 1.0, 0.7], np.float32), np.log([[0.5, 0.3, 0.2]]).astype(np.float32)
    for target, equal in (([0.0, 0.0, 1.0], True), ([0.1, 0.0, 0.9], False)):
        targets = np.array([target], np.float32)
        by_row = weights[targets.argmax(axis=1)] * CrossEntropy()(targets, logits)
        by_target = CrossEntropy()(targets * weights, logits)
        assert np.allclose(by_row, by_target, rtol=1e-6) is equal
    assert PredictionAware().applies_to == "sample_weight"
    assert PredictionAware(applies_to="alpha").applies_to == "alpha"


def test_the_initial_weights_are_the_first_and_the_tilt():
    reweighter = PredictionAware(initial=PerClass(1.10, 1.05, 0.80))
    np.testing.assert_allclose(reweighter.start(LABELS), np.array([1.10, 1.05, 0.80]) / 0.96965, rtol=1e-6)
    np.testing.assert_allclose(reweighter.prior_tilt(SHARE), np.log([1.10, 1.05, 0.80]))


def test_an_epoch_without_a_class_is_an_error():
    reweighter, some = started(), LABELS < 2
    with pytest.raises(
        DataError, match="reweighter prediction_aware needs every class, but none of the 622 "
    ):
        reweighter.update(LABELS[some], COLLAPSED[some], 1)


def test_predictions_that_are_not_finite_are_an_error():
    with pytest.raises(
        DataError, match=r"^reweighter prediction_aware: predictions of epoch 2 are not finite$"
    ):
        started().update(LABELS, np.full((1000, 3), np.nan), 2)


@pytest.mark.parametrize("target", [(0.5, 0.5, 0.5), (0.0, 0.5, 0.5)])
def test_a_target_that_is_no_shares_is_refused(target):
    with pytest.raises(ValueError, match=r"^target must be above 0 and sum to 1; received \("):
        PredictionAware(target=PerClass(*target))


@pytest.mark.parametrize("initial", [(0.0, 1.0, 1.0), (1.0, 1.0, 4.0)])
def test_initial_weights_out_of_bounds_are_refused(initial):
    with pytest.raises(ValueError, match=r"^initial must be above 0 with a ratio of at most max_ratio 3; "):
        PredictionAware(initial=PerClass(*initial))
