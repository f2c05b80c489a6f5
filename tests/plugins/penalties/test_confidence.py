import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine_plugins.penalties.confidence import Confidence

PROBA = np.array([[0.1, 0.1, 0.8], [0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3], [0.2, 0.35, 0.45]])
ENTROPY = -(PROBA * np.log(PROBA)).sum(axis=1)
LOGITS = np.log(PROBA) + np.array([[3.0], [0.0], [-2.0], [1.0]])
NO_TARGETS = np.zeros((4, 3))


def of(penalty, logits=LOGITS):
    return np.asarray(penalty(tf.constant(NO_TARGETS), tf.constant(logits)))


def test_the_soft_gate_by_hand():
    assert of(Confidence())[0] == pytest.approx(-0.05 * 0.8 * 0.6390319, rel=1e-6)
    np.testing.assert_allclose(of(Confidence()), -0.05 * PROBA[:, 2] * ENTROPY, rtol=1e-9)


def test_the_hard_gate_looks_at_rows_predicted_as_the_class():
    found = of(Confidence(gate="argmax", weight=2.0))
    np.testing.assert_allclose(found, -2 * np.array([1, 0, 0, 1]) * ENTROPY, rtol=1e-9)


def test_several_classes_can_be_penalised():
    both = Confidence(classes=("sell", "buy"), weight=1.0)
    np.testing.assert_allclose(of(both), -(PROBA[:, 0] + PROBA[:, 2]) * ENTROPY, rtol=1e-9)
    every = Confidence(classes=("sell", "hold", "buy"), weight=1.0)
    np.testing.assert_allclose(of(every), -ENTROPY, rtol=1e-9)


def slope(penalty, logits=LOGITS):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = penalty(tf.constant(NO_TARGETS), logits)
    return tape.gradient(value, logits).numpy()


@pytest.mark.parametrize("gate", ["soft", "argmax"])
def test_gradients_are_those_of_the_entropy_at_a_fixed_gate(slopes, gate):
    gates = PROBA[:, 2] if gate == "soft" else np.array([1.0, 0, 0, 1])

    def at_fixed_gate(logits):
        p = tf.nn.softmax(logits)
        return 0.3 * gates * tf.reduce_sum(p * tf.math.log(p), axis=-1)

    _, numeric = slopes(at_fixed_gate, LOGITS)
    np.testing.assert_allclose(slope(Confidence(weight=0.3, gate=gate)), numeric, rtol=1e-6, atol=1e-9)


def test_the_gradient_by_hand():
    # .05 x .8 x .8 x (log .8 + .6390) = .0133 on the logit of BUY
    assert slope(Confidence())[0, 2] == pytest.approx(0.05 * 0.8 * 0.8 * 0.4158883, rel=1e-6)


@settings(max_examples=40)
@given(logits=st.tuples(*[st.floats(-50, 50)] * 3), gate=st.sampled_from(["soft", "argmax"]))
def test_a_small_step_never_makes_a_row_surer(logits, gate):
    row = np.array([logits])
    gradient = slope(Confidence(gate=gate), np.tile(row, (4, 1)))[:1]
    assert np.isfinite(gradient).all()
    assert gradient.sum() == pytest.approx(0, abs=1e-12)

    def entropy(z):
        log_p = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
        return -(np.exp(log_p) * log_p).sum()

    assert entropy(row - 1e-3 * gradient) >= entropy(row) - 1e-12


@pytest.mark.parametrize("gap", [50.0, 500.0])
def test_sure_rows_are_finite(gap):
    logits = gap * np.eye(3)[[0, 1, 2, 2]]
    assert np.isfinite(of(Confidence(), logits)).all()
    assert np.isfinite(slope(Confidence(), logits)).all()


def test_a_class_named_twice_is_refused():
    with pytest.raises(ValueError, match=r"^classes: expected each class once, received \['buy', 'buy'\]$"):
        Confidence(classes=("buy", "buy"))
