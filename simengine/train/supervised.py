"""Supervised training of a Keras network on index-fed windows."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from simengine.errors import DataError, PluginError, RunError
from simengine.model.weights import load_named_weights, named_weights, reseed_dropout
from simengine.plugin.state import get_state, set_state
from simengine.seed import integer, stream
from simengine.train import state as checkpoint
from simengine.train.classes import checked_class_weights
from simengine.train.determinism import make_deterministic
from simengine.train.record import epoch_record
from simengine.train.schedule import warmup_cosine
from simengine.train.step import check_ends, check_loss, logits_of_ends, predict_from_ends, training_step
from simengine.types import N_CLASSES, EpochRecord, Float32Array, IntArray

if TYPE_CHECKING:
    import keras

    from simengine.data.windows import WindowSet
    from simengine.train.context import TrainContext


def fit_classifier(
    model: keras.Model,
    train: WindowSet,
    val: WindowSet,
    context: TrainContext,
    *,
    jit_steps: int | None = None,
) -> list[EpochRecord]:
    """Train a network with Adam and leave it with the weights of its best epoch.

    One step: the balancer's row ids -> windows gathered in the graph -> loss per row times the weight
    of the row's class -> mean -> global-norm clipping -> Adam (Kingma and Ba, 2015) at the rate of
    `warmup_cosine`. After every epoch the whole validation segment is scored; the epoch with the
    lowest val NLL wins.

    Parameters
    ----------
    model : keras.Model
        Built network, float32 (B, length, F) to logits (B, 3).
    train, val : WindowSet
        Labelled windows.
    context : TrainContext
        Components and numbers of the training.
    jit_steps : int or None
        Compile the training step with XLA when the training has at least this many steps; None never.
        Compiling takes about as long as some hundred steps of a small network.

    Returns
    -------
    list of EpochRecord
        One for each epoch, those before a resumed checkpoint included.

    Raises
    ------
    DataError
        When a segment is empty, has windows without a label or windows outside its matrix.
    PluginError
        When a balancer, reweighter or loss breaks its contract.
    RunError
        When the loss stops being finite, or the checkpoint belongs to another training.
    """
    make_deterministic()
    for name, windows in (("train", train), ("val", val)):
        _check_segment(name, windows)
    return _Training(model, train, val, context, jit_steps).run()


class _Training:
    """One run of `fit_classifier`: the network, its optimizer and what the next epoch depends on."""

    def __init__(
        self,
        model: keras.Model,
        train: WindowSet,
        val: WindowSet,
        context: TrainContext,
        jit_steps: int | None,
    ) -> None:
        import keras
        import tensorflow as tf

        self.model, self.train, self.val, self.context = model, train, val, context
        self.optimizer = keras.optimizers.Adam(context.learning_rate, global_clipnorm=context.clip_norm)
        self.optimizer.build(model.trainable_variables)
        self.matrix = tf.constant(train.matrix)
        self.first = self._batches(1)
        self.steps = context.epochs * len(self.first)
        jit = jit_steps is not None and self.steps >= jit_steps
        self.step = training_step(
            model, self.optimizer, context.loss, train.length, train.n_features, jit=jit
        )
        self.logits = logits_of_ends(model, train.length, train.n_features)
        self.identity = "" if context.checkpoint is None else checkpoint.fingerprint(train, val, context)
        self.state = self._start()

    def run(self) -> list[EpochRecord]:
        """Train the epochs that are left and restore the best weights."""
        context, history = self.context, self.state.history
        context.progress.start("train", self.steps)
        try:
            context.progress.advance(len(history) * len(self.first))
            while len(history) < context.epochs and not self._stopped_early():
                epoch = len(history) + 1
                record = self._epoch(epoch, self.first if epoch == 1 else self._batches(epoch))
                self._save()
                context.on_epoch(record)
        finally:
            context.progress.stop()
        load_named_weights(self.model, self.state.best)
        return history

    def _start(self) -> checkpoint.TrainState:
        context = self.context
        fit = getattr(context.loss, "fit", None)
        if fit is not None:
            fit(self.train.labels)
        check_loss(context.loss)
        if context.checkpoint is not None:
            stored = checkpoint.load(context.checkpoint, self.identity)
            if stored is not None:
                self._restore(stored)
                return stored
        class_weights = np.ones(N_CLASSES)
        if context.reweighter is not None:
            class_weights = checked_class_weights(
                context.reweighter, context.reweighter.start(self.train.labels)
            )
        return checkpoint.TrainState({}, {}, [], class_weights)

    def _restore(self, stored: checkpoint.TrainState) -> None:
        load_named_weights(self.model, stored.weights)
        for variable, value in zip(self.optimizer.variables, stored.optimizer, strict=True):
            variable.assign(value)
        if self.context.reweighter is not None:
            set_state(self.context.reweighter, stored.reweighter)

    def _save(self) -> None:
        if self.context.checkpoint is None:
            return
        self.state.weights = named_weights(self.model)
        self.state.optimizer = [np.asarray(variable) for variable in self.optimizer.variables]
        if self.context.reweighter is not None:
            self.state.reweighter = get_state(self.context.reweighter)
        checkpoint.save(self.context.checkpoint, self.state, self.identity)

    def _stopped_early(self) -> bool:
        patience, history = self.context.patience, self.state.history
        if patience is None or not history:
            return False
        best = max(record.epoch for record in history if record.best)
        return len(history) - best >= patience

    def _batches(self, epoch: int) -> list[IntArray]:
        context, train = self.context, self.train
        rng = stream(context.seed, "balancer", epoch)
        groups = train.groups.astype(np.int64)
        batches = [
            np.asarray(rows)
            for rows in context.balancer.epoch(train.labels, groups, epoch, rng, context.batch_size)
        ]
        _check_batches(context.balancer, batches, len(train))
        return batches

    def _epoch(self, epoch: int, batches: list[IntArray]) -> EpochRecord:
        context = self.context
        reseed_dropout(self.model, integer(context.seed, "dropout", epoch))
        scores = np.empty((sum(map(len, batches)), N_CLASSES), dtype=np.float32)
        total, done, began = 0.0, 0, time.perf_counter()
        rate = 0.0
        for number, rows in enumerate(batches, start=1):
            share = (epoch - 1 + (number - 0.5) / len(batches)) / context.epochs
            rate = warmup_cosine(share, context.learning_rate, context.warmup)
            loss, scores[done : done + len(rows)] = self._one_step(rows, rate)
            if not math.isfinite(loss):
                raise RunError(_diverged(loss, epoch, number, context))
            total, done = total + loss * len(rows), done + len(rows)
            seconds = (time.perf_counter() - began) / number * len(batches)
            context.progress.advance(
                1, epoch=f"{epoch}/{context.epochs}", loss=total / done, seconds_per_epoch=seconds
            )
        record = self._validated(epoch, total / done, rate)
        self.state.history.append(record)
        if context.reweighter is not None:
            labels = self.train.labels[np.concatenate(batches)]
            weights = context.reweighter.update(labels, scores.astype(np.float64), epoch)
            self.state.class_weights = checked_class_weights(context.reweighter, weights)
        return record

    def _one_step(self, rows: IntArray, rate: float) -> tuple[float, Float32Array]:
        # Short batches are filled up with rows of weight zero: one shape, one compilation.
        size = max(len(rows), self.context.batch_size)
        filled = np.resize(rows, size)
        labels = self.train.labels[filled].astype(np.int32)
        weights = (self.state.class_weights[labels] / len(rows)).astype(np.float32)
        weights[len(rows) :] = 0.0
        loss, scores = self.step(
            self.matrix, self.train.ends[filled].astype(np.int32), labels, weights, np.float32(rate)
        )
        return float(loss), scores.numpy()[: len(rows)]

    def _validated(self, epoch: int, train_loss: float, rate: float) -> EpochRecord:
        logits = predict_from_ends(self.logits, self.val)
        if not np.isfinite(logits).all():
            raise RunError(_diverged(float("nan"), epoch, None, self.context))
        weights = self.state.class_weights
        record = epoch_record(logits, self.val.labels, self.state.history, train_loss, rate, weights)
        if record.best:
            self.state.best = named_weights(self.model)
        return record


def _check_segment(name: str, windows: WindowSet) -> None:
    if len(windows) == 0:
        raise DataError(
            f"the {name} segment has no labelled window: use more bars or a shorter window.length"
        )
    unlabelled = int(((windows.labels < 0) | (windows.labels >= N_CLASSES)).sum())
    if unlabelled:
        raise DataError(
            f"{unlabelled} of {len(windows)} {name} windows have no label 0, 1 or 2: drop them first"
        )
    check_ends(windows, name)


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


def _diverged(loss: float, epoch: int, step: int | None, context: TrainContext) -> str:
    place = f"step {step}" if step is not None else "its validation"
    clip = "" if context.clip_norm is not None else " or set training.clip_norm to 1.0"
    return (
        f"training diverged: the loss is {loss} in epoch {epoch}, {place}; "
        f"lower training.learning_rate (now {context.learning_rate:g}){clip}"
    )
