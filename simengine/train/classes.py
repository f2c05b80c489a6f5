"""Class counts of the training labels, and the class weights made from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from simengine.errors import DataError, PluginError
from simengine.types import CLASS_NAMES, N_CLASSES, FloatArray, IntArray, LabelArray


def class_counts(labels: LabelArray, needed_by: str) -> IntArray:
    """Return how many labels each class has.

    Parameters
    ----------
    labels : int8 array, shape (n,)
        Training labels, all in 0..2.
    needed_by : str
        The part that cannot work without every class, for the error message.

    Returns
    -------
    int64 array, shape (3,)
        Counts of SELL, HOLD, BUY, all at least 1.

    Raises
    ------
    DataError
        When a class has no label.
    """
    counts: IntArray = np.bincount(labels, minlength=N_CLASSES).astype(np.int64)
    if counts.min() == 0:
        empty = CLASS_NAMES[int(np.argmin(counts))].upper()
        raise DataError(
            f"{needed_by} needs every class, but none of the {len(labels)} training labels is {empty}: "
            "change labels.labeler or use more bars"
        )
    return counts


def class_prior(labels: LabelArray, needed_by: str) -> FloatArray:
    """Return the share of each class among the labels, shape (3,); errors as in `class_counts`."""
    counts = class_counts(labels, needed_by)
    shares: FloatArray = counts / counts.sum()
    return shares


def by_target(reweighter: object) -> bool:
    """Return whether class weights multiply the classes' parts of the targets, not the rows' losses.

    Raises
    ------
    PluginError
        When ``applies_to`` is neither ``sample_weight`` nor ``alpha``.
    """
    where = getattr(reweighter, "applies_to", "sample_weight")
    if where not in ("sample_weight", "alpha"):
        raise PluginError(
            f"reweighter {type(reweighter).__name__}: applies_to must be 'sample_weight' or 'alpha'; "
            f"received {where!r}"
        )
    return bool(where == "alpha")


def checked_class_weights(reweighter: object, weights: Any) -> FloatArray:  # noqa: ANN401 - a plugin's result
    """Return what a reweighter answered as float64 (3,).

    Raises
    ------
    PluginError
        When it is not three finite numbers >= 0.
    """
    values: FloatArray = np.asarray(weights, dtype=np.float64)
    if values.shape != (N_CLASSES,) or not np.isfinite(values).all() or values.min() < 0:
        raise PluginError(
            f"reweighter {type(reweighter).__name__}: expected three finite weights >= 0; "
            f"received {values.tolist()}"
        )
    return values
