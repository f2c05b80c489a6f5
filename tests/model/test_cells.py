"""The two recurrences against their definitions, step by step in plain NumPy."""

import numpy as np
import tensorflow as tf

from simengine.model.mlstm import MLSTM, mlstm_parallel
from simengine.model.slstm import SLSTM, slstm_scan


def log_sigmoid(x):
    return -np.logaddexp(0, -x)


def slstm_reference(gates, recurrent):
    steps, heads, rows, width = gates.shape
    h, c, n = (np.zeros((heads, rows, width // 4)) for _ in range(3))
    m = np.full_like(h, -np.inf)
    out = []
    for t in range(steps):
        i, f, z, o = np.split(gates[t] + h @ recurrent, 4, -1)
        kept = m + log_sigmoid(f)
        m = np.maximum(i, kept)
        c = np.exp(kept - m) * c + np.exp(i - m) * np.tanh(z)
        n = np.exp(kept - m) * n + np.exp(i - m)
        h = c / n / (1 + np.exp(-o))
        out.append(h)
    return np.stack(out)


def mlstm_reference(q, k, v, i, f):
    heads, rows, steps, width = q.shape
    c, n = np.zeros((heads, rows, width, width)), np.zeros((heads, rows, width))
    m = np.full((heads, rows), -np.inf)
    out = np.empty_like(q)
    for t in range(steps):
        kept = log_sigmoid(f[..., t]) + m
        m = np.maximum(kept, i[..., t])
        decay, gain = np.exp(kept - m), np.exp(i[..., t] - m)
        key = k[:, :, t] / np.sqrt(width)
        c = decay[..., None, None] * c + gain[..., None, None] * key[..., :, None] * v[:, :, t, None, :]
        n = decay[..., None] * n + gain[..., None] * key
        read = np.einsum("hbd,hbde->hbe", q[:, :, t], c)
        size = np.maximum(np.abs(np.einsum("hbd,hbd->hb", q[:, :, t], n)), np.exp(-m))
        out[:, :, t] = read / (size + 1e-6)[..., None]
    return out


def test_slstm_scan_is_the_recurrence():
    rng = np.random.default_rng(0)
    gates, recurrent = 3 * rng.normal(size=(9, 2, 4, 12)), rng.normal(size=(2, 3, 12))
    hidden = slstm_scan(tf.constant(gates), tf.constant(recurrent)).numpy()
    np.testing.assert_allclose(hidden, slstm_reference(gates, recurrent), rtol=0, atol=1e-13)


def test_the_written_slstm_gradient_is_the_numerical_one():
    rng = np.random.default_rng(1)
    gates, recurrent = rng.normal(size=(5, 2, 2, 8)), rng.normal(size=(2, 2, 8))
    weights = rng.normal(size=(5, 2, 2, 2))

    def total(g, r):
        return tf.reduce_sum(slstm_scan(g, r) * weights)

    exact, numerical = tf.test.compute_gradient(
        total, [tf.constant(gates), tf.constant(recurrent)], delta=1e-6
    )
    for ours, differences in zip(exact, numerical, strict=True):
        np.testing.assert_allclose(ours, differences, rtol=0, atol=2e-8)


def test_slstm_gates_far_from_zero_stay_finite():
    gates = tf.constant(np.random.default_rng(2).choice([-60.0, 0.0, 60.0], size=(20, 1, 50, 8)).astype("f"))
    recurrent = tf.zeros((1, 2, 8))
    with tf.GradientTape() as tape:
        tape.watch(gates)
        hidden = slstm_scan(gates, recurrent)
    assert np.isfinite(hidden).all()
    assert np.isfinite(tape.gradient(hidden, gates)).all()
    assert np.abs(hidden).max() <= 1 + 1e-6


def test_mlstm_parallel_form_is_the_recurrence():
    rng = np.random.default_rng(3)
    q, k, v = rng.normal(size=(3, 2, 4, 11, 5))
    i, f = 2 * rng.normal(size=(2, 2, 4, 11))
    expected = mlstm_reference(q, k, v, i, f)
    np.testing.assert_allclose(
        mlstm_parallel(*map(tf.constant, (q, k, v, i, f))), expected, rtol=0, atol=1e-11
    )
    last = mlstm_parallel(*map(tf.constant, (q[:, :, -1:], k, v, i, f)))
    np.testing.assert_allclose(last, expected[:, :, -1:], rtol=0, atol=1e-11)


def test_biases_of_the_mlstm_projections_reach_output_and_gates():
    layer = MLSTM(2, use_bias=True, dtype="float64")
    x = np.random.default_rng(4).normal(size=(2, 6, 8))
    before = layer(x).numpy()
    layer.input_gate.assign(tf.random.stateless_normal(layer.input_gate.shape, (1, 2), dtype="float64"))
    gated = layer(x).numpy()
    assert np.abs(gated - before).max() > 1e-4
    for name, bias in layer.biases.items():
        bias.assign_add(tf.linspace(tf.constant(0.1, "float64"), 0.3, bias.shape[0]))
        changed = layer(x).numpy()
        assert np.abs(changed - gated).max() > 1e-6, name
        gated = changed


def test_slstm_without_convolution():
    layer = SLSTM(2, conv_kernel=0)
    x = np.random.default_rng(5).normal(size=(2, 6, 8)).astype(np.float32)
    assert layer(x).shape == (2, 6, 8)
    assert not [weight.path for weight in layer.weights if "conv" in weight.path]
