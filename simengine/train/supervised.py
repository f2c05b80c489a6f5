"""Supervised training of a Keras network on index-fed windows, or on series of bars."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.errors import DataError, RunError
from simengine.evaluate.logproba import log_softmax
from simengine.log import get_logger
from simengine.model.weights import load_named_weights, named_weights, reseed_dropout
from simengine.plugin.state import get_state, set_state
from simengine.seed import integer
from simengine.train import state as checkpoint
from simengine.train.classes import checked_class_weights
from simengine.train.collapse import watched
from simengine.train.determinism import make_deterministic
from simengine.train.feed import Feed, StepResult, WindowFeed
from simengine.train.objective import Objective
from simengine.train.optimizer import Update
from simengine.train.options import FitOptions
from simengine.train.record import epoch_record
from simengine.train.schedule import warmup_cosine
from simengine.train.stateful import LaneFeed
from simengine.train.step import check_ends
from simengine.types import N_CLASSES, EpochRecord

if TYPE_CHECKING:
    import keras

    from simengine.data.windows import WindowSet
    from simengine.train.context import TrainContext

logger = get_logger(__name__)


def fit_classifier(
    model: keras.Model,
    train: WindowSet,
    val: WindowSet,
    context: TrainContext,
    options: FitOptions | None = None,
) -> list[EpochRecord]:
    """Train a network with Adam and leave it with the weights of its best epoch.

    One step: a batch of windows from the balancer and the miner (`WindowFeed`), or the next bars of every
    lane in stateful training (`LaneFeed`) -> smoothed targets -> loss per row times the weight of the row's
    class, plus penalties -> mean (`Objective`) -> global-norm clipping -> `Update` at the rate of
    `warmup_cosine`. After every epoch the whole validation segment is scored, with the average of the
    weights where one is kept; the epoch with the lowest val NLL wins.

    Parameters
    ----------
    model : keras.Model
        Built network, float32 (B, length, F) to logits (B, 3).
    train, val : WindowSet
        Labelled windows.
    context : TrainContext
        Components and numbers of the training.
    options : FitOptions, optional
        The model's own part; by default plain Adam on windows, not compiled.

    Returns
    -------
    list of EpochRecord
        One for each epoch, those before a resumed checkpoint included.

    Raises
    ------
    DataError
        When a segment is empty, has windows without a label or windows outside its matrix.
    PluginError
        When a balancer, reweighter or loss breaks its contract, or the network cannot carry state in
        stateful training.
    RunError
        When the loss stops being finite, or the checkpoint belongs to another training.
    """
    make_deterministic()
    for name, windows in (("train", train), ("val", val)):
        _check_segment(name, windows)
    return _Training(model, train, val, context, options or FitOptions()).run()


class _Training:
    """One run of `fit_classifier`: the network, its updates and what the next epoch depends on."""

    def __init__(
        self,
        model: keras.Model,
        train: WindowSet,
        val: WindowSet,
        context: TrainContext,
        options: FitOptions,
    ) -> None:
        self.model, self.train, self.val, self.context = model, train, val, context
        self.feed: Feed = (
            WindowFeed(model, train, context)
            if options.chunk is None
            else LaneFeed(model, train, context, options.chunk)
        )
        self.first = self.feed.batches(1)
        self.steps = context.epochs * len(self.first)
        self.update = Update(model, context, options)
        self.feed.compile(self.update, jit=options.compiled(self.steps))
        self.identity = ""
        if context.checkpoint is not None:
            self.identity = checkpoint.fingerprint(train, val, context, options)
        self.state = self._start()

    def run(self) -> list[EpochRecord]:
        """Train the epochs that are left and restore the best weights."""
        context, history = self.context, self.state.history
        context.progress.start("train", self.steps)
        try:
            context.progress.advance(len(history) * len(self.first))
            while len(history) < context.epochs and not self._stopped_early():
                epoch = len(history) + 1
                record = self._epoch(epoch, self.first if epoch == 1 else self.feed.batches(epoch))
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
            fit(self.feed.labels)
        Objective.of(context).check()
        if context.checkpoint is not None:
            stored = checkpoint.load(context.checkpoint, self.identity)
            if stored is not None:
                self._restore(stored)
                return stored
        class_weights = np.ones(N_CLASSES)
        if context.reweighter is not None:
            class_weights = checked_class_weights(
                context.reweighter, context.reweighter.start(self.feed.labels)
            )
        return checkpoint.TrainState({}, {}, [], class_weights)

    def _restore(self, stored: checkpoint.TrainState) -> None:
        load_named_weights(self.model, stored.weights)
        self.update.restore(stored.optimizer)
        if self.context.reweighter is not None:
            set_state(self.context.reweighter, stored.reweighter)
        if self.feed.mining is not None:
            self.feed.mining.pool = stored.mined

    def _save(self) -> None:
        if self.context.checkpoint is None:
            return
        self.state.weights = named_weights(self.model)
        self.state.optimizer = self.update.state()
        if self.context.reweighter is not None:
            self.state.reweighter = get_state(self.context.reweighter)
        checkpoint.save(self.context.checkpoint, self.state, self.identity)

    def _stopped_early(self) -> bool:
        patience, history = self.context.patience, self.state.history
        if patience is None or not history:
            return False
        best = max(record.epoch for record in history if record.best)
        return len(history) - best >= patience

    def _epoch(self, epoch: int, batches: Sequence[Any]) -> EpochRecord:
        context = self.context
        reseed_dropout(self.model, integer(context.seed, "dropout", epoch))
        results: list[StepResult] = []
        total, done, began = 0.0, 0, time.perf_counter()
        rate = 0.0
        for number, batch in enumerate(batches, start=1):
            share = (epoch - 1 + (number - 0.5) / len(batches)) / context.epochs
            rate = warmup_cosine(share, context.learning_rate, context.warmup)
            result = self.feed.step(batch, self.state.class_weights, rate)
            if not math.isfinite(result.loss):
                raise RunError(_diverged(result.loss, epoch, number, context))
            results.append(result)
            total, done = total + result.loss * result.rows, done + result.rows
            seconds = (time.perf_counter() - began) / number * len(batches)
            context.progress.advance(
                1,
                epoch=f"{epoch}/{context.epochs}",
                loss=total / max(done, 1),
                seconds_per_epoch=seconds,
            )
        record = self._validated(epoch, total / done, rate)
        self.state.history.append(record)
        if context.reweighter is not None:
            labels, scores = (np.concatenate(column) for column in list(zip(*results, strict=True))[2:])
            weights = context.reweighter.update(labels, scores.astype(np.float64), epoch)
            self.state.class_weights = checked_class_weights(context.reweighter, weights)
        self._mine(epoch)
        return record

    def _mine(self, epoch: int) -> None:
        """Select the hard rows of the next epochs with the weights as they are."""
        mining = self.feed.mining
        if mining is None or not mining.due(epoch):
            return
        logits = self.feed.logits(self.train).astype(np.float64)
        losses = Objective.of(self.context).row_losses(self.train.labels, logits, epoch)
        mining.select(self.train.labels, log_softmax(logits), losses, epoch)
        self.state.mined = mining.pool

    def _validated(self, epoch: int, train_loss: float, rate: float) -> EpochRecord:
        average = self.update.average
        with nullcontext() if average is None else average.in_place():
            logits = self.feed.logits(self.val)
            if not np.isfinite(logits).all():
                raise RunError(_diverged(float("nan"), epoch, None, self.context))
            weights = self.state.class_weights
            record = epoch_record(logits, self.val.labels, self.state.history, train_loss, rate, weights)
            if record.best:
                self.state.best = named_weights(self.model)
        log_proba = log_softmax(logits.astype(np.float64))
        return watched(record, log_proba, self.val.labels, self.context.horizon_bars)


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


def _diverged(loss: float, epoch: int, step: int | None, context: TrainContext) -> str:
    place = f"step {step}" if step is not None else "its validation"
    clip = "" if context.clip_norm is not None else " or set training.clip_norm to 1.0"
    return (
        f"training diverged: the loss is {loss} in epoch {epoch}, {place}; "
        f"lower training.learning_rate (now {context.learning_rate:g}){clip}"
    )
