"""Gradient-boosted trees on the last bars: the tabular model to measure the networks against."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import ConfigError
from simengine.log import event, get_logger
from simengine.seed import integer
from simengine.train.classes import checked_class_weights, class_counts
from simengine.types import EpochRecord, Float32Array, FloatArray, IntArray, LabelArray

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from simengine.data.windows import WindowSet
    from simengine.plugin.kinds import BatchTransform, Reweighter
    from simengine.train.context import TrainContext

logger = get_logger(__name__)

_CHUNK = 8192
_NODE_FIELDS = ("feature_idx", "num_threshold", "left", "right", "value", "is_leaf")


class HistGradientBoosting:
    """Histogram gradient boosting on the features of the last bars, flattened.

    scikit-learn's ``HistGradientBoostingClassifier`` (after Ke et al., "LightGBM", NeurIPS 2017) with
    early stopping on the validation segment: boosting ends when the val NLL has not improved for
    ``patience`` iterations, and the model keeps the trees up to its lowest value. The fitted trees are
    kept as plain arrays and give scikit-learn's raw scores to the last bit.
    """

    uses: frozenset[str] = frozenset({"reweighter", "smote"})

    def __init__(
        self,
        *,
        lags: Annotated[int, Field(ge=1, description="last bars of the window that are used (bars)")] = 8,
        learning_rate: Annotated[float, Field(gt=0, le=1, description="shrinkage of each tree")] = 0.05,
        max_iter: Annotated[
            int, Field(ge=1, description="most boosting iterations (three trees each)")
        ] = 200,
        max_leaf_nodes: Annotated[int, Field(ge=2, description="most leaves of a tree")] = 31,
        min_samples_leaf: Annotated[int, Field(ge=1, description="fewest rows in a leaf")] = 100,
        l2: Annotated[float, Field(ge=0, description="L2 penalty on leaf values")] = 1.0,
        patience: Annotated[
            int, Field(ge=1, description="iterations without a lower val NLL before it stops")
        ] = 20,
    ) -> None:
        self.lags = lags
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2 = l2
        self.patience = patience

    def fit(self, train: WindowSet, val: WindowSet, context: TrainContext) -> list[EpochRecord]:
        """Grow the trees; one record, of the kept iteration.

        Raises
        ------
        ConfigError
            When ``lags`` is longer than the window.
        DataError
            When a class has no label.
        """
        from simengine.evaluate.logproba import log_softmax
        from simengine.train.collapse import watched
        from simengine.train.record import epoch_record

        if self.lags > train.length:
            raise ConfigError(f"model.lags: {self.lags} bars are more than window.length {train.length}")
        class_counts(train.labels, "model hist_gradient_boosting")
        with tempfile.TemporaryDirectory(prefix="simengine-") as scratch:
            rows, labels = self._table(train, context, Path(scratch))
            class_weights = np.ones(3)
            if context.reweighter is not None:
                weights = context.reweighter.start(labels)
                class_weights = checked_class_weights(context.reweighter, weights)
                _say_fixed(context.reweighter, class_weights)
            row_weights = class_weights[labels]
            context.progress.start("train", 1)
            try:
                kept = self._grow(rows, labels, val, row_weights, integer(context.seed, "model"))
                context.progress.advance(1, iterations=kept)
            finally:
                context.progress.stop()
            log_proba = log_softmax(self._scores(rows))
        own = -log_proba[np.arange(len(labels)), labels]
        train_loss = float((own * row_weights).mean())
        logits = self.predict_logits(val)
        record = epoch_record(logits, val.labels, [], train_loss, self.learning_rate, class_weights)
        record = watched(record, log_softmax(logits), val.labels, context.horizon_bars)
        context.on_epoch(record)
        return [record]

    def _table(
        self, train: WindowSet, context: TrainContext, scratch: Path
    ) -> tuple[Float32Array, LabelArray]:
        """Return rows and labels; with synthetic windows as a file, which only this training needs."""
        from simengine.data.spill import spill
        from simengine.train.samples import synthetic_rows

        if context.smote is None:
            return self._flat(train, slice(None), None), train.labels
        added = synthetic_rows(train, context)
        rows = spill(added, train, scratch / "windows.npy", lags=self.lags)
        return rows, added.labels(train.labels)

    def _grow(
        self, rows: Float32Array, labels: LabelArray, val: WindowSet, row_weights: FloatArray, seed: int
    ) -> int:
        from sklearn.ensemble import HistGradientBoostingClassifier

        booster = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2,
            early_stopping=True,
            scoring="loss",
            n_iter_no_change=self.patience,
            tol=0.0,
            random_state=seed,
        )
        # Equal weights are no weights, and with weights scikit-learn bins the features some 20 times slower.
        weights = None if np.all(row_weights == 1.0) else row_weights
        booster.fit(rows, labels, weights, X_val=self._flat(val, slice(None), None), y_val=val.labels)
        # Entry 0 is the score before the first tree.
        kept = int(np.argmax(booster.validation_score_))
        self._keep(booster, kept)
        return kept

    def _keep(self, booster: HistGradientBoostingClassifier, iterations: int) -> None:
        trees = [tree.nodes for stage in booster._predictors[:iterations] for tree in stage]
        self.baseline_: FloatArray = np.asarray(booster._baseline_prediction, dtype=np.float64).reshape(3)
        self.offsets_: IntArray = np.cumsum([0, *map(len, trees)], dtype=np.int64)
        nodes = {name: [tree[name] for tree in trees] for name in _NODE_FIELDS}
        self.feature_ = _joined(nodes["feature_idx"], np.int32)
        self.threshold_ = _joined(nodes["num_threshold"], np.float64)
        self.left_ = _joined(nodes["left"], np.int32)
        self.right_ = _joined(nodes["right"], np.int32)
        self.value_ = _joined(nodes["value"], np.float64)
        self.leaf_ = _joined(nodes["is_leaf"], np.uint8)

    def predict_logits(self, windows: WindowSet, transform: BatchTransform | None = None) -> Float32Array:
        """Return float32 (n, 3) raw scores; ``transform`` sees whole windows."""
        out = np.empty((len(windows), 3), dtype=np.float32)
        for start in range(0, len(windows), _CHUNK):
            part = slice(start, start + _CHUNK)
            out[part] = self._scores(self._flat(windows, part, transform))
        return out

    def _flat(self, windows: WindowSet, part: slice, transform: BatchTransform | None) -> Float32Array:
        if transform is None:
            batch = replace(windows, length=self.lags).gather(part)
        else:
            batch = windows.transformed(part, transform)[:, -self.lags :]
        return np.ascontiguousarray(batch).reshape(len(batch), -1)

    def _scores(self, rows: Float32Array) -> FloatArray:
        nodes = (self.feature_, self.threshold_, self.left_, self.right_, self.value_, self.leaf_)
        return _kernel()(rows, self.baseline_, self.offsets_, *nodes)

    def get_state(self) -> dict[str, Any]:
        """Return the trees: nodes of all trees one after another, ``offsets_`` where each begins."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore the trees."""
        for name, value in state.items():
            setattr(self, name, np.asarray(value))


def _say_fixed(reweighter: Reweighter, weights: FloatArray) -> None:
    """Log that a reweighter which moves its weights between epochs has no epochs to move them in."""
    if getattr(reweighter, "fixed", False):
        return
    event(
        logger,
        "weights_fixed",
        "trees are grown once, with the class weights that training.reweighter begins with",
        class_weights=weights.tolist(),
    )


def _joined(parts: list[Any], dtype: type[np.generic]) -> np.ndarray[Any, np.dtype[Any]]:
    return np.concatenate([*parts, np.empty(0, dtype)]).astype(dtype)


def _raw_scores(
    rows: Float32Array,
    baseline: FloatArray,
    offsets: IntArray,
    feature: IntArray,
    threshold: FloatArray,
    left: IntArray,
    right: IntArray,
    value: FloatArray,
    leaf: IntArray,
) -> FloatArray:
    """Return baseline plus leaf values of every tree, added in scikit-learn's order; (n, 3)."""
    out = np.empty((len(rows), 3))
    for row in range(len(rows)):
        for label in range(3):
            out[row, label] = baseline[label]
        for tree in range(len(offsets) - 1):
            root = offsets[tree]
            node = root
            while not leaf[node]:
                if np.float64(rows[row, feature[node]]) <= threshold[node]:
                    node = root + left[node]
                else:
                    node = root + right[node]
            out[row, tree % 3] += value[node]
    return out


@functools.cache
def _kernel() -> Callable[..., FloatArray]:
    from numba import njit

    compiled: Callable[..., FloatArray] = njit(cache=True, error_model="numpy")(_raw_scores)
    return compiled


@hookimpl
def simengine_register_models() -> list[Component]:
    """Register the component."""
    return [Component("hist_gradient_boosting", HistGradientBoosting)]
