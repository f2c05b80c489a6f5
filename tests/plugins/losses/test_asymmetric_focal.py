import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine import PerClass
from simengine_plugins.losses.asymmetric_focal import AsymmetricFocal
from simengine_plugins.losses.cross_entropy import CrossEntropy
from simengine_plugins.losses.focal import Focal

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(scale=2.0, size=(40, 3)).astype(np.float32)
TARGETS = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 40)]
ROWS = np.eye(3, dtype=np.float32)


def at(loss, epoch=1.0):
    """The loss of an epoch as a function of targets and logits."""
    return lambda targets, logits: loss(tf.convert_to_tensor(targets), logits, tf.constant(epoch))


def test_half_sure_rows_by_hand():
    # .5 ** 1.5 x .693 = .245 and .5 ** 2.5 x .693 = .123
    logits = np.log(0.25 + 0.25 * ROWS)
    loss = at(AsymmetricFocal())(ROWS, logits)
    assert loss.numpy().tolist() == pytest.approx([0.2450645, 0.2450645, 0.1225323], rel=1e-5)


def test_alpha_scales_the_rows_of_a_class():
    plain, scaled = AsymmetricFocal(), AsymmetricFocal(alpha=PerClass(1.0, 0.5, 2.0))
    factor = np.array([1.0, 0.5, 2.0])[TARGETS.argmax(axis=1)]
    np.testing.assert_allclose(at(scaled)(TARGETS, LOGITS), at(plain)(TARGETS, LOGITS) * factor, rtol=1e-6)
    np.testing.assert_allclose(scaled.prior_tilt(np.full(3, 1 / 3)), np.log([1.0, 0.5, 2.0]))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_one_gamma_for_all_is_the_focal_loss(gamma):
    loss = AsymmetricFocal(gamma=PerClass(gamma, gamma, gamma))
    np.testing.assert_allclose(at(loss)(TARGETS, LOGITS), Focal(gamma=gamma)(TARGETS, LOGITS), rtol=1e-6)


def test_gamma_zero_is_cross_entropy():
    loss = AsymmetricFocal(gamma=PerClass(0.0, 0.0, 0.0))
    np.testing.assert_allclose(at(loss)(TARGETS, LOGITS), CrossEntropy()(TARGETS, LOGITS), rtol=1e-6)


@pytest.mark.parametrize(("epoch", "share"), [(1, 0.0), (2, 0.25), (3, 0.5), (5, 1.0), (9, 1.0)])
def test_cross_entropy_becomes_focal_linearly(epoch, share):
    warm, focal = at(AsymmetricFocal(warmup_epochs=4), float(epoch)), at(AsymmetricFocal())
    expected = (1 - share) * CrossEntropy()(TARGETS, LOGITS) + share * focal(TARGETS, LOGITS)
    np.testing.assert_allclose(warm(TARGETS, LOGITS), expected, rtol=1e-5)


def test_without_a_warm_up_the_epoch_does_not_matter():
    loss = AsymmetricFocal()
    np.testing.assert_array_equal(at(loss, 1.0)(TARGETS, LOGITS), at(loss, 7.0)(TARGETS, LOGITS))


@settings(max_examples=40)
@given(
    gamma=st.tuples(*[st.floats(0, 5)] * 3),
    alpha=st.tuples(*[st.floats(0.1, 3)] * 3),
    logits=st.tuples(*[st.floats(-30, 30)] * 3),
    share=st.floats(0, 1),
)
def test_it_equals_the_formula_and_is_linear_in_the_targets(gamma, alpha, logits, share):
    row = np.array(logits)
    log_p = row - np.logaddexp.reduce(row)
    log_rest = np.array([np.logaddexp.reduce(np.delete(log_p, c)) for c in range(3)])
    each = -np.array(alpha) * np.exp(np.array(gamma) * log_rest) * log_p
    loss = at(AsymmetricFocal(gamma=PerClass(*gamma), alpha=PerClass(*alpha)))
    np.testing.assert_allclose(loss(np.eye(3), np.tile(row, (3, 1))), each, rtol=1e-9, atol=1e-12)
    mixed = np.array([[1 - share, share / 2, share / 2]])
    np.testing.assert_allclose(loss(mixed, row[None]), mixed @ each, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("epoch", [1.0, 2.0, 3.0])
def test_gradients_agree_with_differences(slopes, epoch):
    loss = at(AsymmetricFocal(alpha=PerClass(1.0, 0.8, 1.3), warmup_epochs=2), epoch)
    soft = 0.9 * TARGETS.astype(float) + 0.1 / 3
    analytic, numeric = slopes(lambda logits: loss(soft, logits), LOGITS)
    np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-8)


def gradient(loss, targets, logits):
    logits = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(tf.constant(targets, tf.float32), logits)
    return tape.gradient(value, logits).numpy()


@pytest.mark.parametrize("gap", [17.0, 50.0])
def test_rows_that_are_far_wrong_still_teach(gap):
    slope = gradient(at(AsymmetricFocal()), ROWS, gap * np.roll(ROWS, 1, axis=1))
    np.testing.assert_allclose(slope, np.roll(ROWS, 1, axis=1) - ROWS, atol=1e-3)


@pytest.mark.parametrize("epoch", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("gap", [0.0, 50.0, 500.0])
def test_gradients_are_finite_however_sure_the_network_is(epoch, gap):
    loss = at(AsymmetricFocal(gamma=PerClass(0.3, 1.0, 2.5), warmup_epochs=2), epoch)
    for logits in (gap * ROWS, gap * np.roll(ROWS, 1, axis=1), gap * (1 - ROWS)):
        assert np.isfinite(gradient(loss, ROWS, logits)).all()


def test_a_gamma_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"^gamma must be >= 0; received \(1\.0, -0\.5, 1\.0\)$"):
        AsymmetricFocal(gamma=PerClass(1.0, -0.5, 1.0))


def test_alpha_of_nothing_is_refused():
    with pytest.raises(
        ValueError, match=r"^alpha must be >= 0 and not all 0; received \(0\.0, 0\.0, 0\.0\)$"
    ):
        AsymmetricFocal(alpha=PerClass(0.0, 0.0, 0.0))
