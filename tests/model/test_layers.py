"""Layers do what their options say, survive JSON and stay finite."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from simengine.model.block import MLSTMBlock, SLSTMBlock
from simengine.model.large import MLSTMLarge, MLSTMLargeBlock
from simengine.model.mlstm import MLSTM
from simengine.model.options import SLSTMOptions
from simengine.model.primitives import CausalConv1D, GatedFeedForward, LayerNorm, RMSNorm
from simengine.model.slstm import SLSTM
from simengine.model.stack import XLSTMBlockStack

KINDS = ["mlstm", "slstm", "mlstm_large"]


def sequence(width=8, steps=6, rows=2, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(rows, steps, width)).astype(dtype)


def disturb(layer, scale=0.3, seed=1):
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_weights:
        weight.assign(weight.numpy() + scale * rng.normal(size=weight.shape))
    return layer


def names(layer):
    return {weight.path.split("/", 1)[1] for weight in layer.weights}


@pytest.mark.parametrize(
    "layer",
    [
        lambda: MLSTM(
            {"heads": 2, "qkv_block": 2, "form": "chunkwise", "chunk_size": 5}, num_blocks=3, seed=4
        ),
        lambda: SLSTM({"heads": 2, "bias_init": "small_init", "recurrent_dropout": 0.1}, depth=0.5, seed=4),
        lambda: MLSTMLarge({"gate_cap": 7.0}, num_blocks=2, return_sequences=False),
        lambda: MLSTMBlock({"use_bias": True}, index=1, num_blocks=2),
        lambda: SLSTMBlock({"heads": 1}, ffn={"activation": "relu^2"}, index=1, num_blocks=2),
        lambda: SLSTMBlock({"heads": 1}, ffn=None, dtype="mixed_bfloat16"),
        lambda: MLSTMLargeBlock({"norm_eps": 1e-4, "use_bias": True}),
        lambda: XLSTMBlockStack({"blocks": KINDS, "final_norm": "rms", "ffn": None}, return_sequences=False),
        lambda: LayerNorm(),
        lambda: RMSNorm(1e-3, use_bias=True),
        lambda: CausalConv1D(3, seed=2),
        lambda: GatedFeedForward({"inner": 5, "use_bias": True}, num_blocks=2, seed=3),
    ],
)
def test_every_layer_can_be_written_down_and_read_again(layer):
    layer = layer()
    stored = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(stored)
    assert again.get_config() == layer.get_config()
    for one in (layer, again):
        one.build((None, 6, 8))
    for first, second in zip(layer.weights, again.weights, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("block", [1, 2, 4, 8, 16, 32])
def test_blocks_of_channels_may_be_smaller_or_larger_than_a_head(block):
    layer = disturb(built(MLSTM({"heads": 8, "inner": 64, "qkv_block": block}, dtype="float64")))
    x = np.random.default_rng(2).normal(size=(2, 5, 64))
    projected = layer._project(tf.constant(x), "query").numpy()
    expected = np.einsum("bsnd,nde->bsne", x.reshape(2, 5, -1, block), layer.query.numpy())
    expected = expected.reshape(2, 5, 8, 8).transpose(2, 0, 1, 3)
    np.testing.assert_allclose(projected, expected, rtol=0, atol=1e-12)


def built(layer, width=8):
    layer.build((None, None, width))
    return layer


def test_blocks_and_heads_that_only_share_a_multiple():
    # Heads of 6 channels and blocks of 4: neither holds the other, 12 channels hold both.
    layer = disturb(
        built(MLSTM({"heads": 4, "inner": 24, "qkv_block": 4, "use_bias": True}, dtype="float64"))
    )
    x = np.random.default_rng(2).normal(size=(2, 5, 24))
    full = np.zeros((24, 24))
    for index, part in enumerate(layer.key.numpy()):
        full[4 * index : 4 * index + 4, 4 * index : 4 * index + 4] = part
    expected = (x @ full + layer.biases["key"].numpy()).reshape(2, 5, 4, 6).transpose(2, 0, 1, 3)
    np.testing.assert_allclose(layer._project(tf.constant(x), "key"), expected, rtol=0, atol=1e-12)
    kernel = np.concatenate([layer.input_gate, layer.forget_gate], -1)
    parts = [layer._project(tf.constant(x), name).numpy() for name in ("query", "key", "value")]
    qkv = np.concatenate([p.transpose(1, 2, 0, 3).reshape(2, 5, 24) for p in parts], -1)
    gates = qkv @ kernel + np.concatenate([layer.input_gate_bias, layer.forget_gate_bias])
    ours = layer._gates(tf.constant(x), tf.constant(x)).numpy()
    np.testing.assert_allclose(ours, gates.transpose(2, 0, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("layer", [MLSTM, SLSTM])
def test_without_a_convolution_nothing_of_it_is_left(layer):
    layer = disturb(built(layer({"heads": 2, "conv_kernel": 0}, dtype="float64")))
    assert not [name for name in names(layer) if "conv" in name]
    x = sequence()
    convolved = type(layer)({"heads": 2, "conv_kernel": 1}, dtype="float64")
    built(convolved)
    for weight in layer.weights:
        next(w for w in convolved.weights if w.path.split("/", 1)[1] == weight.path.split("/", 1)[1]).assign(
            weight
        )
    convolved.conv.kernel.assign(tf.ones_like(convolved.conv.kernel))
    convolved.conv.bias.assign(tf.zeros_like(convolved.conv.bias))
    # One tap of 1 is the input itself; only the activation is between them.
    assert np.abs(layer(x) - convolved(x)).max() > 1e-3
    convolved._convolve = lambda x, mode: (x, None, ())
    np.testing.assert_array_equal(layer(x), convolved(x))


def test_biases_of_the_mlstm_reach_output_and_gates():
    layer = MLSTM({"heads": 2, "use_bias": True}, dtype="float64")
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


def test_recurrent_weights_start_at_zero_or_uniform():
    assert not built(SLSTM()).recurrent.numpy().any()
    weights = built(SLSTM({"recurrent_init": "standard"}), 64).recurrent.numpy()
    assert 0.12 < np.abs(weights).max() <= 1 / 8
    assert weights.std() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.05)


def test_the_scale_of_the_slstm_can_be_left_out():
    with_scale, without = (
        built(SLSTM({"group_norm_weight": on}, seed=2, dtype="float64")) for on in (True, False)
    )
    assert names(with_scale) - names(without) == {"scale"}
    np.testing.assert_array_equal(with_scale(sequence()), without(sequence()))


def test_parts_of_a_stack_can_be_left_out():
    full = built(XLSTMBlockStack({"blocks": KINDS}))
    bare = built(XLSTMBlockStack({"blocks": KINDS, "ffn": None, "final_norm": None}))
    gone = {"block_1/ffn/up", "block_1/ffn/down", "block_1/ffn_norm/scale", "norm/scale"}
    assert names(full) - names(bare) == gone
    assert bare(sequence(dtype="float32")).shape == (2, 6, 8)


def recurrent_slstm(rate):
    layer = SLSTM({"heads": 2, "recurrent_dropout": rate}, seed=6, dtype="float64")
    return disturb(built(layer), 0.8)


def test_recurrent_dropout_drops_one_set_of_units_per_sequence():
    layer, x = recurrent_slstm(0.5), sequence(steps=5, rows=40)
    np.testing.assert_array_equal(layer(x), recurrent_slstm(0.0)(x))
    first, second = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    assert np.abs(first - second).max() > 1e-3
    # Nothing has been remembered before the first step, so there is nothing to drop.
    np.testing.assert_allclose(first[:, 0], layer(x)[:, 0], rtol=0, atol=1e-12)
    # With 4 units in each of 2 heads some rows lose none or all: with all of them dropped the recurrent
    # weights do not matter at any step.
    drops = SLSTM({"heads": 2, "recurrent_dropout": 0.5}, seed=6, dtype="float64")
    built(drops)
    for ours, theirs in zip(drops.trainable_weights, layer.trainable_weights, strict=True):
        ours.assign(theirs)
    drops.recurrent.assign(tf.zeros_like(drops.recurrent))
    dropped = recurrent_slstm(0.5)(x, training=True).numpy()
    alike = np.isclose(dropped, drops(x), rtol=0, atol=1e-12).reshape(40, 5, 2, 4).all((1, 3))
    assert 0 < alike.sum() < 20


def test_the_gradient_of_recurrent_dropout_is_the_numerical_one():
    layer, x = recurrent_slstm(0.5), tf.constant(sequence(steps=5))
    seed = next(v for v in layer.variables if v.name == "seed_generator_state")
    start = seed.numpy()

    def total(x, recurrent):
        seed.assign(start)
        layer.recurrent.assign(recurrent)
        return tf.reduce_sum(tf.sin(layer(x, training=True)))

    recurrent = layer.recurrent.numpy()
    with tf.GradientTape() as tape:
        tape.watch(x)
        seed.assign(start)
        value = tf.reduce_sum(tf.sin(layer(x, training=True)))
    gradients = tape.gradient(value, [x, layer.recurrent.value])
    rng = np.random.default_rng(7)
    for place, gradient in enumerate(gradients):
        ways = [rng.normal(size=gradient.shape) if place == own else 0.0 for own in range(2)]
        sides = [float(total(x + s * ways[0], recurrent + s * ways[1])) for s in (1e-5, -1e-5)]
        assert np.sum(gradient * ways[place]) == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_keeps_memory_and_residual_stream_in_float32(kind):
    options = {"blocks": [kind], "mlstm": {"heads": 2}, "slstm": {"heads": 2}, "large": {"heads": 2}}
    exact, mixed = (built(XLSTMBlockStack(options, seed=3, dtype=t)) for t in ("float32", "mixed_bfloat16"))
    for ours, theirs in zip(mixed.weights, disturb(exact, 0.1).weights, strict=True):
        ours.assign(theirs)
        assert ours.dtype == "float32"
    x = sequence(dtype="float32")
    with tf.GradientTape() as tape:
        y, state = mixed(x, return_state=True)
        loss = tf.reduce_sum(y)
    assert y.dtype == tf.float32
    assert all(part.dtype == tf.float32 for part in state[0][-3 if kind != "slstm" else -1 :])
    error = np.abs(y - exact(x)).max()
    assert 1e-5 < error < 0.15
    for gradient in tape.gradient(loss, [w.value for w in mixed.trainable_weights]):
        assert np.isfinite(gradient).all()
    one, _ = mixed.step(x[:, 0], mixed.initial_state(2))
    np.testing.assert_allclose(one, y[:, 0], atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [-40.0, 40.0])
def test_gates_far_from_zero_and_large_inputs_stay_finite(kind, bias):
    layer = XLSTMBlockStack(
        {"blocks": [kind], "mlstm": {"heads": 2}, "slstm": {"heads": 2}, "large": {"heads": 2}}
    )
    disturb(built(layer))
    memory = layer.blocks[0].memory
    gates = [memory.bias] if kind == "slstm" else [memory.input_gate_bias, memory.forget_gate_bias]
    for gate in gates:
        gate.assign(tf.fill(gate.shape, bias))
    x = tf.constant(sequence(steps=20, dtype="float32") * 100)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(y)
    for value in (y, *tape.gradient(loss, [x, *(w.value for w in layer.trainable_weights)])):
        assert np.isfinite(value).all()


def test_options_of_another_layer_are_refused():
    with pytest.raises(
        TypeError, match=r"^options must be MLSTMOptions or a mapping; received SLSTMOptions$"
    ):
        MLSTM(SLSTMOptions())


def test_widths_that_do_not_divide_are_refused():
    message = r"^qkv_block must be a positive divisor of the inner width of the mLSTM; received 3 for 64$"
    with pytest.raises(ValueError, match=message):
        built(MLSTM({"qkv_block": 3}))
    with pytest.raises(ValueError, match=r"^heads must be a positive divisor of the width of the sLSTM"):
        built(SLSTM({"heads": 3}))
