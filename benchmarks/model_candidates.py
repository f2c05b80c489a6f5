"""The networks that `model.py` times, each as one call of a training step and one of inference.

All are trained by the step of `simengine.train`: windows gathered in the graph by their ends, cross-entropy,
gradient, Adam with clipping.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

    from simengine.data.windows import WindowSet
    from simengine.train.feed import WindowFeed

FEATURES, LENGTH, BATCH, WIDTH, HEADS, BLOCKS = 25, 60, 256, 64, 4, ("mlstm", "slstm")
EPOCH = 281_060
BURST = 3
"""Runs of which the fastest counts, after one to warm up: what `official_torch` does."""

LSTM, LSTM_XLA = f"Keras LSTM({WIDTH}) x 2", f"Keras LSTM({WIDTH}) x 2, XLA"
NATIVE, TENSORFLOW, XLA = "xLSTM, native", "xLSTM, TensorFlow", "xLSTM, TensorFlow, XLA"

Sample = dict[str, float]
"""Seconds of a burst: training, inference, training_cpu, inference_cpu."""


@dataclass
class Candidate:
    """A network: how one burst of it is timed, and how long its first calls took."""

    name: str
    burst: Callable[[], Sample]
    first_call: dict[str, float] = field(default_factory=dict)


def options() -> dict[str, Any]:
    """Return the options of the xLSTM classifier."""
    return {"embedding": WIDTH, "heads": HEADS, "blocks": BLOCKS, "dropout": 0.0}


def xlstm(kernels: str) -> keras.Model:
    from simengine.model.classifier import XLSTMClassifier

    return XLSTMClassifier(FEATURES, LENGTH, kernels=kernels, **options())


def lstm() -> keras.Model:
    import keras

    parts = [keras.Input((LENGTH, FEATURES)), keras.layers.LSTM(WIDTH, return_sequences=True)]
    return keras.Sequential([*parts, keras.layers.LSTM(WIDTH), keras.layers.Dense(3)])


MODELS: dict[str, tuple[Callable[[], Any], bool]] = {
    LSTM: (lstm, False),
    LSTM_XLA: (lstm, True),
    NATIVE: (lambda: xlstm("native"), False),
    TENSORFLOW: (lambda: xlstm("tensorflow"), False),
    XLA: (lambda: xlstm("tensorflow"), True),
}
"""How each network is made, and whether XLA compiles it."""


def windows(count: int) -> WindowSet:
    """Return random labelled windows of one series, one for each of its bars but the first."""
    from simengine.data.windows import WindowSet

    rng, bars = np.random.default_rng(0), count + LENGTH - 1
    return WindowSet(
        matrix=rng.normal(size=(bars, FEATURES)).astype(np.float32),
        ends=np.arange(LENGTH - 1, bars, dtype=np.int32),
        labels=rng.integers(0, 3, count).astype(np.int8),
        groups=np.zeros(count, np.int16),
        length=LENGTH,
    )


def feed_of(model: keras.Model, train: WindowSet, *, jit: bool) -> WindowFeed:
    """Return the input pipeline of a training, its step compiled."""
    from simengine.train.context import TrainContext
    from simengine.train.feed import WindowFeed
    from simengine.train.optimizer import Update
    from simengine.train.options import FitOptions
    from simengine_plugins.balancers.natural import Natural
    from simengine_plugins.losses.cross_entropy import CrossEntropy

    context = TrainContext(Natural(), None, CrossEntropy(), 0, 1, BATCH, 1e-3, clip_norm=1.0)
    feed = WindowFeed(model, train, context)
    feed.compile(Update(model, context, FitOptions()), jit=jit)
    return feed


def calls(name: str, train: WindowSet) -> dict[str, Callable[[], Any]]:
    """Return one training step and one inference of a batch that is always the same."""
    import tensorflow as tf

    from simengine.train.mining import Batch

    make, jit = MODELS[name]
    model = make()
    feed = feed_of(model, train, jit=jit)
    rows = np.random.default_rng(1).integers(0, len(train), BATCH)
    batch, weights = tf.constant(train.gather(rows)), np.ones(3)
    forward = tf.function(lambda x: model(x, training=False), jit_compile=jit)
    return {
        "training": lambda: feed.step(Batch.of(rows), weights, 1e-3),
        "inference": lambda: forward(batch).numpy(),
    }


def candidate(name: str, train: WindowSet) -> Candidate:
    """Return a network that has been called once."""
    both = calls(name, train)
    first = {}
    for what, call in both.items():
        start = time.perf_counter()
        call()
        first[what] = time.perf_counter() - start

    def burst() -> Sample:
        found = {}
        for what, call in both.items():
            found[what], found[f"{what}_cpu"] = fastest(call)
        return found

    return Candidate(name, burst, first)


def fastest(call: Callable[[], Any]) -> tuple[float, float]:
    """Return the least wall and the least CPU seconds of a burst."""
    call()
    walls, cpus = [], []
    for _ in range(BURST):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


def threads() -> int:
    """Return how many threads TensorFlow and the native kernels use."""
    from simengine.model.native.threads import thread_count

    return thread_count()
