"""Contracts of what a training step may have besides: smoothers, miners, penalties and augmenters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simengine.plugin.testing.case import Case
from simengine.plugin.testing.learning import check_gradients
from simengine.plugin.testing.samples import make_labels, make_scores
from simengine.seed import stream
from simengine.types import Float32Array

N_ROWS = 600
BATCH = 32
LENGTH, FEATURES = 16, 5


def check_smoother(case: Case) -> None:
    """A distribution for every row, from that row alone."""
    hard = np.eye(3, dtype=np.float32)[make_labels(BATCH, case.seed)]

    def smoothed(targets: Float32Array) -> Any:  # noqa: ANN401
        return _called(case.fresh(), targets)

    with case.untouched("the smoother", hard):
        soft = smoothed(hard)
    case.array(soft, "the targets", hard.shape, np.float32)
    case.expect(np.isfinite(soft).all() and (soft >= 0).all(), "the targets must be finite and at least 0")
    total = soft.sum(axis=1)
    case.expect(
        np.allclose(total, 1, atol=1e-5),
        f"each row of the targets must sum to 1, received {total.min():.6g} .. {total.max():.6g}",
    )
    case.same(soft, smoothed(hard), "two calls with the same targets differ")
    close = np.allclose(smoothed(hard[5:9]), soft[5:9], atol=1e-6)
    case.expect(close, "a row's targets depend on the other rows of its batch")
    case.expect(np.allclose(_in_graph(case.fresh(), hard), soft, atol=1e-6), _GRAPH)


def check_miner(case: Case) -> None:
    """Distinct ids of train rows, and shares of a batch in [0, 1)."""
    log_proba, labels = make_scores(N_ROWS, case.seed)
    losses = -log_proba[np.arange(N_ROWS), labels]
    miner = case.fresh()
    every = miner.every
    valid = isinstance(every, int) and not isinstance(every, bool) and every >= 1
    case.expect(valid, f"every must be an integer of at least 1, received {every!r}")
    with case.untouched("select()", labels, log_proba, losses):
        rows = miner.select(labels, log_proba, losses)
    case.expect(
        isinstance(rows, np.ndarray) and rows.ndim == 1 and rows.dtype.kind == "i",
        "select() must return a one-dimensional integer array",
    )
    case.expect(len(rows), "select() must find hard rows among random predictions")
    inside = rows.min() >= 0 and rows.max() < N_ROWS
    case.expect(inside, f"row ids must lie in 0 .. {N_ROWS - 1}, received {rows.min()} .. {rows.max()}")
    case.expect(len(np.unique(rows)) == len(rows), "select() must name a row once")
    message = "two selections from the same predictions differ"
    case.same(rows, case.fresh().select(labels, log_proba, losses), message)
    case.same(rows, miner.select(labels, log_proba, losses), message)
    for epochs in (1, 2, 7):
        for epoch in range(1, epochs + 1):
            share = miner.share(epoch, epochs)
            inside = isinstance(share, int | float) and 0 <= share < 1
            case.expect(inside, f"share({epoch}, {epochs}) must lie in [0, 1), received {share!r}")


def check_penalty(case: Case) -> None:
    """One finite value a row, from that row alone or the same for all, with finite gradients."""
    rng = stream(case.seed, "testing.penalty")
    hard = np.eye(3, dtype=np.float32)[make_labels(BATCH, case.seed)]
    logits = rng.normal(0, 2, (BATCH, 3)).astype(np.float32)
    penalty = case.fresh()
    for targets in (hard, (0.9 * hard + 0.1 / 3).astype(np.float32)):
        with case.untouched("the penalty", targets, logits):
            value = _called(penalty, targets, logits)
        case.array(value, "the penalty", (BATCH,), np.float32)
        case.expect(np.isfinite(value).all(), "the penalty must be finite")
        case.same(value, _called(case.fresh(), targets, logits), "two evaluations of the same rows differ")
        part = _called(penalty, targets[5:9], logits[5:9])
        alone = np.allclose(part, value[5:9], rtol=1e-5, atol=1e-6)
        case.expect(
            alone or bool((value == value[0]).all()),
            "a row's penalty depends on the other rows of its batch, and is not the same for all of them",
        )
        case.expect(np.allclose(_in_graph(penalty, targets, logits), value, rtol=1e-5, atol=1e-6), _GRAPH)
    check_gradients(case, "penalty", penalty)


def check_augmenter(case: Case) -> None:
    """Batches of the same shape, each window for itself, decided by the seed."""
    rng = stream(case.seed, "testing.augmenter")
    batch: Float32Array = rng.standard_normal((BATCH, LENGTH, FEATURES)).astype(np.float32)
    batch[3], batch[4, :, 2] = 0.0, 1.5
    seed = np.array([case.seed, 1], np.int32)

    def changed(windows: Float32Array, with_seed: Any = seed) -> Any:  # noqa: ANN401
        return _called(case.fresh(), windows, with_seed)

    with case.untouched("the augmenter", batch):
        found = changed(batch)
    case.array(found, "the augmented batch", batch.shape, np.float32)
    case.expect(np.isfinite(found).all(), "the augmented batch must be finite, also for constant windows")
    case.same(found, changed(batch), "two calls with the same seed differ")
    others = [changed(batch, np.array([case.seed, row], np.int32)) for row in (2, 3, 4)]
    case.expect(any(not np.array_equal(other, found) for other in others), "the seed given changes nothing")
    replaced = batch.copy()
    replaced[8:] = batch[:7:-1]
    message = "a window's result depends on the other windows of its batch"
    case.expect(np.allclose(changed(replaced)[:8], found[:8], rtol=1e-5, atol=1e-6), message)
    case.expect(np.allclose(_in_graph(case.fresh(), batch, seed), found, rtol=1e-5, atol=1e-6), _GRAPH)


_GRAPH = "the result inside a graph, where the batch size is not known, is another one"


def _called(component: Callable[..., Any], *arrays: Any) -> Any:  # noqa: ANN401
    import tensorflow as tf

    return np.asarray(component(*(tf.constant(array) for array in arrays)))


def _in_graph(component: Callable[..., Any], *arrays: Any) -> Any:  # noqa: ANN401
    """Call a component as a training step does."""
    import tensorflow as tf

    signature = [
        tf.TensorSpec(array.shape if array.ndim == 1 else (None, *array.shape[1:]), array.dtype)
        for array in arrays
    ]
    function = tf.function(lambda *tensors: component(*tensors), input_signature=signature)
    return np.asarray(function(*(tf.constant(array) for array in arrays)))
