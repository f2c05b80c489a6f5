"""States: a sequence in parts, step by step or at once is one sequence, for every layer that has a state."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simengine.model.block import MLSTMBlock, SLSTMBlock
from simengine.model.classifier import XLSTMClassifier
from simengine.model.large import MLSTMLarge, MLSTMLargeBlock
from simengine.model.mlstm import MLSTM
from simengine.model.slstm import SLSTM
from simengine.model.stack import XLSTMBlockStack

WIDTH, STEPS, ROWS = 8, 13, 3
ALL = ["mlstm", "slstm", "mlstm_large"]
LAYERS = {
    "mlstm": lambda **k: MLSTM({"heads": 2, "use_bias": True}, **k),
    "mlstm, no convolution": lambda **k: MLSTM({"heads": 2, "conv_kernel": 0}, **k),
    "mlstm, one tap": lambda **k: MLSTM({"heads": 2, "conv_kernel": 1}, **k),
    "mlstm in chunks": lambda **k: MLSTM({"heads": 2, "form": "chunkwise", "chunk_size": 4}, **k),
    "mlstm recurrent": lambda **k: MLSTM({"heads": 2, "form": "recurrent"}, **k),
    "slstm": lambda **k: SLSTM({"heads": 2, "recurrent_init": "standard"}, **k),
    "slstm, no convolution": lambda **k: SLSTM({"heads": 2, "conv_kernel": 0}, **k),
    "slstm, long convolution": lambda **k: SLSTM({"heads": 2, "conv_kernel": 9}, **k),
    "large": lambda **k: MLSTMLarge({"heads": 2, "input_gate_bias": 0.0}, **k),
    "mlstm block": lambda **k: MLSTMBlock({"heads": 2}, **k),
    "slstm block": lambda **k: SLSTMBlock({"heads": 2}, **k),
    "large block": lambda **k: MLSTMLargeBlock({"heads": 2}, **k),
    "stack": lambda **k: XLSTMBlockStack({"blocks": ALL}, **k),
}


def awake(layer):
    """Return the built layer with weights that leave nothing out (gates and recurrence start at 0)."""
    layer.build((None, None, WIDTH))
    rng = np.random.default_rng(0)
    for weight in layer.trainable_weights:
        weight.assign(weight.numpy() + 0.2 * rng.normal(size=weight.shape))
    return layer


def sequence(seed=1, steps=STEPS):
    return np.random.default_rng(seed).normal(size=(ROWS, steps, WIDTH))


def flat(state):
    return [np.asarray(x) for x in keras.tree.flatten(state)]


@pytest.fixture(params=LAYERS)
def layer(request):
    return awake(LAYERS[request.param](dtype="float64"))


def assert_same(actual, expected, tolerance=1e-12):
    for ours, theirs in zip(flat(actual), flat(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def test_a_sequence_in_parts_is_the_whole(layer):
    x = sequence()
    whole, last = layer(x, return_state=True)
    assert_same(whole, layer(x))
    for cut in (1, 2, 5, STEPS - 1):
        first, state = layer(x[:, :cut], return_state=True)
        second, end = layer(x[:, cut:], initial_state=state, return_state=True)
        assert_same(np.concatenate([first, second], 1), whole)
        assert_same(end, last)


def test_step_by_step_is_the_sequence(layer):
    x = sequence()
    expected, last = layer(x, return_state=True)
    state = layer.initial_state(ROWS)
    for t in range(STEPS):
        y, state = layer.step(x[:, t], state)
        assert y.shape == (ROWS, WIDTH)
        assert_same(y, expected[:, t])
    assert_same(state, last)


def test_a_first_state_changes_nothing_and_has_the_shape_of_the_last(layer):
    x = sequence()
    y, last = layer(x, return_state=True)
    first = layer.initial_state(ROWS)
    assert_same(layer(x, initial_state=first), y)
    assert [a.shape for a in flat(first)] == [a.shape for a in flat(last)]
    assert [a.dtype for a in flat(first)] == [a.dtype for a in flat(last)]


def test_the_state_matters_and_rows_keep_their_own(layer):
    x, other = sequence(), sequence(2)
    other[0] = x[0]
    after = [layer(start, return_state=True)[1] for start in (x, other)]
    y, changed = (layer(x[:, :3], initial_state=state).numpy() for state in after)
    assert np.abs(y - changed)[1:].max() > 1e-4
    assert_same(y[:1], changed[:1])


def test_the_official_first_state_has_finite_stabilisers():
    assert all(np.isfinite(a).all() for a in flat(awake(LAYERS["mlstm"]()).initial_state(2, official=True)))
    for array in flat(awake(LAYERS["slstm"]()).initial_state(2)):
        assert array.shape in {(2, 4, WIDTH), (4, 2, WIDTH)}


def test_shapes_of_the_states_are_the_official_ones():
    conv, c, n, m = awake(LAYERS["mlstm"]()).initial_state(ROWS)
    inner = 64
    assert conv.shape == (ROWS, 4, inner)
    assert c.shape == (ROWS, 2, inner // 2, inner // 2)
    assert n.shape == (ROWS, 2, inner // 2, 1)
    assert m.shape == (ROWS, 2, 1, 1)
    assert len(awake(LAYERS["mlstm, no convolution"]()).initial_state(ROWS)) == 3
    assert len(awake(LAYERS["slstm, no convolution"]()).initial_state(ROWS)) == 1
    assert len(awake(LAYERS["stack"]()).initial_state(ROWS)) == len(ALL)


def test_the_gradient_flows_through_the_state(layer):
    x = tf.constant(sequence(steps=6))
    weight = layer.trainable_weights[-1]

    def gradient(loss):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss()
        return tape.gradient(value, [x, weight.value])

    def in_parts():
        first, state = layer(x[:, :4], return_state=True)
        return tf.reduce_sum(tf.sin(tf.concat([first, layer(x[:, 4:], initial_state=state)], 1)))

    whole = gradient(lambda: tf.reduce_sum(tf.sin(layer(x))))
    # Each form leaves the same 1e-6, the normaliser's epsilon, out of the gradient at another place.
    assert_same(gradient(in_parts), whole, tolerance=1e-5)


def test_the_last_step_alone_carries_the_same_state(layer):
    config = {**layer.get_config(), "return_sequences": False}
    last_only = type(layer).from_config(config)
    last_only.build((None, None, WIDTH))
    for ours, theirs in zip(last_only.weights, layer.weights, strict=True):
        ours.assign(theirs)
    x = sequence()
    y, state = layer(x, return_state=True)
    last, other = last_only(x, return_state=True)
    assert last.shape == (ROWS, WIDTH)
    assert_same(last, y[:, -1])
    assert_same(other, state)


def classifier(blocks):
    model = XLSTMClassifier(5, 12, embedding=8, heads=2, blocks=blocks, recurrent_dropout=0.2, seed=1)
    rng = np.random.default_rng(2)
    for weight in model.trainable_weights:
        weight.assign(weight.numpy() + 0.2 * rng.normal(size=weight.shape))
    return model


def test_the_classifier_scores_every_bar_of_a_sequence():
    model = classifier(ALL)
    x = np.random.default_rng(3).normal(size=(4, 30, 5)).astype("float32")
    logits, _ = model.sequence(x)
    assert logits.shape == (4, 30, 3)
    np.testing.assert_allclose(logits[:, 11], model(x[:, :12]), atol=2e-6)
    first, state = model.sequence(x[:, :17], model.initial_state(4))
    second, _ = model.sequence(x[:, 17:], state)
    np.testing.assert_allclose(np.concatenate([first, second], 1), logits, atol=5e-6)


@pytest.mark.parametrize("blocks", [["slstm"], ["mlstm"]])
def test_a_sequence_in_training_drops_and_can_be_compiled(blocks):
    model = classifier(blocks)
    x = np.random.default_rng(3).normal(size=(4, 9, 5)).astype("float32")
    run = tf.function(model.sequence, jit_compile=True)
    logits, state = run(tf.constant(x), model.initial_state(4))
    np.testing.assert_allclose(logits, model.sequence(x)[0], atol=5e-6)
    dropped, _ = model.sequence(x, state, training=True)
    assert np.abs(dropped - model.sequence(x, state)[0]).max() > 1e-3
