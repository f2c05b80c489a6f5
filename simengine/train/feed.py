"""Where the batches of a training come from: windows picked by a balancer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from simengine.errors import PluginError
from simengine.seed import stream
from simengine.train.step import logits_of_ends, predict_from_ends, training_step
from simengine.types import Float32Array, FloatArray, IntArray, LabelArray

if TYPE_CHECKING:
    import keras

    from simengine.data.windows import WindowSet
    from simengine.train.context import TrainContext
    from simengine.train.optimizer import Update


class StepResult(NamedTuple):
    """What a training step did.

    Parameters
    ----------
    loss : float
        Mean loss of its rows, class weights included.
    labels : int8 array, shape (n,)
        Of its rows; n may be 0.
    log_proba : float32 array, shape (n, 3)
        Of its rows before the update.
    """

    loss: float
    labels: LabelArray
    log_proba: Float32Array


class Feed(Protocol):
    """The batches of every epoch, and what to do with one of them."""

    def batches(self, epoch: int) -> Sequence[Any]:
        """Return the batches of an epoch, counted from 1, and start it."""

    def compile(self, update: Update, *, jit: bool) -> None:
        """Make the training step, before the first call of `step`."""

    def step(self, batch: Any, class_weights: FloatArray, rate: float) -> StepResult:  # noqa: ANN401
        """Train on one batch."""

    def logits(self, windows: WindowSet) -> Float32Array:
        """Return the logits (n, 3) of windows with the weights as they are."""


class WindowFeed:
    """Batches of windows, picked by the balancer and gathered in the graph.

    One step: row ids -> windows -> loss per row times the weight of its class -> mean.
    """

    def __init__(self, model: keras.Model, train: WindowSet, context: TrainContext) -> None:
        import tensorflow as tf

        self.model, self.train, self.context = model, train, context
        self.matrix = tf.constant(train.matrix)
        self._logits = logits_of_ends(model, train.length, train.n_features)

    def compile(self, update: Update, *, jit: bool) -> None:
        """Make the training step."""
        train = self.train
        self._step = training_step(
            self.model, update, self.context.loss, train.length, train.n_features, jit=jit
        )

    def batches(self, epoch: int) -> list[IntArray]:
        """Return the balancer's row ids.

        Raises
        ------
        PluginError
            When they are none, or not ids of rows.
        """
        context, train = self.context, self.train
        rng = stream(context.seed, "balancer", epoch)
        groups = train.groups.astype(np.int64)
        batches = [
            np.asarray(rows)
            for rows in context.balancer.epoch(train.labels, groups, epoch, rng, context.batch_size)
        ]
        _check_batches(context.balancer, batches, len(train))
        return batches

    def step(self, batch: IntArray, class_weights: FloatArray, rate: float) -> StepResult:
        """Train on the windows at some row ids."""
        # Short batches are filled up with rows of weight zero: one shape, one compilation.
        filled = np.resize(batch, max(len(batch), self.context.batch_size))
        labels = self.train.labels[filled].astype(np.int32)
        weights = (class_weights[labels] / len(batch)).astype(np.float32)
        weights[len(batch) :] = 0.0
        loss, scores = self._step(
            self.matrix, self.train.ends[filled].astype(np.int32), labels, weights, np.float32(rate)
        )
        return StepResult(float(loss), self.train.labels[batch], scores.numpy()[: len(batch)])

    def logits(self, windows: WindowSet) -> Float32Array:
        """Return the logits (n, 3) of windows."""
        return predict_from_ends(self._logits, windows)


def _check_batches(balancer: object, batches: list[IntArray], n: int) -> None:
    name = f"balancer {type(balancer).__name__}"
    if not batches:
        raise PluginError(f"{name}: expected at least one batch an epoch; received none")
    for rows in batches:
        if rows.ndim != 1 or len(rows) == 0 or rows.dtype.kind not in "iu":
            raise PluginError(
                f"{name}: expected batches of integer row ids, shape (B,) with B >= 1; "
                f"received {rows.dtype} of shape {rows.shape}"
            )
        if rows.min() < 0 or rows.max() >= n:
            raise PluginError(
                f"{name}: expected row ids from 0 to {n - 1}; received {rows.min()} to {rows.max()}"
            )
