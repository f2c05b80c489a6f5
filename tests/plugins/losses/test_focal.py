import numpy as np
import pytest
import tensorflow as tf

from simengine import PerClass
from simengine_plugins.losses.cross_entropy import CrossEntropy
from simengine_plugins.losses.focal import Focal

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(scale=2.0, size=(40, 3)).astype(np.float32)
TARGETS = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 40)]


def gradient(loss, targets, logits):
    logits = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(tf.constant(targets, tf.float32), logits)
    return tape.gradient(value, logits).numpy()


def test_half_sure_rows_cost_a_quarter_of_cross_entropy():
    logits = np.log([[0.5, 0.25, 0.25]]).astype(np.float32)
    loss = Focal(gamma=2.0)(np.array([[1, 0, 0]], np.float32), logits)
    assert loss.numpy().tolist() == pytest.approx([0.25 * 0.6931472], rel=1e-6)


def test_alpha_scales_the_rows_of_a_class():
    plain, scaled = Focal()(TARGETS, LOGITS), Focal(alpha=PerClass(1.0, 0.5, 2.0))(TARGETS, LOGITS)
    np.testing.assert_allclose(scaled, plain * np.array([1.0, 0.5, 2.0])[TARGETS.argmax(axis=1)], rtol=1e-6)


def test_gamma_zero_is_cross_entropy():
    np.testing.assert_allclose(Focal(gamma=0.0)(TARGETS, LOGITS), CrossEntropy()(TARGETS, LOGITS), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.5, 2.0])
def test_it_equals_the_formula_in_float64(gamma):
    exact = LOGITS.astype(float)
    p = np.exp(exact) / np.exp(exact).sum(axis=1, keepdims=True)
    true = (p * TARGETS).sum(axis=1)
    expected = -((1 - true) ** gamma) * np.log(true)
    np.testing.assert_allclose(Focal(gamma=gamma)(TARGETS, LOGITS), expected, rtol=1e-4)


@pytest.mark.parametrize("gap", [20.0, 50.0])
def test_rows_that_are_far_wrong_still_teach(gap):
    slope = gradient(Focal(gamma=2.0), [[1, 0, 0]], [[0.0, gap, 0.0]])
    assert slope[0, 0] == pytest.approx(-1.0, rel=1e-3)
    assert slope[0, 1] == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.5, 2.0])
@pytest.mark.parametrize("gap", [0.0, 50.0, 500.0])
def test_gradients_are_finite_however_sure_the_network_is(gamma, gap):
    for row in ([gap, 0.0, 0.0], [0.0, gap, 0.0], [gap, gap, 0.0]):
        assert np.isfinite(gradient(Focal(gamma=gamma), [[1, 0, 0]], [row])).all()


def test_alpha_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"^alpha must be >= 0 and not all 0; received \(0\.0, 0\.0, 0\.0\)"):
        Focal(alpha=PerClass(0.0, 0.0, 0.0))
