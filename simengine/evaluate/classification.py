"""The classification part of ``metrics.json``, and the scores it is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from simengine.errors import DataError
from simengine.evaluate.logproba import as_log_proba
from simengine.evaluate.scores import (
    auc,
    balanced_accuracy,
    brier,
    class_shares,
    classwise_ace,
    confusion,
    direction_auc,
    hold_auc,
    macro_f1,
    nll,
    per_class,
    sign_auc,
    skill,
    top_label_ece,
)
from simengine.types import FloatArray, LabelArray

__all__ = [
    "argmax_signals",
    "auc",
    "balanced_accuracy",
    "brier",
    "class_prior_metrics",
    "class_shares",
    "classification_metrics",
    "classwise_ace",
    "confusion",
    "direction_auc",
    "hold_auc",
    "macro_f1",
    "mean_kl",
    "nll",
    "oracle_metrics",
    "per_class",
    "share_error",
    "sign_auc",
    "skill",
    "top_label_ece",
]


def argmax_signals(log_proba: FloatArray) -> LabelArray:
    """Return the most probable class (n,) as int8; the first of equally probable ones."""
    return np.asarray(log_proba.argmax(axis=1), dtype=np.int8)


def share_error(share: FloatArray, effective_n: float) -> FloatArray:
    """Return the binomial standard error ``sqrt(p (1 - p) / effective_n)`` of shares (3,).

    Labels of neighbouring bars overlap by H - 1 bars, so that n rows hold about n / H independent
    outcomes; two shares closer than this error cannot be told apart.
    """
    return np.sqrt(share * (1.0 - share) / effective_n)


def classification_metrics(
    *,
    labels: LabelArray,
    raw_log_proba: FloatArray,
    log_proba: FloatArray,
    signals: LabelArray,
    forward_return: FloatArray,
    train_share: FloatArray,
    horizon_bars: int,
) -> dict[str, Any]:
    """Return every classification metric of one segment as plain numbers and lists of three.

    Parameters
    ----------
    labels : int8 array, shape (n,)
        Labels of the rows, all defined.
    raw_log_proba : float64 array, shape (n, 3)
        Of the plain model, before test-time views and calibration.
    log_proba : float64 array, shape (n, 3)
        After test-time views and calibration.
    signals : int8 array, shape (n,)
        Decided classes.
    forward_return : float64 array, shape (n,)
        Log return that each label looks at.
    train_share : float64 array, shape (3,)
        Label shares of the train rows.
    horizon_bars : int
        Label horizon H.

    Returns
    -------
    dict
        ``n, effective_n, label_share, raw_argmax_share, raw_nll, raw_ece, argmax_share, nll, ece,
        ace, brier, skill, decided_share, macro_f1, balanced_accuracy, per_class, argmax_macro_f1,
        sign_auc, hold_auc``, and ``label_share_error, argmax_share_error, decided_share_error``.
        A figure that is not defined (a class that does not occur) is NaN.

    Raises
    ------
    DataError
        If a label or signal is no class, shapes do not agree or a value is NaN.
    """
    if horizon_bars < 1:
        raise DataError(f"horizon_bars: expected at least 1, received {horizon_bars}")
    effective_n = len(labels) / horizon_bars
    argmax = argmax_signals(log_proba)
    label_share, argmax_share, decided_share = map(class_shares, (labels, argmax, signals))
    return {
        "n": len(labels),
        "effective_n": effective_n,
        "label_share": label_share.tolist(),
        "label_share_error": share_error(label_share, effective_n).tolist(),
        "raw_argmax_share": class_shares(argmax_signals(raw_log_proba)).tolist(),
        "raw_nll": nll(raw_log_proba, labels),
        "raw_ece": top_label_ece(raw_log_proba, labels),
        "argmax_share": argmax_share.tolist(),
        "argmax_share_error": share_error(argmax_share, effective_n).tolist(),
        "nll": nll(log_proba, labels),
        "ece": top_label_ece(log_proba, labels),
        "ace": classwise_ace(log_proba, labels),
        "brier": brier(log_proba, labels),
        "skill": skill(log_proba, labels, train_share),
        "decided_share": decided_share.tolist(),
        "decided_share_error": share_error(decided_share, effective_n).tolist(),
        "macro_f1": macro_f1(labels, signals),
        "balanced_accuracy": balanced_accuracy(labels, signals),
        "per_class": per_class(labels, signals),
        "argmax_macro_f1": macro_f1(labels, argmax),
        "sign_auc": sign_auc(log_proba, forward_return),
        "hold_auc": hold_auc(log_proba, labels),
    }


def class_prior_metrics(
    *, labels: LabelArray, train_share: FloatArray, forward_return: FloatArray, horizon_bars: int
) -> dict[str, Any]:
    """Return `classification_metrics` of the baseline that always answers the train class shares.

    Its ``skill`` is 0, its ``sign_auc`` 0.5 and its ``nll`` the cross-entropy of the label shares
    under the train shares, by construction. It decides by argmax: the largest train class always.
    """
    log_proba = as_log_proba(np.tile(np.asarray(train_share, dtype=np.float64), (len(labels), 1)))
    return classification_metrics(
        labels=labels,
        raw_log_proba=log_proba,
        log_proba=log_proba,
        signals=argmax_signals(log_proba),
        forward_return=forward_return,
        train_share=train_share,
        horizon_bars=horizon_bars,
    )


def mean_kl(reference: FloatArray, log_proba: FloatArray) -> float:
    """Return ``mean(sum_c q_c (log q_c - log p_c))`` in nats (Kullback and Leibler, 1951).

    ``reference`` (log q) and ``log_proba`` (log p) are normalised log-probabilities (n, 3).
    """
    return float((np.exp(reference) * (reference - log_proba)).sum(axis=1).mean())


def oracle_metrics(
    *,
    labels: LabelArray,
    window_proba: FloatArray,
    full_proba: FloatArray,
    model_log_proba: FloatArray,
    forward_return: FloatArray,
    train_share: FloatArray,
    horizon_bars: int,
    signals: LabelArray | None = None,
) -> dict[str, Any]:
    """Return the metrics of the exact classifier, and how much of its skill the model reaches.

    Parameters
    ----------
    labels, forward_return, train_share, horizon_bars
        As in `classification_metrics`.
    window_proba : float64 array, shape (n, 3)
        Exact class probabilities given the bars of the model's own window.
    full_proba : float64 array, shape (n, 3)
        Exact class probabilities given the full history.
    model_log_proba : float64 array, shape (n, 3)
        The model's calibrated log-probabilities of the same rows.
    signals : int8 array, shape (n,), optional
        Classes decided from ``window_proba`` by the run's decision rule; its argmax when left out.

    Returns
    -------
    dict
        The names of `classification_metrics` for ``window_proba`` (``raw_`` ones are equal to the
        others: exact probabilities need no calibration); the same for ``full_proba``, decided by
        argmax, under ``full``; ``skill_ratio`` and ``skill_ratio_full`` = skill of the model over that of
        the exact classifier, NaN where the latter is not positive; ``kl`` = mean Kullback-Leibler
        divergence of the model from the exact window classifier, nats.
    """
    rows: dict[str, Any] = {
        "labels": labels,
        "forward_return": forward_return,
        "train_share": train_share,
        "horizon_bars": horizon_bars,
    }
    window, full = as_log_proba(window_proba), as_log_proba(full_proba)
    decided = argmax_signals(window) if signals is None else signals
    metrics = classification_metrics(raw_log_proba=window, log_proba=window, signals=decided, **rows)
    metrics["full"] = classification_metrics(
        raw_log_proba=full, log_proba=full, signals=argmax_signals(full), **rows
    )
    own_skill = skill(model_log_proba, labels, train_share)
    metrics["skill_ratio"] = _skill_ratio(own_skill, metrics["skill"])
    metrics["skill_ratio_full"] = _skill_ratio(own_skill, metrics["full"]["skill"])
    metrics["kl"] = mean_kl(window, model_log_proba)
    return metrics


def _skill_ratio(skill_of_model: float, skill_of_oracle: float) -> float:
    """Return the ratio, NaN where the exact classifier itself shows no skill on these rows."""
    return skill_of_model / skill_of_oracle if skill_of_oracle > 0 else float("nan")
