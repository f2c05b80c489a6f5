"""The two compiled functions of a network: one training step, and logits of windows.

Both are fed with window ends and gather the windows from the feature matrix inside the graph, so that
no data set is ever held as windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.errors import DataError, PluginError
from simengine.types import N_CLASSES, Float32Array

if TYPE_CHECKING:
    import keras

    from simengine.data.windows import WindowSet
    from simengine.plugin.kinds import BatchTransform, Loss
    from simengine.train.optimizer import Update

TensorFunction = Callable[..., Any]
PREDICT_BATCH = 512
"""Windows per inference batch: beyond this the speed no longer grows, only the memory."""


def check_ends(windows: WindowSet, name: str) -> None:
    """Refuse windows that reach outside their matrix.

    Raises
    ------
    DataError
        When a window begins before row 0 or ends after the last row.
    """
    if len(windows) == 0:
        return
    first, last = int(windows.ends.min()), int(windows.ends.max())
    if first < windows.length - 1 or last >= len(windows.matrix):
        raise DataError(
            f"{name} windows end at rows {first} to {last}, but windows of {windows.length} bars over "
            f"{len(windows.matrix)} rows can end at {windows.length - 1} to {len(windows.matrix) - 1}"
        )


def check_loss(loss: Loss) -> None:
    """Call a loss once on two rows.

    Raises
    ------
    PluginError
        When it does not return one number per row.
    """
    import tensorflow as tf

    received = tf.convert_to_tensor(loss(tf.one_hot([0, 2], N_CLASSES), tf.zeros((2, N_CLASSES))))
    if received.shape != (2,):
        raise PluginError(
            f"loss {type(loss).__name__}: expected one number per row, shape (2,) for two rows; "
            f"received shape {tuple(received.shape)}"
        )


def _gather(matrix: Any, ends: Any, length: int) -> Any:  # noqa: ANN401 - tensors
    import tensorflow as tf

    batch = tf.gather(matrix, ends[:, None] + tf.range(1 - length, 1))
    return tf.ensure_shape(batch, (None, length, matrix.shape[1]))


def training_step(
    model: keras.Model, update: Update, loss: Loss, length: int, n_features: int, *, jit: bool
) -> TensorFunction:
    """Return the compiled function of one training step.

    It takes ``(matrix, ends, labels, row_weights, rate)``: the feature matrix (n_bars, F), int32 window
    ends (B,), int32 labels (B,), float32 weights (B,) whose sum of products with the losses is
    minimised, and the learning rate. It updates the network and returns that sum and the
    log-probabilities (B, 3) of the batch before the update.
    """
    import tensorflow as tf

    def step(matrix: Any, ends: Any, labels: Any, row_weights: Any, rate: Any) -> Any:  # noqa: ANN401
        batch = _gather(matrix, ends, length)
        targets = tf.one_hot(labels, N_CLASSES)
        with tf.GradientTape() as tape:
            logits = tf.cast(model(batch, training=True), tf.float32)
            total = tf.reduce_sum(loss(targets, logits) * row_weights)
            if model.losses:
                total += tf.add_n(model.losses)
        update.apply(tape, total, rate)
        return total, tf.nn.log_softmax(logits)

    signature = [
        tf.TensorSpec((None, n_features), tf.float32),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None,), tf.float32),
        tf.TensorSpec((), tf.float32),
    ]
    compiled: TensorFunction = tf.function(step, jit_compile=jit, input_signature=signature)
    return compiled


def logits_of_ends(model: keras.Model, length: int, n_features: int) -> TensorFunction:
    """Return the compiled function ``(matrix, ends) -> logits (B, 3)``."""
    import tensorflow as tf

    def logits(matrix: Any, ends: Any) -> Any:  # noqa: ANN401
        return tf.cast(model(_gather(matrix, ends, length), training=False), tf.float32)

    signature = [tf.TensorSpec((None, n_features), tf.float32), tf.TensorSpec((None,), tf.int32)]
    compiled: TensorFunction = tf.function(logits, input_signature=signature)
    return compiled


def logits_of_batch(model: keras.Model, length: int, n_features: int) -> TensorFunction:
    """Return the compiled function ``(batch (B, length, F)) -> logits (B, 3)``."""
    import tensorflow as tf

    def logits(batch: Any) -> Any:  # noqa: ANN401
        return tf.cast(model(batch, training=False), tf.float32)

    signature = [tf.TensorSpec((None, length, n_features), tf.float32)]
    compiled: TensorFunction = tf.function(logits, input_signature=signature)
    return compiled


def slices(n: int, size: int) -> Iterator[slice]:
    """Yield slices of ``size`` that cover ``range(n)``; the last may be shorter."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def predict_from_ends(function: TensorFunction, windows: WindowSet) -> Float32Array:
    """Return the logits (n, 3) of all windows by a function of `logits_of_ends`."""
    import tensorflow as tf

    check_ends(windows, "the")
    out = np.empty((len(windows), N_CLASSES), dtype=np.float32)
    matrix = tf.constant(windows.matrix)
    for part in slices(len(windows), PREDICT_BATCH):
        out[part] = function(matrix, windows.ends[part]).numpy()
    return out


def predict_transformed(
    function: TensorFunction, windows: WindowSet, transform: BatchTransform
) -> Float32Array:
    """Return the logits (n, 3) of all windows, each batch passed through ``transform`` first."""
    check_ends(windows, "the")
    out = np.empty((len(windows), N_CLASSES), dtype=np.float32)
    for part in slices(len(windows), PREDICT_BATCH):
        out[part] = function(windows.transformed(part, transform)).numpy()
    return out
