import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from simengine import PerClass
from simengine.plugin.manager import build_registry
from simengine.train.objective import Objective
from simengine_plugins.smoothers.class_conditional import ClassConditional

ROWS = np.eye(3, dtype=np.float32)
SHARE = np.array([0.283, 0.339, 0.378])
REGISTRY = build_registry(discover=False)


def test_the_shipped_amounts_by_hand():
    expected = [[0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.05, 0.05, 0.90]]
    np.testing.assert_allclose(ClassConditional()(tf.constant(ROWS)), expected, rtol=1e-6)


def test_what_is_taken_can_go_by_shares():
    # Of .1 taken from BUY, SELL receives .1 x .283 / .622 and HOLD .1 x .339 / .622.
    soft = ClassConditional(spread=PerClass(*SHARE))(tf.constant(ROWS))
    np.testing.assert_allclose(soft[2], [0.0454984, 0.0545016, 0.90], rtol=1e-5)
    np.testing.assert_allclose(soft[0], [0.98, 0.0094561, 0.0105439], rtol=1e-5)


def test_it_tilts_the_shares_of_the_targets():
    targets = np.repeat(np.eye(3), [283, 339, 378], axis=0)
    mean = np.mean(ClassConditional()(tf.constant(targets)), axis=0)
    np.testing.assert_allclose(mean, [0.29963, 0.35395, 0.34642], rtol=1e-5)
    np.testing.assert_allclose(np.exp(ClassConditional().prior_tilt(SHARE)) * SHARE, mean, rtol=1e-5)


@given(
    smoothing=st.tuples(*[st.floats(0, 0.499)] * 3),
    spread=st.none() | st.tuples(*[st.floats(0.01, 5)] * 3),
    labels=st.lists(st.integers(0, 2), min_size=1, max_size=20),
)
def test_rows_stay_distributions_with_the_label_on_top(smoothing, spread, labels):
    smoother = ClassConditional(smoothing=PerClass(*smoothing), spread=spread and PerClass(*spread))
    soft = np.asarray(smoother(tf.constant(np.eye(3)[labels])))
    assert (soft >= 0).all()
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-12)
    assert soft.argmax(axis=1).tolist() == labels
    np.testing.assert_allclose(soft[np.arange(len(labels)), labels], 1 - np.array(smoothing)[labels])


@pytest.mark.parametrize("name", REGISTRY.names("loss"))
def test_it_goes_with_every_loss(name):
    """The loss of a smoothed row is the mean of the losses of the labels it stands for."""
    loss, smoother = REGISTRY.create("loss", name), ClassConditional()
    if hasattr(loss, "fit"):
        loss.fit(np.array([0, 1, 2, 2], np.int8))
    logits = np.tile([[0.3, -0.4, 1.1]], (3, 1)).astype(np.float32)
    each = Objective(loss).row_losses(np.arange(3, dtype=np.int8), logits, 1)
    epoch = (tf.constant(1.0),) if "epoch" in loss.__call__.__code__.co_varnames else ()
    soft = loss(smoother(tf.constant(ROWS)), tf.constant(logits), *epoch)
    np.testing.assert_allclose(soft, smoother.matrix() @ each, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [(0.0, 0.0, 0.5), (-0.1, 0.0, 0.0)])
def test_amounts_that_could_turn_a_label_are_refused(smoothing):
    with pytest.raises(ValueError, match=r"^smoothing must lie in \[0, 0\.5\); received \("):
        ClassConditional(smoothing=PerClass(*smoothing))


def test_a_spread_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"^spread must be above 0; received \(0\.0, 1\.0, 1\.0\)$"):
        ClassConditional(spread=PerClass(0.0, 1.0, 1.0))
