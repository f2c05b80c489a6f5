"""The block of xLSTM-7B against its definition, step by step in plain NumPy."""

import math

import numpy as np
import pytest
import tensorflow as tf

from simengine.model.large import MLSTMLarge, MLSTMLargeBlock, soft_cap
from simengine.model.options import LargeOptions

WIDTH, ROWS, STEPS, HEADS = 12, 2, 7, 3
OPTIONS = {"heads": HEADS, "use_bias": True, "gate_cap": 5.0, "ffn_round_to": 8, "qk_factor": 0.5}


@pytest.fixture
def block():
    layer = MLSTMLargeBlock(OPTIONS, num_blocks=2, dtype="float64")
    layer.build((None, None, WIDTH))
    rng = np.random.default_rng(0)
    for weight in layer.trainable_weights:
        weight.assign(weight.numpy() + 0.5 * rng.normal(size=weight.shape))
    # Within reach of each other: closed input gates (-10) would leave every read at the bound.
    layer.memory.input_gate_bias.assign(rng.normal(size=HEADS))
    return layer


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rms_norm(x, scale, bias):
    return x / np.sqrt(np.mean(x**2, -1, keepdims=True) + 1e-6) * scale + bias


def memory_reference(layer, x):
    """Return the mLSTM of one row (S, D)."""
    w = {v.name: v.numpy() for v in layer.weights}

    def project(x, name):
        return x @ w[name] + w[f"{name}_bias"]

    def capped(name):
        return 5 * np.tanh(project(x, name) / 5)

    q, k, v = (project(x, name).reshape(STEPS, HEADS, -1) for name in ("query", "key", "value"))
    i, f, out = capped("input_gate"), capped("forget_gate"), []
    c, n, m = np.zeros((HEADS, 2, 4)), np.zeros((HEADS, 2)), np.full(HEADS, -np.inf)
    for t in range(STEPS):
        kept = -np.logaddexp(0, -f[t]) + m
        m = np.maximum(kept, i[t])
        decay, gain, key = np.exp(kept - m), np.exp(i[t] - m), k[t] / np.sqrt(2)
        c = decay[:, None, None] * c + gain[:, None, None] * key[:, :, None] * v[t][:, None]
        n = decay[:, None] * n + gain[:, None] * key
        size = np.maximum(np.abs(np.sum(q[t] * n, -1)), np.exp(-m)) + 1e-6
        out.append(np.einsum("hd,hde->he", q[t], c) / size[:, None])
    h = np.stack(out)
    h = h - h.mean(-1, keepdims=True)
    h = (h / np.sqrt(np.mean(h**2, -1, keepdims=True) + 1e-6)).reshape(STEPS, -1)
    opened = sigmoid(project(x, "output_gate")) * (h * w["scale"] + w["scale_bias"])
    return project(opened, "down")


def block_reference(block, x):
    norms = [(norm.scale.numpy(), norm.bias.numpy()) for norm in (block.norm, block.ffn_norm)]
    x = x + memory_reference(block.memory, rms_norm(x, *norms[0]))
    up = rms_norm(x, *norms[1]) @ block.ffn.up.numpy() + block.ffn.up_bias.numpy()
    gate, value = np.split(up, 2, -1)
    return x + (gate * sigmoid(gate) * value) @ block.ffn.down.numpy() + block.ffn.down_bias.numpy()


def test_the_block_is_its_definition(block):
    x = np.random.default_rng(1).normal(size=(ROWS, STEPS, WIDTH))
    expected = np.stack([block_reference(block, row) for row in x])
    np.testing.assert_allclose(block(x), expected, rtol=0, atol=1e-11)


def test_no_step_sees_a_later_one(block):
    x = np.random.default_rng(2).normal(size=(ROWS, STEPS, WIDTH))
    changed = np.concatenate([x[:, :4], -x[:, 4:]], 1)
    before, after = block(x).numpy(), block(changed).numpy()
    np.testing.assert_allclose(before[:, :4], after[:, :4], rtol=0, atol=1e-13)
    assert np.abs(before - after)[:, 4:].max() > 0.1


def test_the_gradient_is_the_numerical_one(block):
    x = np.random.default_rng(3).normal(size=(ROWS, STEPS, WIDTH))
    direction = np.random.default_rng(4).normal(size=x.shape)
    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        total = tf.reduce_sum(tf.sin(block(inputs)))
    slope = np.sum(tape.gradient(total, inputs) * direction)
    sides = [float(tf.reduce_sum(tf.sin(block(x + sign * 1e-5 * direction)))) for sign in (1, -1)]
    assert slope == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4)


def test_gates_are_capped():
    np.testing.assert_allclose(soft_cap(tf.constant([-1e6, 0.01, 1e6]), 15.0), [-15, 0.01, 15], rtol=1e-6)


def test_widths_and_first_weights_are_the_published_ones():
    layer = MLSTMLargeBlock(LargeOptions(heads=2), num_blocks=3)
    layer.build((None, None, 64))
    shapes = {weight.path.split("/", 1)[1]: tuple(weight.shape) for weight in layer.weights}
    assert shapes == {
        "norm/scale": (64,),
        "memory/query": (64, 32),
        "memory/key": (64, 32),
        "memory/value": (64, 64),
        "memory/output_gate": (64, 64),
        "memory/input_gate": (64, 2),
        "memory/forget_gate": (64, 2),
        "memory/input_gate_bias": (2,),
        "memory/forget_gate_bias": (2,),
        "memory/scale": (64,),
        "memory/down": (64, 64),
        "ffn_norm/scale": (64,),
        "ffn/up": (64, 2 * 192),
        "ffn/down": (192, 64),
    }
    np.testing.assert_array_equal(layer.memory.input_gate_bias, [-10, -10])
    np.testing.assert_array_equal(layer.memory.forget_gate_bias, [3, 6])
    assert layer.memory.down.numpy().std() == pytest.approx(2 / 3 / math.sqrt(64), rel=0.05)


@pytest.mark.parametrize(("width", "inner"), [(24, 64), (25, 128), (64, 192), (4096, 10944)])
def test_the_width_of_the_feed_forward_net_follows_the_official_formula(width, inner):
    assert LargeOptions().ffn_width(width) == inner


def test_heads_must_divide_the_keys():
    with pytest.raises(
        ValueError, match=r"^heads must be a positive divisor of the width of the keys; received 4 for 6$"
    ):
        MLSTMLarge(LargeOptions(heads=4)).build((None, None, 12))
