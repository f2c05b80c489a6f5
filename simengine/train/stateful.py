"""Stateful training: truncated back-propagation over contiguous chunks of bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simengine.log import event, get_logger
from simengine.seed import stream
from simengine.train.carry import StateShape, carrying_logits, check_network, predict_carried
from simengine.train.classes import by_target
from simengine.train.feed import StepResult
from simengine.train.lanes import Lanes, LaneStep
from simengine.train.mining import Mining
from simengine.train.objective import Objective, RowWeights
from simengine.train.step import TensorFunction
from simengine.types import N_CLASSES, Float32Array, FloatArray, LabelArray

if TYPE_CHECKING:
    import keras

    from simengine.data.windows import WindowSet
    from simengine.train.context import TrainContext
    from simengine.train.optimizer import Update

logger = get_logger(__name__)


class LaneFeed:
    """Steps over ``batch_size`` lanes of bars, ``chunk`` bars of each at a time.

    The state at the end of a step is where the next one begins, but no gradient flows back through it
    (Williams and Peng, "An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network
    Trajectories", 1990). `Lanes` says how bars become lanes, and which of them count; every epoch cuts the
    lanes elsewhere. Each bar that counts has the same weight (times that of its class), so that a step
    with few of them moves the weights little; a step with none only carries the state on.

    Parameters
    ----------
    model : keras.Model
        With ``initial_state(batch)`` and ``sequence(x, state, training) -> (logits (B, S, 3), state)``.
    train : WindowSet
        Labelled windows with ``starts``; without them every window is a series of its own.
    context : TrainContext
        Balancer, miner, augmenters and smote have no part in it.
    chunk : int
        Bars per step.
    """

    def __init__(self, model: keras.Model, train: WindowSet, context: TrainContext, chunk: int) -> None:
        import tensorflow as tf

        check_network(model)
        self.mining: Mining | None = None  # bars come in their order
        self._by_target = by_target(context.reweighter)
        self._epoch = 0
        self.model, self.train, self.context, self.chunk = model, train, context, chunk
        self.lanes = Lanes(train, context.batch_size, chunk)
        self.shape = StateShape(model)
        self.initial = self.shape.initial(self.lanes.n)
        self.state = self.initial
        self.matrix = tf.constant(train.matrix)
        self._share = 0.0
        self._logits = carrying_logits(model, self.shape, chunk, train.n_features)
        self._carry = carrying_logits(model, self.shape, chunk, train.n_features, training=True)
        event(
            logger,
            "lanes",
            f"stateful training: {self.lanes.n} lanes of {self.lanes.size} bars, {chunk} bars a step",
            lanes=self.lanes.n,
            bars=self.lanes.size,
            chunk=chunk,
        )

    @property
    def labels(self) -> LabelArray:
        """Labels of the train windows."""
        return self.train.labels

    def compile(self, update: Update, *, jit: bool) -> None:
        """Make the training step."""
        size, objective = (self.chunk, self.train.n_features), Objective.of(self.context)
        self._step = _carrying_step(self.model, update, objective, self.shape, size, jit=jit)

    def batches(self, epoch: int) -> list[LaneStep]:
        """Return the steps of an epoch and forget all state."""
        phase = int(stream(self.context.seed, "lanes", epoch).integers(self.lanes.size))
        steps = self.lanes.steps(phase)
        self.state = self.initial
        counting = sum(bool(step.counts.any()) for step in steps)
        self._share, self._epoch = counting / len(self.train), epoch
        return steps

    def step(self, batch: LaneStep, class_weights: FloatArray, rate: float) -> StepResult:
        """Train on the next bars of every lane and carry the state on."""
        counts, n = batch.counts, int(batch.counts.sum())
        state = self.state
        if batch.fresh.any():
            state = self.shape.renewed(state, self.initial, batch.fresh)
        if n == 0:
            _, self.state = self._carry(self.matrix, batch.rows, state)
            return StepResult(0.0, 0, np.zeros(0, np.int8), np.zeros((0, N_CLASSES), np.float32))
        shares = np.where(counts, self._share, 0.0)
        alpha, weights = class_weights, shares
        if not self._by_target:
            alpha, weights = (
                np.ones(N_CLASSES),
                np.where(counts, class_weights[batch.labels] * self._share, 0.0),
            )
        rows = CarriedRows(
            batch.rows,
            batch.labels,
            weights.astype(np.float32),
            shares.astype(np.float32),
            alpha.astype(np.float32),
            np.float32(self._epoch),
            np.float32(rate),
        )
        total, log_proba, self.state = self._step(self.matrix, rows, state)
        mean = float(total) / (n * self._share)
        return StepResult(mean, n, batch.labels[counts].astype(np.int8), log_proba.numpy()[counts])

    def logits(self, windows: WindowSet) -> Float32Array:
        """Return the logits (n, 3) at the window ends."""
        return predict_carried(self._logits, self.shape, self.chunk, windows)


class CarriedRows(NamedTuple):
    """What one step is fed with beside the matrix and the state, as arrays or tensors."""

    rows: Any  # int32 (B, chunk): of the matrix
    labels: Any  # int32 (B, chunk)
    weights: Any  # float32 (B, chunk): factors on the losses
    shares: Any  # float32 (B, chunk): factors on the penalties
    alpha: Any  # float32 (3,): factors on the classes' parts of the targets
    epoch: Any  # float32: counted from 1
    rate: Any  # float32: learning rate


def _carrying_step(
    model: keras.Model,
    update: Update,
    objective: Objective,
    shape: StateShape,
    input_shape: tuple[int, int],
    *,
    jit: bool,
) -> TensorFunction:
    """Return the compiled function of one step.

    It takes ``(matrix, batch, state)``: the feature matrix (n_bars, F), `CarriedRows` and the state before
    the chunk. It updates the network and returns the minimised sum, the log-probabilities (B, chunk, 3)
    before the update, and the state after the chunk.
    """
    import tensorflow as tf

    chunk, n_features = input_shape

    def step(matrix: Any, batch: CarriedRows, state: Any) -> Any:  # noqa: ANN401
        seen = tf.ensure_shape(tf.gather(matrix, batch.rows), (None, chunk, n_features))
        labels, weights, shares = (
            tf.reshape(part, [-1]) for part in (batch.labels, batch.weights, batch.shares)
        )
        with tf.GradientTape() as tape:
            logits, state = model.sequence(seen, state, training=True)
            logits = tf.cast(logits, tf.float32)
            flat = tf.reshape(logits, (-1, N_CLASSES))
            total = objective.total(labels, flat, RowWeights(weights, shares, batch.alpha), batch.epoch)
            if model.losses:
                total += tf.add_n(model.losses)
        update.apply(tape, total, batch.rate)
        return total, tf.nn.log_softmax(logits), state

    bars = (None, chunk)
    specs = CarriedRows(
        tf.TensorSpec(bars, tf.int32),
        tf.TensorSpec(bars, tf.int32),
        tf.TensorSpec(bars, tf.float32),
        tf.TensorSpec(bars, tf.float32),
        tf.TensorSpec((N_CLASSES,), tf.float32),
        tf.TensorSpec((), tf.float32),
        tf.TensorSpec((), tf.float32),
    )
    signature = [tf.TensorSpec((None, n_features), tf.float32), specs, shape.specs]
    compiled: TensorFunction = tf.function(step, jit_compile=jit, input_signature=signature)
    return compiled
