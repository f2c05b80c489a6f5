"""What all losses have in common."""

import inspect

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.plugin.manager import build_registry

REGISTRY = build_registry(discover=False)
NAMES = REGISTRY.names("loss")
ROWS = np.eye(3)
LABELS = np.array([0, 1, 1, 2, 2, 2], np.int8)


def loss_of(name):
    """Return a loss as a function of targets and logits, in its third epoch."""
    loss = REGISTRY.create("loss", name)
    if hasattr(loss, "fit"):
        loss.fit(LABELS)
    epoch = (tf.constant(3.0),) if "epoch" in inspect.signature(loss).parameters else ()
    return lambda targets, logits: loss(tf.convert_to_tensor(targets), tf.convert_to_tensor(logits), *epoch)


def gradient(loss, targets, logits):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(targets, logits)
    return tape.gradient(value, logits).numpy()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gap", [17.0, 50.0])
def test_rows_that_are_far_wrong_still_teach(name, dtype, gap):
    said = np.roll(ROWS, 1, axis=1)
    slope = gradient(loss_of(name), ROWS.astype(dtype), (gap * said).astype(dtype))
    np.testing.assert_allclose(slope, said - ROWS, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(logits=st.tuples(*[st.floats(-20, 20)] * 3), shift=st.floats(-50, 50), share=st.floats(0, 1))
def test_a_shift_of_all_logits_changes_nothing_and_no_loss_is_below_zero(name, logits, shift, share):
    loss = loss_of(name)
    targets = share * ROWS + (1 - share) / 3
    at, shifted = (np.tile(np.array(logits) + by, (3, 1)) for by in (0.0, shift))
    value = np.asarray(loss(targets, at))
    assert (value >= 0).all()
    np.testing.assert_allclose(loss(targets, shifted), value, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient(loss, targets, at).sum(axis=1), 0, atol=1e-9)
