"""The form in which scores travel between stages: normalised log-probabilities with a floor."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from simengine.errors import DataError
from simengine.types import N_CLASSES, FloatArray, LabelArray

PROBABILITY_FLOOR = 1e-7
"""No probability that passes from one stage to the next is below this (before renormalising)."""


def log_softmax(logits: ArrayLike) -> FloatArray:
    """Return the logarithm of the softmax over the last axis.

    Parameters
    ----------
    logits : array, shape (..., 3)
        Unnormalised log-probabilities; already normalised ones come back unchanged but for rounding.

    Returns
    -------
    float64 array, same shape
        ``logits - log(sum(exp(logits)))``, computed without overflow.
    """
    # Reductions over a last axis of three are slow; class by class they are twice as fast.
    columns = np.ascontiguousarray(np.moveaxis(np.asarray(logits, dtype=np.float64), -1, 0))
    shifted = columns - columns.max(axis=0)
    return np.ascontiguousarray(np.moveaxis(shifted - np.log(np.exp(shifted).sum(axis=0)), 0, -1))


def floor_log_proba(log_proba: ArrayLike) -> FloatArray:
    """Raise every probability to at least 1e-7 and renormalise.

    Without a floor a single certain and wrong row makes the mean log-loss infinite, and the
    offsets of a decision rule cannot be found.

    Parameters
    ----------
    log_proba : array, shape (n, 3)
        Normalised log-probabilities.

    Returns
    -------
    float64 array, shape (n, 3)
        Normalised log-probabilities of at least ``log(1e-7)`` less 3e-7.
    """
    floored = np.maximum(np.asarray(log_proba, dtype=np.float64), np.log(PROBABILITY_FLOOR))
    return log_softmax(floored)


def as_log_proba(proba: ArrayLike) -> FloatArray:
    """Return probabilities (n, 3) as normalised log-probabilities with the floor."""
    return floor_log_proba(np.log(np.maximum(np.asarray(proba, dtype=np.float64), PROBABILITY_FLOOR)))


def check_labels(labels: LabelArray, what: str = "labels") -> None:
    """Check that there is at least one label and that all of them are classes.

    Raises
    ------
    DataError
        If there is no row, or one holds something else than 0, 1 or 2.
    """
    if labels.ndim != 1 or len(labels) == 0:
        raise DataError(f"{what}: expected one row or more, received shape {labels.shape}")
    wrong = np.flatnonzero((labels < 0) | (labels >= N_CLASSES))
    if len(wrong):
        raise DataError(
            f"{what}: expected 0 (SELL), 1 (HOLD) or 2 (BUY), received {labels[wrong[0]]} in row {wrong[0]}; "
            "leave rows without a label out"
        )


def check_scores(log_proba: FloatArray, labels: LabelArray) -> None:
    """Check scores (n, 3) against their labels (n,).

    Raises
    ------
    DataError
        If the shapes do not agree, a score is NaN or a label is no class.
    """
    check_labels(labels)
    if log_proba.shape != (len(labels), N_CLASSES):
        raise DataError(
            f"scores: expected shape ({len(labels)}, {N_CLASSES}) for {len(labels)} labels, "
            f"received {log_proba.shape}"
        )
    wrong = np.flatnonzero(np.isnan(log_proba).any(axis=1))
    if len(wrong):
        raise DataError(f"scores: expected log-probabilities, received NaN in row {wrong[0]}")
