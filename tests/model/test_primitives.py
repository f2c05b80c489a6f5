"""Small parts: normalisations, activations, initial biases."""

import math

import numpy as np
import pytest
import tensorflow as tf

from simengine.model.initializers import gate_bias_init
from simengine.model.primitives import GatedFeedForward, normalise, rms_normalise


def some(seed=0):
    return np.random.default_rng(seed).normal(size=(2, 6, 8))


def test_normalisation_and_its_gradient():
    x = some(5) * 3 + 1
    for run, centre in ((normalise, True), (rms_normalise, False)):
        centred = x - x.mean(-1, keepdims=True) * centre
        expected = centred / np.sqrt(np.mean(centred**2, -1, keepdims=True) + 1e-3)
        np.testing.assert_allclose(run(tf.constant(x), 1e-3), expected, rtol=0, atol=1e-14)
        (ours,), (differences,) = tf.test.compute_gradient(
            tf.function(lambda x, run=run: tf.sin(run(x, 1e-3))), [tf.constant(x[:1, :2])], delta=1e-5
        )
        np.testing.assert_allclose(ours, differences, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("gelu", lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))),
        ("relu", lambda x: np.maximum(x, 0)),
        ("relu^2", lambda x: np.maximum(x, 0) ** 2),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("swish", lambda x: x / (1 + np.exp(-x))),
        ("selu", lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))),
    ],
)
def test_activations_and_biases_of_the_feed_forward_net(name, function):
    net = GatedFeedForward({"activation": name, "inner": 6, "use_bias": True}, dtype="float64")
    net.build((None, None, 8))
    for seed, weight in enumerate(net.trainable_weights):
        weight.assign(np.random.default_rng(seed).normal(size=weight.shape))
    x = some()
    gate, value = np.split(x @ net.up.numpy() + net.up_bias.numpy(), 2, -1)
    expected = (function(gate) * value) @ net.down.numpy() + net.down_bias.numpy()
    np.testing.assert_allclose(net(x), expected, rtol=0, atol=1e-12)


def test_initial_gate_biases_have_their_official_values():
    def forget(kind, depth=0.0):
        bias = np.asarray(gate_bias_init(kind, 8, depth, 3)((2, 16))).reshape(2, 4, 4)
        others = np.delete(bias, 1, axis=1)
        return bias[:, 1], others

    place = np.arange(4) / 3
    for depth in (0.0, 1.0):
        values, others = forget("powerlaw_blockdependent", depth)
        np.testing.assert_allclose(values, [5 - 12 * place ** (0.3 + 1.3 * depth)] * 2, rtol=1e-6)
        assert not others.any()
    values, others = forget("small_init")
    np.testing.assert_allclose(values, [np.linspace(3, 6, 4)] * 2, rtol=1e-6)
    assert not others.any()
    values, others = forget("standard")
    assert 0.2 < max(np.abs(values).max(), np.abs(others).max()) <= 1 / math.sqrt(8)
    assert not any(part.any() for part in forget("zeros"))
