"""Inputs and states that do not fit a layer: one line that says what is expected and what came."""

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

WIDTH, STEPS, ROWS = 8, 5, 3
ADVICE = ": pass what initial_state(batch) or an earlier call returned"
MLSTM_STATE = "(conv (3, 4, 64), C (3, 2, 32, 32), n (3, 2, 32, 1), m (3, 2, 1, 1))"
SLSTM_STATE = "(conv (3, 4, 8), hcnm (4, 3, 8))"
LARGE_STATE = "(C (3, 2, 2, 4), n (3, 2, 2, 1), m (3, 2, 1, 1))"
BLOCKS = ["mlstm", "slstm", "mlstm_large"]
STACK = {"blocks": BLOCKS, "mlstm": {"heads": 2}, "slstm": {"heads": 2}, "large": {"heads": 2}}
MEMORIES = {
    "mlstm": (lambda **k: MLSTM({"heads": 2}, **k), MLSTM_STATE),
    "mlstm, no convolution": (
        lambda **k: MLSTM({"heads": 2, "conv_kernel": 0}, **k),
        MLSTM_STATE.replace("conv (3, 4, 64), ", ""),
    ),
    "slstm": (lambda **k: SLSTM({"heads": 2}, **k), SLSTM_STATE),
    "large": (lambda **k: MLSTMLarge({"heads": 2}, **k), LARGE_STATE),
    "mlstm block": (lambda **k: MLSTMBlock({"heads": 2}, **k), MLSTM_STATE),
    "slstm block": (lambda **k: SLSTMBlock({"heads": 2}, **k), SLSTM_STATE),
    "large block": (lambda **k: MLSTMLargeBlock({"heads": 2}, **k), LARGE_STATE),
}
ALL = {
    **{name: make for name, (make, _) in MEMORIES.items()},
    "stack": lambda **k: XLSTMBlockStack(STACK, **k),
}


def built(make):
    layer = make(name="layer")
    layer.build((None, None, WIDTH))
    return layer


def sequence():
    return np.random.default_rng(1).normal(size=(ROWS, STEPS, WIDTH)).astype("float32")


def shapes(state):
    return f"({', '.join(str(tuple(part.shape)) for part in state)})"


def message_of(call):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        call()
    return str(error.value)


def both_ways(layer, state):
    """Return the message of the layer on a sequence and of its step, which must be the same."""
    x = sequence()
    message = message_of(lambda: layer(x, initial_state=state))
    assert message_of(lambda: layer.step(x[:, 0], state)) == message
    return message


@pytest.mark.parametrize(("make", "needed"), MEMORIES.values(), ids=MEMORIES)
def test_a_state_that_does_not_fit_is_refused_in_one_line(make, needed):
    layer = built(make)
    good, other = layer.initial_state(ROWS), layer.initial_state(1)
    wrong = {
        "3": 3,
        "(3, 4)": np.zeros((3, 4), "float32"),
        "()": (),
        shapes(good[:-1]): good[:-1],
        shapes((*good, good[-1])): [*good, good[-1]],
        shapes(other): other,
        f"({', '.join(['None'] * len(good))})": (None,) * len(good),
    }
    wrong["int"] = wrong.pop("3")
    for received, state in wrong.items():
        expected = f"layer: the state must be a tuple {needed}; received {received}{ADVICE}"
        assert both_ways(layer, state) == expected


def test_a_state_that_holds_no_numbers_is_refused():
    layer = built(MEMORIES["slstm"][0])
    conv, memory = layer.initial_state(ROWS)
    received = both_ways(layer, (conv, np.full(memory.shape, "x"))).split("; received ")[1]
    assert received == f"((3, 4, 8), (4, 3, 8) of string){ADVICE}"


def test_the_state_of_a_stack_has_one_state_for_each_block():
    layer = built(ALL["stack"])
    first, second, third = layer.initial_state(ROWS)
    needed = "layer: the state must be a tuple of 3 states, one for each block; received "
    assert both_ways(layer, (first, second)) == f"{needed}a tuple of 2{ADVICE}"
    assert both_ways(layer, {"first": first}) == f"{needed}dict{ADVICE}"
    expected = f"layer, block 1: the state must be a tuple {SLSTM_STATE}; received {shapes(first)}{ADVICE}"
    assert both_ways(layer, (first, first, third)) == expected
    # A block without a state starts from nothing.
    x = sequence()
    np.testing.assert_array_equal(layer(x, initial_state=(None, second, None)), layer(x))


def test_the_classifier_refuses_states_and_inputs_of_another_shape():
    model = XLSTMClassifier(5, 12, embedding=8, heads=2, blocks=BLOCKS, name="model")
    x, state = np.zeros((ROWS, STEPS, 5), "float32"), model.initial_state(ROWS)
    needed = "model: the state must be a tuple of 3 states, one for each block; received a tuple of 1"
    assert message_of(lambda: model.sequence(x, state[:1])) == f"{needed}{ADVICE}"
    received = shapes(model.initial_state(2)[0])
    expected = f"model, block 0: the state must be a tuple {MLSTM_STATE}; received {received}{ADVICE}"
    assert message_of(lambda: model.sequence(x, model.initial_state(2))) == expected
    expected = "model was built for 5 features; received inputs of shape (3, 5, 4)"
    assert message_of(lambda: model.sequence(x[..., 1:])) == expected
    expected = "model: expected inputs of shape (B, S, F); received (5, 5)"
    assert message_of(lambda: model.sequence(x[0])) == expected
    assert message_of(lambda: model.initial_state(2.0)) == "batch must be a whole number; received 2.0"


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_inputs_of_another_shape_are_refused_in_one_line(make):
    layer, x = built(make), sequence()
    state = layer.initial_state(ROWS)
    expected = "layer was built for 8 channels; received inputs of shape "
    assert message_of(lambda: layer(x[..., 1:])) == f"{expected}(3, 5, 7)"
    assert message_of(lambda: layer.step(x[:, 0, 1:], state)) == f"{expected}(3, 7)"
    assert message_of(lambda: layer(x[0])) == "layer: expected inputs of shape (B, S, D); received (5, 8)"
    expected = "layer: expected inputs of shape (B, D); received (3, 5, 8)"
    assert message_of(lambda: layer.step(x, state)) == expected


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_a_layer_without_weights_has_no_state_and_takes_no_step(make):
    expected = "nothing has no weights yet; build it first: layer.build((None, None, width))"
    assert message_of(lambda: make(name="nothing").initial_state(2)) == expected
    assert message_of(lambda: make(name="nothing").step(sequence()[:, 0], ())) == expected


def test_a_first_call_may_bring_a_state():
    layer, other = MLSTM({"heads": 2}), built(MEMORIES["mlstm"][0])
    x = sequence()
    after = other(x, return_state=True)[1]
    np.testing.assert_array_equal(layer(x, initial_state=after), other(x, initial_state=after))
    assert message_of(lambda: MLSTM({"heads": 2}, name="layer")(x, initial_state=after[1:])).startswith(
        "layer: the state must be a tuple (conv"
    )


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (2.0, "batch must be a whole number; received 2.0"),
        (True, "batch must be a whole number; received True"),
        (None, "batch must be a whole number; received None"),
        (-1, "batch must be at least 0; received -1"),
    ],
)
def test_the_number_of_sequences_is_whole(batch, message):
    assert message_of(lambda: built(MEMORIES["large"][0]).initial_state(batch)) == message


def test_the_length_must_be_known():
    layer = built(MEMORIES["slstm"][0])
    run = tf.function(layer, input_signature=[tf.TensorSpec((None, None, WIDTH))])
    with pytest.raises(ValueError, match=r"expected a sequence \(B, S, D\) with a known length S"):
        run(sequence())


def test_a_batch_of_any_size_is_one_graph():
    layer = built(MEMORIES["mlstm"][0])
    state = [tf.TensorSpec([None, *part.shape[1:]]) for part in layer.initial_state(1)]
    run = tf.function(
        lambda x, state: layer(x, initial_state=tuple(state)),
        input_signature=[tf.TensorSpec((None, STEPS, WIDTH)), state],
    )
    x = sequence()
    np.testing.assert_allclose(run(x, list(layer.initial_state(ROWS))), layer(x), atol=1e-6)
    narrow = tf.function(
        lambda x, state: layer(x, initial_state=(state,)),
        input_signature=[tf.TensorSpec((None, STEPS, WIDTH)), tf.TensorSpec((None, 2))],
    )
    with pytest.raises(ValueError, match=r"must be a tuple \(conv \(B, 4, 64\), .*; received \(\(B, 2\)\)"):
        narrow(x, tf.zeros((ROWS, 2)))


def test_a_layer_is_part_of_a_model_of_sequences_of_any_length():
    inputs = keras.Input((None, WIDTH))
    model = keras.Model(inputs, SLSTM({"heads": 2})(inputs))
    assert model.output_shape == (None, None, WIDTH)
    assert model(sequence()).shape == (ROWS, STEPS, WIDTH)
