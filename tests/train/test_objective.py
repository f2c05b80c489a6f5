import numpy as np
import pytest
import tensorflow as tf

from simengine.errors import PluginError
from simengine.train.objective import Objective, RowWeights

LOGITS = np.array([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0], [0.0, 0.0, 3.0]], np.float32)
LABELS = np.array([0, 2, 2], np.int32)
LOG_P = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))


class Plain:
    def __call__(self, targets, logits):
        return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)


class Fading:
    """Half of cross-entropy in epoch 2, a third in epoch 3."""

    def __call__(self, targets, logits, epoch):
        return Plain()(targets, logits) / epoch


class Half:
    """Half of each target, the rest to HOLD."""

    def __call__(self, targets):
        return 0.5 * targets + tf.constant([0.0, 0.5, 0.0])


class Buying:
    def __call__(self, targets, logits):
        return 0.1 * tf.nn.softmax(logits)[:, 2]


def total(objective, alpha=(1.0, 1.0, 1.0), epoch=1.0):
    weights, shares = tf.constant([0.5, 0.25, 0.0]), tf.constant([0.5, 0.5, 0.0])
    rows = RowWeights(weights, shares, tf.constant(alpha))
    return float(objective.total(tf.constant(LABELS), tf.constant(LOGITS), rows, tf.constant(epoch)))


def test_rows_count_by_their_weights():
    expected = -0.5 * LOG_P[0, 0] - 0.25 * LOG_P[1, 2]
    assert total(Objective(Plain())) == pytest.approx(expected, rel=1e-6)


def test_alpha_multiplies_the_classes_parts_of_soft_targets():
    def row(r, label):
        smoothed = 0.5 * np.eye(3)[label] + np.array([0.0, 0.5, 0.0])
        return -(smoothed * np.array([2.0, 1.0, 0.5]) * LOG_P[r]).sum()

    expected = 0.5 * row(0, 0) + 0.25 * row(1, 2)
    assert total(Objective(Plain(), Half()), alpha=(2.0, 1.0, 0.5)) == pytest.approx(expected, rel=1e-6)


def test_penalties_count_by_share_and_not_by_weight():
    p = np.exp(LOG_P)
    expected = total(Objective(Plain())) + 0.1 * (0.5 * p[0, 2] + 0.5 * p[1, 2])
    assert total(Objective(Plain(), penalties=(Buying(),))) == pytest.approx(expected, rel=1e-6)


def test_a_loss_may_depend_on_the_epoch():
    changing = Objective(Fading())
    assert total(changing, epoch=4.0) == pytest.approx(total(Objective(Plain())) / 4, rel=1e-6)
    losses = changing.row_losses(LABELS.astype(np.int8), LOGITS.astype(float), 2)
    np.testing.assert_allclose(losses, -LOG_P[np.arange(3), LABELS] / 2, rtol=1e-5)


def test_losses_of_rows_are_those_of_hard_targets_alone():
    objective = Objective(Plain(), Half(), (Buying(),))
    losses = objective.row_losses(LABELS.astype(np.int8), LOGITS.astype(float), 1)
    np.testing.assert_allclose(losses, -LOG_P[np.arange(3), LABELS], rtol=1e-5)


class Scalar:
    def __call__(self, targets, *_):
        return tf.reduce_sum(targets)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (
            Objective(Scalar()),
            r"^loss Scalar: expected one number per row, shape \(2,\) for two rows; received shape \(\)$",
        ),
        (
            Objective(Plain(), Scalar()),
            r"^smoother Scalar: expected targets of shape \(2, 3\) for two rows; received shape \(\)$",
        ),
        (
            Objective(Plain(), penalties=(Buying(), Scalar())),
            r"^penalty Scalar: expected one number per row, shape \(2,\) for two rows; received shape \(\)$",
        ),
    ],
)
def test_parts_of_another_shape_are_refused(objective, message):
    with pytest.raises(PluginError, match=message):
        objective.check()
