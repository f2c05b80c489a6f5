"""From windows to signals: test-time views, then calibration, then the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simengine.errors import ConfigError, DataError, PluginError
from simengine.evaluate.logproba import (
    PROBABILITY_FLOOR,
    as_log_proba,
    check_scores,
    floor_log_proba,
    log_softmax,
)
from simengine.types import N_CLASSES, DecisionContext, FloatArray, IntArray, LabelArray

if TYPE_CHECKING:
    from simengine.data.windows import WindowSet
    from simengine.plugin.kinds import BatchTransform, Calibrator, Decision, Model, TestTimeTransform

__all__ = [
    "PROBABILITY_FLOOR",
    "apply_inference",
    "calibrate",
    "fit_inference",
    "floor_log_proba",
    "log_softmax",
    "pool",
    "score",
    "score_views",
]


def score(
    model: Model, windows: WindowSet, views: Sequence[TestTimeTransform]
) -> tuple[FloatArray, FloatArray]:
    """Return the scores of a model, plain and averaged over test-time views.

    The views' probabilities, not their logits, are averaged: the mean of calibrated probabilities
    is the linear opinion pool (Stone, 1961).

    Parameters
    ----------
    model : Model
        A fitted model.
    windows : WindowSet
        n windows.
    views : sequence of TestTimeTransform
        At least one. A view with a true attribute ``is_identity`` takes the plain scores and costs no
        further pass.

    Returns
    -------
    raw_log_proba : float64 array, shape (n, 3)
        Log-softmax of the plain model's logits.
    log_proba : float64 array, shape (n, 3)
        Of `pool`.

    Raises
    ------
    ConfigError
        If there is no view.
    DataError
        If there is no window.
    PluginError
        If the model returns another shape or values that are not finite.
    """
    raw, seen = score_views(model, windows, views)
    return raw, pool(seen, views)


def score_views(
    model: Model, windows: WindowSet, views: Sequence[TestTimeTransform]
) -> tuple[FloatArray, FloatArray]:
    """Return the scores of a model on plain windows (n, 3), and under each test-time view (n, V, 3).

    Arguments and errors are those of `score`.
    """
    if not views:
        raise ConfigError("inference.tta: expected one view or more, received none; use [identity]")
    if len(windows) == 0:
        raise DataError("predict: there is no window to score")
    raw = log_softmax(_logits(model, windows, None))
    seen = [
        raw if getattr(view, "is_identity", False) else log_softmax(_logits(model, windows, view))
        for view in views
    ]
    return raw, np.stack(seen, axis=1)


def pool(view_log_proba: FloatArray, views: Sequence[TestTimeTransform]) -> FloatArray:
    """Return the weighted mean (n, 3) of the views' probabilities, as logs.

    ``log(sum_v w_v p_v / sum_v w_v)``, floored at 1e-7 and renormalised.

    Parameters
    ----------
    view_log_proba : float64 array, shape (n, V, 3)
        Normalised scores of each view, of `score_views`.
    views : sequence of TestTimeTransform
        V views.
    """
    weights = np.array([view.weight for view in views], np.float64)
    pooled = np.zeros((len(view_log_proba), N_CLASSES))
    for number, weight in enumerate(weights):
        pooled += weight * np.exp(view_log_proba[:, number])
    return as_log_proba(pooled / sum(weights))


def _logits(model: Model, windows: WindowSet, view: BatchTransform | None) -> FloatArray:
    """Return the logits under one view after checking them."""
    logits = np.asarray(model.predict_logits(windows, view), dtype=np.float64)
    seen = "the plain windows" if view is None else f"view {type(view).__name__}"
    _check_output(logits, len(windows), f"model {type(model).__name__} on {seen}", "logits")
    return logits


def _check_output(values: FloatArray, n: int, who: str, what: str) -> None:
    """Refuse what breaks the contract of a model or a calibrator."""
    if values.shape != (n, N_CLASSES):
        raise PluginError(f"{who}: expected {what} of shape ({n}, {N_CLASSES}), received {values.shape}")
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise PluginError(
            f"{who}: expected finite {what}, received {values[wrong[0]].tolist()} in row {wrong[0]} "
            f"({len(wrong)} such rows of {n})"
        )


def fit_inference(
    val_log_proba: FloatArray,
    val_labels: LabelArray,
    calibrator: Calibrator | None,
    decision: Decision,
    context: DecisionContext,
) -> tuple[Calibrator | None, Decision]:
    """Fit the calibrator, then the decision on calibrated scores, both on the validation rows.

    Parameters
    ----------
    val_log_proba : float64 array, shape (n, 3)
        Second result of `score` on the validation windows.
    val_labels : int8 array, shape (n,)
        Their labels, all defined.
    calibrator : Calibrator or None
        None leaves the scores as they are.
    decision : Decision
        Fitted on what `apply_inference` will hand it.
    context : DecisionContext
        Train shares, horizon, and what there is of times, symbols and market of these rows.

    Returns
    -------
    tuple of (Calibrator or None, Decision)
        What their ``fit`` returned, ready for `apply_inference`.

    Raises
    ------
    DataError
        If a label is no class, or the component cannot be fitted on these rows.
    """
    check_scores(val_log_proba, val_labels)
    if calibrator is not None:
        calibrator = calibrator.fit(val_log_proba, val_labels)
    calibrated = calibrate(val_log_proba, calibrator)
    return calibrator, decision.fit(calibrated, val_labels, context)


def calibrate(log_proba: FloatArray, calibrator: Calibrator | None) -> FloatArray:
    """Return calibrated scores (n, 3), normalised and floored whatever the calibrator returned.

    Raises
    ------
    PluginError
        If the calibrator breaks its contract.
    """
    if calibrator is None:
        return floor_log_proba(log_proba)
    values = np.asarray(calibrator.transform(log_proba), dtype=np.float64)
    _check_output(values, len(log_proba), f"calibrator {type(calibrator).__name__}", "log-probabilities")
    return floor_log_proba(log_softmax(values))


def apply_inference(
    log_proba: FloatArray,
    calibrator: Calibrator | None,
    decision: Decision,
    *,
    groups: IntArray | None = None,
    timestamp: IntArray | None = None,
) -> tuple[FloatArray, LabelArray]:
    """Return calibrated log-probabilities (n, 3) and decided signals (n,) int8 of scores (n, 3).

    A decision with a method ``decide_series`` decides the rows of each symbol in the order of time; all
    others decide each row alone.

    Parameters
    ----------
    log_proba : float64 array, shape (n, 3)
        Scores.
    calibrator, decision : Calibrator or None, Decision
        Fitted.
    groups : integer array, shape (n,), optional
        Symbol index of each row; needed by a decision that decides series.
    timestamp : int64 array, shape (n,), optional
        Open time of the bar of each row, ns UTC, distinct within a symbol; needed as ``groups`` is.

    Raises
    ------
    ConfigError
        If the decision needs ``groups`` and ``timestamp`` and they are not given.
    PluginError
        If the calibrator or the decision breaks its contract.
    """
    calibrated = calibrate(log_proba, calibrator)
    who = f"decision {type(decision).__name__}"
    series = getattr(decision, "decide_series", None)
    if series is None:
        signals = np.asarray(decision.decide(calibrated))
    elif groups is None or timestamp is None:
        raise ConfigError(
            f"{who}: a signal depends on the rows before it; give groups and timestamp of the rows"
        )
    else:
        signals = np.asarray(series(calibrated, np.asarray(groups, np.int64), timestamp))
    if signals.shape != (len(log_proba),):
        raise PluginError(f"{who}: expected signals of shape ({len(log_proba)},), received {signals.shape}")
    wrong = np.flatnonzero(~np.isin(signals, range(N_CLASSES)))
    if len(wrong):
        row = wrong[0]
        raise PluginError(
            f"{who}: expected 0 (SELL), 1 (HOLD) or 2 (BUY), received {signals[row]} in row {row}"
        )
    return calibrated, signals.astype(np.int8)
