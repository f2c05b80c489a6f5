import numpy as np
import pytest

from simengine.train.optimizer import Update, is_decayed
from simengine.train.options import FitOptions


@pytest.fixture
def network():
    import keras

    inputs = keras.Input((4,))
    hidden = keras.layers.LayerNormalization(name="norm")(keras.layers.Dense(3, name="dense")(inputs))
    return keras.Model(inputs, hidden)


def step(network, update, rate):
    import tensorflow as tf

    x = tf.constant(np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network(x) ** 3)
    update.apply(tape, total, rate)


def test_only_matrices_decay_and_by_rate_times_decay(network, context):
    names = {variable.path: is_decayed(variable) for variable in network.trainable_variables}
    assert names == {"dense/kernel": True, "dense/bias": False, "norm/gamma": False, "norm/beta": False}
    start = network.get_weights()
    results = []
    for decay in (0.0, 0.5):
        network.set_weights(start)
        step(network, Update(network, context(), FitOptions(weight_decay=decay)), 0.01)
        results.append(network.get_weights())
    plain, decayed = results
    np.testing.assert_allclose(decayed[0], plain[0] - 0.01 * 0.5 * start[0], atol=1e-6)
    for a, b in zip(plain[1:], decayed[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_bias_with_two_axes_does_not_decay():
    import keras

    gates = keras.Variable(np.zeros((4, 8), np.float32), name="bias")
    recurrent = keras.Variable(np.zeros((2, 4, 16), np.float32), name="recurrent")
    assert not is_decayed(gates)
    assert is_decayed(recurrent)


def test_its_state_carries_moments_and_average_on(network, context):
    options = FitOptions(weight_decay=0.1, ema=0.9)
    update = Update(network, context(), options)
    step(network, update, 0.01)
    weights, state = network.get_weights(), update.state()
    step(network, update, 0.02)
    expected = [*network.get_weights(), *update.state()]

    network.set_weights(weights)
    resumed = Update(network, context(), options)
    resumed.restore(state)
    step(network, resumed, 0.02)
    for a, b in zip(expected, [*network.get_weights(), *resumed.state()], strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    ("jit", "jit_steps", "steps", "compiled"),
    [
        ("auto", None, 10**6, False),
        ("auto", 300, 299, False),
        ("auto", 300, 300, True),
        (True, None, 1, True),
        (False, 1, 9, False),
    ],
)
def test_when_the_step_is_compiled(jit, jit_steps, steps, compiled):
    assert FitOptions(jit=jit, jit_steps=jit_steps).compiled(steps) is compiled
