"""Contracts of the kinds that take part in training: balancers, reweighters, losses and models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from simengine.data.windows import WindowSet
from simengine.errors import ConfigError
from simengine.plugin.testing.case import Case
from simengine.plugin.testing.samples import make_labels, make_scores
from simengine.seed import stream
from simengine.train.context import TrainContext
from simengine.types import EpochRecord, Float32Array, IntArray, LabelArray

N_ROWS = 500
BATCH = 32
PARTS = frozenset(
    {"balancer", "reweighter", "loss", "smoother", "miner", "penalties", "augment", "smote", "optimizer"}
)


def check_balancer(case: Case) -> None:
    """Batches of valid row ids, the same for the same stream."""
    labels = make_labels(N_ROWS, case.seed)
    groups = (np.arange(N_ROWS) // (N_ROWS // 2)).astype(np.int64)

    def batches() -> list[IntArray]:
        return list(case.fresh().epoch(labels, groups, 1, stream(case.seed, "balancer", 1), BATCH))

    with case.untouched("epoch()", labels, groups):
        found = batches()
    case.expect(found, "epoch() gives no batch")
    for ids in found:
        case.expect(
            isinstance(ids, np.ndarray) and ids.ndim == 1 and ids.dtype.kind == "i",
            "epoch() must yield one-dimensional integer arrays",
        )
        case.expect(0 < len(ids) <= BATCH, f"a batch must hold 1 to {BATCH} rows, received {len(ids)}")
        inside = ids.min() >= 0 and ids.max() < N_ROWS
        case.expect(inside, f"row ids must lie in 0 .. {N_ROWS - 1}, received {ids.min()} .. {ids.max()}")
    case.same(found, batches(), "two epochs with the same random stream differ")


def check_reweighter(case: Case) -> None:
    """Three finite positive weights from the start and after every epoch."""
    log_proba, labels = make_scores(N_ROWS, case.seed)

    def weights() -> list[Any]:
        reweighter = case.fresh()
        return [
            reweighter.start(labels),
            *(reweighter.update(labels, log_proba, epoch) for epoch in (1, 2)),
        ]

    with case.untouched("start() or update()", labels, log_proba):
        found = weights()
    for item in found:
        values = case.array(item, "the weights", (3,), np.float64)
        valid = np.isfinite(values).all() and (values > 0).all()
        case.expect(valid, f"weights must be finite and above 0, received {values}")
    case.same(found, weights(), "two runs over the same predictions differ")
    first = case.fresh()
    first.start(labels)
    restored = case.restored(first)
    message = "update() differs after the state went through a file"
    case.same(first.update(labels, log_proba, 1), restored.update(labels, log_proba, 1), message)


def check_loss(case: Case) -> None:
    """One finite value a row, from that row alone, with finite gradients at extreme logits.

    A loss that changes over the training is checked in an early and in a late epoch.
    """
    changing = "epoch" in inspect.signature(case.fresh()).parameters
    for epoch in (1.0, 2.0, 50.0) if changing else (None,):
        _check_loss_in(case, epoch)


def _check_loss_in(case: Case, epoch: float | None) -> None:
    rng = stream(case.seed, "testing.loss")
    hard = np.eye(3, dtype=np.float32)[make_labels(BATCH, case.seed)]
    soft = (0.9 * hard + 0.1 / 3).astype(np.float32)
    logits = rng.normal(0, 2, (BATCH, 3)).astype(np.float32)
    fitted = _fitted_loss(case)
    loss = _in_epoch(fitted, epoch)
    for targets in (hard, soft):
        with case.untouched("the loss", targets, logits):
            value = np.asarray(loss(targets, logits))
        case.array(value, "the loss", (BATCH,), np.float32)
        case.expect(np.isfinite(value).all(), "the loss must be finite")
        again = np.asarray(_in_epoch(_fitted_loss(case), epoch)(targets, logits))
        case.same(value, again, "two evaluations of the same rows differ")
        part = np.asarray(loss(targets[5:9], logits[5:9]))
        close = np.allclose(part, value[5:9], rtol=1e-5, atol=1e-6)
        case.expect(close, "a row's loss depends on the other rows of its batch")
    check_gradients(case, "loss", loss)
    restored = np.asarray(_in_epoch(case.restored(fitted), epoch)(hard, logits))
    direct = np.asarray(loss(hard, logits))
    case.same(restored, direct, "the loss differs after the state went through a file")


def _in_epoch(loss: Any, epoch: float | None) -> Callable[[Any, Any], Any]:  # noqa: ANN401
    """Return a loss as a function of targets and logits, which may be arrays."""
    import tensorflow as tf

    last = () if epoch is None else (tf.constant(epoch),)
    return lambda targets, logits: loss(tf.convert_to_tensor(targets), tf.convert_to_tensor(logits), *last)


def _fitted_loss(case: Case) -> Any:  # noqa: ANN401
    loss = case.fresh()
    if hasattr(loss, "fit"):
        labels = make_labels(N_ROWS, case.seed)
        with case.untouched("fit()", labels):
            loss.fit(labels)
    return loss


def check_gradients(case: Case, what: str, function: Callable[[Any, Any], Any]) -> None:
    """Expect a finite value and a finite gradient of targets (B, 3) and logits (B, 3) far apart."""
    import tensorflow as tf

    targets = tf.constant(np.tile(np.eye(3, dtype=np.float32), (3, 1)))
    logits = tf.constant(np.repeat(50 * np.eye(3, dtype=np.float32), 3, axis=0))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = function(targets, logits)
    gradient = tape.gradient(value, logits)
    case.expect(np.isfinite(np.asarray(value)).all(), f"the {what} must be finite at a logit gap of 50")
    case.expect(gradient is not None, f"the {what} has no gradient with respect to the logits")
    finite = np.isfinite(np.asarray(gradient)).all()
    case.expect(finite, "the gradient must be finite at a logit gap of 50")


def check_model(case: Case) -> None:
    """Trains on a tiny set, the same way twice; scores survive a file and do not depend on the batch."""
    train, val = _windows(case, 240, 0), _windows(case, 80, 240)
    model = case.fresh()
    uses = model.uses
    known = isinstance(uses, frozenset) and uses <= PARTS
    case.expect(known, f"uses must be a frozenset of parts among {sorted(PARTS)}, received {uses!r}")
    with case.untouched("fit()", train, val):
        records = model.fit(train, val, _context(case))
    case.expect(
        isinstance(records, list) and records and all(isinstance(item, EpochRecord) for item in records),
        "fit() must return a list with an EpochRecord for each epoch",
    )
    with case.untouched("predict_logits()", val):
        logits = model.predict_logits(val)
    case.array(logits, "predict_logits()", (len(val), 3), np.float32)
    case.expect(np.isfinite(logits).all(), "predict_logits() must be finite")
    case.same(logits, model.predict_logits(val), "two predictions of the same windows differ")
    case.same(
        logits,
        case.restored(model).predict_logits(val),
        "predict_logits() differs after the state went through a file",
    )
    part = model.predict_logits(val.take(np.arange(7, 20)))
    close = np.allclose(part, logits[7:20], rtol=1e-3, atol=1e-4)
    case.expect(close, "a window's logits depend on the other windows")
    _check_transform(case, model, val)
    second = case.fresh()
    second.fit(train, val, _context(case))
    case.same(logits, second.predict_logits(val), "two trainings with the same seed differ")


def _check_transform(case: Case, model: Any, windows: WindowSet) -> None:  # noqa: ANN401
    """Expect logits of transformed windows, or that a model which carries state refuses to transform."""
    try:
        mirrored = model.predict_logits(windows, _negated)
    except ConfigError:
        if not getattr(model, "stateful", False):
            raise
        return
    refused = "a stateful model must refuse to transform single windows, with a ConfigError"
    case.expect(not getattr(model, "stateful", False), refused)
    case.array(mirrored, "predict_logits() with a transform", (len(windows), 3), np.float32)


def _negated(batch: Float32Array) -> Float32Array:
    return -batch


def _windows(case: Case, n: int, start: int) -> WindowSet:
    length, n_features = 12, 4
    rng = stream(case.seed, "testing.windows")
    matrix = rng.standard_normal((400, n_features)).astype(np.float32)
    ends = np.arange(start + length, start + length + n, dtype=np.int32)
    labels = np.digitize(matrix[ends, 0] + 0.5 * rng.standard_normal(n), [-0.5, 0.4]).astype(np.int8)
    # One series from row 0 on, for models that carry state over bars.
    return WindowSet(matrix, ends, labels, np.zeros(n, np.int16), length, np.zeros(n, np.int32))


def _context(case: Case) -> TrainContext:
    return TrainContext(
        balancer=_Shuffled(),
        reweighter=None,
        loss=_CrossEntropy(),
        seed=case.seed,
        epochs=1,
        batch_size=BATCH,
        learning_rate=0.01,
    )


class _Shuffled:
    """Every row once, in random order."""

    def epoch(
        self, labels: LabelArray, groups: IntArray, epoch: int, rng: np.random.Generator, batch_size: int
    ) -> Iterator[IntArray]:
        order = rng.permutation(len(labels))
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]


class _CrossEntropy:
    """-sum y log softmax(z)."""

    def __call__(self, targets: Any, logits: Any) -> Any:  # noqa: ANN401
        import tensorflow as tf

        return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)
