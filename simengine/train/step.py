"""The two compiled functions of a network: one training step, and logits of windows.

Both are fed with window ends and gather the windows from the feature matrix inside the graph, so that
no data set is ever held as windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simengine.errors import DataError
from simengine.train.objective import Objective, RowWeights
from simengine.types import N_CLASSES, Float32Array

if TYPE_CHECKING:
    import keras

    from simengine.data.windows import WindowSet
    from simengine.plugin.kinds import Augmenter, BatchTransform
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


def _gather(matrix: Any, ends: Any, length: int) -> Any:  # noqa: ANN401 - tensors
    import tensorflow as tf

    batch = tf.gather(matrix, ends[:, None] + tf.range(1 - length, 1))
    return tf.ensure_shape(batch, (None, length, matrix.shape[1]))


class StepBatch(NamedTuple):
    """What one training step is fed with, as arrays or tensors.

    Row r is the window (1 - mix) W[ends] + mix W[partners], see `simengine.train.samples`.
    """

    ends: Any  # int32 (B,)
    partners: Any  # int32 (B,)
    mix: Any  # float32 (B,)
    labels: Any  # int32 (B,)
    weights: Any  # float32 (B,): factors on the losses, 1 / rows included
    shares: Any  # float32 (B,): factors on the penalties, 1 / rows
    alpha: Any  # float32 (3,): factors on the classes' parts of the targets
    epoch: Any  # float32: counted from 1
    seed: Any  # int32 (2,): of the augmenters
    rate: Any  # float32: learning rate


def training_step(
    model: keras.Model,
    update: Update,
    objective: Objective,
    augment: Sequence[Augmenter],
    size: tuple[int, int],
    *,
    mixed: bool,
    jit: bool,
) -> TensorFunction:
    """Return the compiled function of one training step.

    It takes ``(matrix, batch)``: the feature matrix (n_bars, F) and a `StepBatch`. It updates the network
    and returns the minimised sum and the log-probabilities (B, 3) of the batch before the update.

    Parameters
    ----------
    model, update, objective
        The network, what changes it, what is minimised.
    augment : sequence of Augmenter
        Applied to the windows one after another.
    size : tuple
        (length, F) of a window.
    mixed : bool
        Whether rows can be mixtures; without them ``partners`` and ``mix`` are not read.
    jit : bool
        Whether the step is compiled with XLA.
    """
    import tensorflow as tf

    length, n_features = size

    def windows(matrix: Any, batch: StepBatch) -> Any:  # noqa: ANN401
        found = _gather(matrix, batch.ends, length)
        if mixed:
            mix = batch.mix[:, None, None]
            found = (1.0 - mix) * found + mix * _gather(matrix, batch.partners, length)
        for number, augmenter in enumerate(augment):
            seed = tf.random.experimental.stateless_fold_in(batch.seed, number)
            found = tf.ensure_shape(augmenter(found, seed), (None, length, n_features))
        return found

    def step(matrix: Any, batch: StepBatch) -> Any:  # noqa: ANN401
        seen = windows(matrix, batch)
        rows = RowWeights(batch.weights, batch.shares, batch.alpha)
        with tf.GradientTape() as tape:
            logits = tf.cast(model(seen, training=True), tf.float32)
            total = objective.total(batch.labels, logits, rows, batch.epoch)
            if model.losses:
                total += tf.add_n(model.losses)
        update.apply(tape, total, batch.rate)
        return total, tf.nn.log_softmax(logits)

    per_row = {"ends": tf.int32, "partners": tf.int32, "labels": tf.int32}
    specs = {name: tf.TensorSpec((None,), per_row.get(name, tf.float32)) for name in StepBatch._fields}
    specs |= {
        "alpha": tf.TensorSpec((N_CLASSES,), tf.float32),
        "epoch": tf.TensorSpec((), tf.float32),
        "seed": tf.TensorSpec((2,), tf.int32),
        "rate": tf.TensorSpec((), tf.float32),
    }
    signature = [tf.TensorSpec((None, n_features), tf.float32), StepBatch(**specs)]
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
