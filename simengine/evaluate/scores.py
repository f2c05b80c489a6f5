"""Scores of probabilities and of decided classes, one function each.

Every function takes log-probabilities (n, 3) and labels (n,), or labels and decided classes, and
returns a plain float that is defined, possibly as NaN, also when a class does not occur.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simengine.errors import DataError
from simengine.evaluate.logproba import as_log_proba, check_labels, check_scores
from simengine.types import N_CLASSES, FloatArray, IntArray, LabelArray, Signal


def nll(log_proba: FloatArray, labels: LabelArray) -> float:
    """Return the mean negative log-likelihood in nats: ``-mean(log p[label])`` (Good, 1952)."""
    check_scores(log_proba, labels)
    return float(-log_proba[np.arange(len(labels)), labels].mean())


def brier(log_proba: FloatArray, labels: LabelArray) -> float:
    """Return ``mean(sum_c (p_c - [label = c])^2)``, from 0 to 2 (Brier, 1950)."""
    check_scores(log_proba, labels)
    error = np.exp(log_proba)
    error[np.arange(len(labels)), labels] -= 1.0
    return float(np.square(error).sum(axis=1).mean())


def skill(log_proba: FloatArray, labels: LabelArray, train_share: FloatArray) -> float:
    """Return ``1 - nll / nll of the train class prior`` on the same rows.

    0 is as good as always answering the class shares of the train rows. It rewards anything that
    is known about the label, foreseen volatility included; direction alone is `sign_auc`.

    Parameters
    ----------
    train_share : float64 array, shape (3,)
        Label shares of the train rows.
    """
    prior = as_log_proba(np.broadcast_to(np.asarray(train_share, dtype=np.float64), log_proba.shape))
    return 1.0 - nll(log_proba, labels) / nll(prior, labels)


def top_label_ece(log_proba: FloatArray, labels: LabelArray, bins: int = 15) -> float:
    """Return the expected calibration error of the most probable class.

    ``sum_b n_b / n * |accuracy_b - mean confidence_b|`` over equal-width bins (lower, upper] of the
    highest probability (Guo et al., "On Calibration of Modern Neural Networks", 2017).
    """
    check_scores(log_proba, labels)
    predicted = log_proba.argmax(axis=1)
    confidence = np.exp(log_proba[np.arange(len(labels)), predicted])
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(index, weights=(predicted == labels) - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def classwise_ace(log_proba: FloatArray, labels: LabelArray, bins: int = 15) -> float:
    """Return the adaptive calibration error over all classes.

    ``mean_c sum_b n_b / n * |share of c in b - mean p_c in b|`` over bins of equal mass per class
    (Nixon et al., "Measuring Calibration in Deep Learning", 2019). Rows with the same probability
    share a bin, so that the order of rows does not matter; with many such rows bins differ in mass.
    """
    check_scores(log_proba, labels)
    total = 0.0
    for label in range(N_CLASSES):
        proba = np.exp(log_proba[:, label])
        order = np.argsort(proba, kind="stable")
        gap = np.add.reduceat((labels == label)[order] - proba[order], equal_mass_starts(proba[order], bins))
        total += float(np.abs(gap).sum())
    return total / (N_CLASSES * len(labels))


def equal_mass_starts(ordered: FloatArray, bins: int) -> IntArray:
    """Return where each bin of ordered values starts; a cut inside a run of equal ones moves to its end."""
    n = len(ordered)
    cuts = np.arange(1, bins, dtype=np.int64) * n // bins
    cuts = cuts[cuts > 0]
    ends = np.searchsorted(ordered, ordered[cuts - 1], side="right")
    starts = np.unique(np.concatenate([[0], ends]))
    return starts[starts < n]


def class_shares(predicted: LabelArray) -> FloatArray:
    """Return the shares (3,) of SELL, HOLD and BUY among classes (n,)."""
    check_labels(predicted, "classes")
    return np.bincount(predicted, minlength=N_CLASSES) / len(predicted)


def confusion(labels: LabelArray, predicted: LabelArray) -> IntArray:
    """Return counts (3, 3): row = label, column = predicted class."""
    check_labels(labels)
    check_labels(predicted, "classes")
    if labels.shape != predicted.shape:
        raise DataError(f"expected as many classes as labels, received {len(predicted)} and {len(labels)}")
    cells = labels.astype(np.int64) * N_CLASSES + predicted
    return np.bincount(cells, minlength=N_CLASSES**2).reshape(N_CLASSES, N_CLASSES)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> FloatArray:
    """Return ``part / whole``, NaN where ``whole`` is 0."""
    result = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def per_class(labels: LabelArray, predicted: LabelArray) -> dict[str, list[float]]:
    """Return ``precision``, ``recall``, ``f1`` and ``support``, each a list over SELL, HOLD, BUY.

    Precision is NaN for a class that is never predicted, recall for one without labels, F1 =
    2 TP / (labels + predictions) for one with neither (van Rijsbergen, 1979).
    """
    table = confusion(labels, predicted)
    hits, support, made = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    return {
        "precision": _ratio(hits, made).tolist(),
        "recall": _ratio(hits, support).tolist(),
        "f1": _ratio(2 * hits, support + made).tolist(),
        "support": support.tolist(),
    }


def macro_f1(labels: LabelArray, predicted: LabelArray) -> float:
    """Return the mean F1 of the classes that occur among labels or predictions."""
    return float(np.nanmean(per_class(labels, predicted)["f1"]))


def balanced_accuracy(labels: LabelArray, predicted: LabelArray) -> float:
    """Return the mean recall of the classes that have labels (Brodersen et al., 2010)."""
    return float(np.nanmean(per_class(labels, predicted)["recall"]))


def auc(score: FloatArray, positive: NDArray[np.bool_]) -> float:
    """Return the probability that a positive row scores above a negative one, ties counting half.

    The Mann-Whitney form of the area under the ROC curve (Hanley and McNeil, 1982); NaN when all
    rows are positive or none is.
    """
    from scipy.stats import rankdata

    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    rank_sum = float(rankdata(score)[positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def direction_auc(score: FloatArray, forward_return: FloatArray) -> float:
    """Return the AUC of any score (n,) against the sign of the forward return (n,), zeros left out.

    Raises
    ------
    DataError
        If the lengths differ or a score or return is not finite.
    """
    if score.shape != forward_return.shape:
        raise DataError(
            f"expected as many scores as forward returns, received {score.shape} and {forward_return.shape}"
        )
    wrong = np.flatnonzero(~(np.isfinite(score) & np.isfinite(forward_return)))
    if len(wrong):
        row = wrong[0]
        raise DataError(
            f"direction: expected finite values, received score {score[row]} and forward return "
            f"{forward_return[row]} in row {row}; leave rows without a forward return out"
        )
    moved = forward_return != 0
    return auc(score[moved], forward_return[moved] > 0)


def sign_auc(log_proba: FloatArray, forward_return: FloatArray) -> float:
    """Return the AUC of ``P(BUY) - P(SELL)`` against the sign of the forward return, zeros left out.

    0.5 says nothing about direction, whatever the skill.
    """
    proba = np.exp(log_proba)
    return direction_auc(proba[:, Signal.BUY] - proba[:, Signal.SELL], forward_return)


def hold_auc(log_proba: FloatArray, labels: LabelArray) -> float:
    """Return the AUC of ``P(HOLD)`` against whether the label is HOLD: how well calm is foreseen."""
    check_scores(log_proba, labels)
    return auc(log_proba[:, Signal.HOLD], labels == Signal.HOLD)
