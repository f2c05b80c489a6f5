"""Stateful training: truncated back-propagation over contiguous chunks of bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.log import event, get_logger
from simengine.seed import stream
from simengine.train.carry import StateShape, carrying_logits, check_network, predict_carried
from simengine.train.feed import StepResult
from simengine.train.lanes import Lanes, LaneStep
from simengine.train.step import TensorFunction
from simengine.types import N_CLASSES, Float32Array, FloatArray

if TYPE_CHECKING:
    import keras

    from simengine.data.windows import WindowSet
    from simengine.plugin.kinds import Loss
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
        The balancer has no part in it.
    chunk : int
        Bars per step.
    """

    def __init__(self, model: keras.Model, train: WindowSet, context: TrainContext, chunk: int) -> None:
        import tensorflow as tf

        check_network(model)
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

    def compile(self, update: Update, *, jit: bool) -> None:
        """Make the training step."""
        size = (self.chunk, self.train.n_features)
        self._step = _carrying_step(self.model, update, self.context.loss, self.shape, size, jit=jit)

    def batches(self, epoch: int) -> list[LaneStep]:
        """Return the steps of an epoch and forget all state."""
        phase = int(stream(self.context.seed, "lanes", epoch).integers(self.lanes.size))
        steps = self.lanes.steps(phase)
        self.state = self.initial
        counting = sum(bool(step.counts.any()) for step in steps)
        self._share = counting / len(self.train)
        return steps

    def step(self, batch: LaneStep, class_weights: FloatArray, rate: float) -> StepResult:
        """Train on the next bars of every lane and carry the state on."""
        counts, n = batch.counts, int(batch.counts.sum())
        state = self.state
        if batch.fresh.any():
            state = self.shape.renewed(state, self.initial, batch.fresh)
        if n == 0:
            _, self.state = self._carry(self.matrix, batch.rows, state)
            return StepResult(0.0, np.zeros(0, np.int8), np.zeros((0, N_CLASSES), np.float32))
        weights = np.where(counts, class_weights[batch.labels] * self._share, 0.0).astype(np.float32)
        total, log_proba, self.state = self._step(
            self.matrix, batch.rows, batch.labels, weights, state, np.float32(rate)
        )
        mean = float(total) / (n * self._share)
        return StepResult(mean, batch.labels[counts].astype(np.int8), log_proba.numpy()[counts])

    def logits(self, windows: WindowSet) -> Float32Array:
        """Return the logits (n, 3) at the window ends."""
        return predict_carried(self._logits, self.shape, self.chunk, windows)


def _carrying_step(
    model: keras.Model,
    update: Update,
    loss: Loss,
    shape: StateShape,
    input_shape: tuple[int, int],
    *,
    jit: bool,
) -> TensorFunction:
    """Return the compiled function of one step.

    It takes ``(matrix, rows, labels, weights, state, rate)``: the feature matrix (n_bars, F), rows and
    labels of a `LaneStep`, float32 weights (B, chunk) whose sum of products with the losses is minimised,
    the state before the chunk, and the learning rate. It updates the network and returns that sum, the
    log-probabilities (B, chunk, 3) before the update, and the state after the chunk.
    """
    import tensorflow as tf

    chunk, n_features = input_shape

    def step(matrix: Any, rows: Any, labels: Any, weights: Any, state: Any, rate: Any) -> Any:  # noqa: ANN401
        batch = tf.ensure_shape(tf.gather(matrix, rows), (None, chunk, n_features))
        targets = tf.one_hot(tf.reshape(labels, [-1]), N_CLASSES)
        with tf.GradientTape() as tape:
            logits, state = model.sequence(batch, state, training=True)
            logits = tf.cast(logits, tf.float32)
            losses = loss(targets, tf.reshape(logits, (-1, N_CLASSES)))
            total = tf.reduce_sum(losses * tf.reshape(weights, [-1]))
            if model.losses:
                total += tf.add_n(model.losses)
        update.apply(tape, total, rate)
        return total, tf.nn.log_softmax(logits), state

    bars = (None, chunk)
    signature = [
        tf.TensorSpec((None, n_features), tf.float32),
        tf.TensorSpec(bars, tf.int32),
        tf.TensorSpec(bars, tf.int32),
        tf.TensorSpec(bars, tf.float32),
        shape.specs,
        tf.TensorSpec((), tf.float32),
    ]
    compiled: TensorFunction = tf.function(step, jit_compile=jit, input_signature=signature)
    return compiled
