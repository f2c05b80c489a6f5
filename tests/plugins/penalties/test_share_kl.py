import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine import PerClass
from simengine_plugins.penalties.share_kl import ShareKL

SHARE = PerClass(0.283, 0.339, 0.378)
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(20, 3))
TARGETS = np.eye(3)[RNG.integers(0, 3, 20)]


def of(penalty, targets, logits):
    return np.asarray(penalty(tf.constant(targets), tf.constant(logits)))


def test_a_collapse_by_hand():
    # .283 log(.283/.05) + .339 log(.339/.05) + .378 log(.378/.90) = .8115
    logits = np.tile(np.log([0.05, 0.05, 0.90]), (20, 1))
    found = of(ShareKL(weight=1.0, target=SHARE), TARGETS, logits)
    np.testing.assert_allclose(found, np.full(20, 0.811482), rtol=1e-6)


def test_the_mean_of_the_batch_counts_not_its_rows():
    # Sure rows, half SELL and half BUY: the mean is (.5, 0, .5) though no row is near it.
    logits = 60 * np.eye(3)[[0, 2]]
    found = of(ShareKL(weight=2.0, target=PerClass(0.5, 0.0, 0.5)), TARGETS[:2], logits)
    np.testing.assert_allclose(found, 0, atol=1e-12)


def test_the_default_target_is_the_batch_own():
    proba = np.array([[0.2, 0.3, 0.5], [0.4, 0.3, 0.3]])
    targets = np.array([[1.0, 0, 0], [0, 0.1, 0.9]])
    wanted, mean = np.array([0.5, 0.05, 0.45]), np.array([0.3, 0.3, 0.4])
    expected = 0.5 * (wanted * np.log(wanted / mean)).sum()
    np.testing.assert_allclose(of(ShareKL(), targets, np.log(proba)), expected, rtol=1e-9)


def test_a_class_that_the_batch_lacks_costs_nothing_itself():
    targets = np.eye(3)[[0, 2, 2]]
    logits = np.log([[1 / 3, 1e-9, 2 / 3]] * 3)
    np.testing.assert_allclose(of(ShareKL(), targets, logits), 0, atol=1e-8)


@settings(max_examples=40)
@given(logits=st.lists(st.tuples(*[st.floats(-60, 60)] * 3), min_size=1, max_size=12), given=st.booleans())
def test_it_is_never_negative_and_the_same_for_every_row(logits, given):
    targets = np.eye(3)[np.arange(len(logits)) % 3]
    found = of(ShareKL(target=SHARE if given else None), targets, np.array(logits))
    assert (found >= -1e-12).all()
    assert (found == found[0]).all()


@pytest.mark.parametrize("target", [None, SHARE])
def test_gradients_agree_with_differences(slopes, target):
    penalty = ShareKL(weight=0.7, target=target)
    analytic, numeric = slopes(lambda logits: penalty(tf.constant(TARGETS), logits), LOGITS)
    np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-8)


def test_a_class_that_nobody_predicts_keeps_its_gradient():
    logits = tf.constant(np.tile([0.0, 0.0, 50.0], (4, 1)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = tf.reduce_mean(ShareKL(weight=1.0, target=SHARE)(tf.zeros((4, 3)), logits))
    slope = tape.gradient(value, logits).numpy().sum(axis=0)
    np.testing.assert_allclose(slope, [-0.283, -0.339, 0.622], rtol=1e-5)


@pytest.mark.parametrize("target", [(0.5, 0.5, 0.5), (-0.1, 0.5, 0.6)])
def test_a_target_that_is_no_shares_is_refused(target):
    with pytest.raises(ValueError, match=r"^target must be >= 0 and sum to 1; received \("):
        ShareKL(target=PerClass(*target))


def test_rows_count_by_their_shares():
    """Rows that only fill a batch up, or bars that do not count, change nothing."""
    shares = np.where(np.arange(20) < 12, 1 / 12, 0.0)
    found = np.asarray(ShareKL()(tf.constant(TARGETS), tf.constant(LOGITS), tf.constant(shares)))
    np.testing.assert_allclose(found, of(ShareKL(), TARGETS[:12], LOGITS[:12])[0], rtol=1e-9)
    with tf.GradientTape() as tape:
        logits = tf.Variable(LOGITS)
        value = ShareKL()(tf.constant(TARGETS), logits, tf.constant(shares))[0]
    gradient = np.asarray(tape.gradient(value, logits))
    assert np.isfinite(gradient).all()
    assert (gradient[12:] == 0).all()
    assert (gradient[:12] != 0).any()
