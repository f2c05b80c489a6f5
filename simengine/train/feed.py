"""Where the batches of a training come from: windows picked by a balancer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from simengine.errors import PluginError
from simengine.seed import stream
from simengine.train.classes import by_target
from simengine.train.mining import Batch, Mining
from simengine.train.objective import Objective
from simengine.train.samples import sample_table
from simengine.train.step import StepBatch, logits_of_ends, predict_from_ends, training_step
from simengine.types import N_CLASSES, Float32Array, FloatArray, IntArray, LabelArray

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
    rows : int
        How many rows; may be 0.
    labels : int8 array, shape (n,)
        Of its rows but those that a miner put there, which say nothing about all rows.
    log_proba : float32 array, shape (n, 3)
        Of the same rows, before the update.
    """

    loss: float
    rows: int
    labels: LabelArray
    log_proba: Float32Array


class Feed(Protocol):
    """The batches of every epoch, and what to do with one of them."""

    @property
    def mining(self) -> Mining | None:
        """The hard rows of now, where a miner selects some."""

    @property
    def labels(self) -> LabelArray:
        """Labels of the rows that batches are drawn from."""

    def batches(self, epoch: int) -> Sequence[Any]:
        """Return the batches of an epoch, counted from 1, and start it."""

    def compile(self, update: Update, *, jit: bool) -> None:
        """Make the training step, before the first call of `step`."""

    def step(self, batch: Any, class_weights: FloatArray, rate: float) -> StepResult:  # noqa: ANN401
        """Train on one batch."""

    def logits(self, windows: WindowSet) -> Float32Array:
        """Return the logits (n, 3) of windows with the weights as they are."""


class WindowFeed:
    """Batches of rows of the sample table, picked by the balancer and gathered in the graph.

    One step: row ids from the balancer, a share of them replaced by hard rows -> windows, mixed where the
    row is synthetic -> augmented -> `Objective`.
    """

    def __init__(self, model: keras.Model, train: WindowSet, context: TrainContext) -> None:
        import tensorflow as tf

        self.model, self.train, self.context = model, train, context
        self.table = sample_table(train, context)
        begin = getattr(context.balancer, "begin", None)
        if begin is not None:
            begin(context.seed)
        miner = context.miner
        self.mining = None if miner is None else Mining(miner, context.seed, context.epochs)
        self.matrix = tf.constant(train.matrix)
        self._by_target = by_target(context.reweighter)
        self._epoch, self._number = 0, 0
        self._logits = logits_of_ends(model, train.length, train.n_features)

    @property
    def labels(self) -> LabelArray:
        """Labels of the rows that batches are drawn from, synthetic ones included."""
        return self.table.labels

    def compile(self, update: Update, *, jit: bool) -> None:
        """Make the training step."""
        context, size = self.context, (self.train.length, self.train.n_features)
        objective, mixed = Objective.of(context), self.table.mixed
        self._step = training_step(self.model, update, objective, context.augment, size, mixed=mixed, jit=jit)

    def batches(self, epoch: int) -> list[Batch]:
        """Return row ids of the sample table: the balancer's, with the miner's among them.

        Raises
        ------
        PluginError
            When they are none, or not ids of rows.
        """
        context, table = self.context, self.table
        self._epoch, self._number = epoch, 0
        rng = stream(context.seed, "balancer", epoch)
        batches = [
            np.asarray(rows)
            for rows in context.balancer.epoch(table.labels, table.groups, epoch, rng, context.batch_size)
        ]
        _check_batches(context.balancer, batches, len(table))
        if self.mining is None:
            return [Batch.of(rows) for rows in batches]
        return self.mining.mix_in(batches, epoch)

    def step(self, batch: Batch, class_weights: FloatArray, rate: float) -> StepResult:
        """Train on the rows with some ids."""
        rows, n = batch.rows, len(batch.rows)
        # Short batches are filled up with rows of weight zero: one shape, one compilation.
        filled = np.resize(rows, max(n, self.context.batch_size))
        ends, partners = self.table.ends(filled)
        labels = self.table.labels[filled].astype(np.int32)
        shares = np.full(len(filled), 1 / n, np.float32)
        shares[n:] = 0.0
        alpha = class_weights.astype(np.float32) if self._by_target else np.ones(N_CLASSES, np.float32)
        weights = (np.ones(N_CLASSES) if self._by_target else class_weights)[labels] / n
        weights[n:] = 0.0
        self._number += 1
        seed = stream(self.context.seed, "augment", self._epoch, self._number).integers(2**31, size=2)
        loss, scores = self._step(
            self.matrix,
            StepBatch(
                ends, partners, self.table.mix[filled], labels, weights.astype(np.float32), shares, alpha,
                np.float32(self._epoch), seed.astype(np.int32), np.float32(rate),
            ),
        )  # fmt: skip
        own = ~batch.mined
        return StepResult(float(loss), n, self.table.labels[rows[own]], scores.numpy()[:n][own])

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
