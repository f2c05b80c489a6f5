"""What each step of inference does to the probabilities: views, their mean, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simengine.evaluate.classification import argmax_signals, class_shares
from simengine.evaluate.logproba import check_scores
from simengine.evaluate.scores import brier, classwise_ace, nll, top_label_ece
from simengine.types import FloatArray, LabelArray

PLAIN = "plain"
VIEW = "view"
POOLED = "mean of views"
CALIBRATED = "calibrated"

View = tuple[str, float]
"""Name and weight of a test-time view."""


def stage_figures(log_proba: FloatArray, labels: LabelArray) -> dict[str, Any]:
    """Return ``nll`` (nats), ``ece``, ``ace``, ``brier`` and ``argmax_share`` of scores (n, 3).

    As `simengine.evaluate.scores` defines them: top-label ECE in 15 equal-width bins, classwise ACE in 15
    equal-mass bins.

    Raises
    ------
    DataError
        When scores and labels do not fit, or a label is no class.
    """
    check_scores(log_proba, labels)
    return {
        "nll": nll(log_proba, labels),
        "ece": top_label_ece(log_proba, labels),
        "ace": classwise_ace(log_proba, labels),
        "brier": brier(log_proba, labels),
        "argmax_share": class_shares(argmax_signals(log_proba)).tolist(),
    }


def inference_stages(
    labels: LabelArray,
    plain: FloatArray,
    seen: FloatArray,
    views: Sequence[View],
    *,
    pooled: FloatArray,
    calibrated: FloatArray | None,
    calibrator: str | None,
) -> list[dict[str, Any]]:
    """Return a record for each step from the plain model to what the decision is given.

    Parameters
    ----------
    labels : int8 array, shape (n,)
        All of them classes.
    plain : float64 array, shape (n, 3)
        Normalised scores of the plain windows.
    seen : float64 array, shape (n, V, 3)
        Of each view alone.
    views : sequence of (str, float)
        Name and weight of the V views.
    pooled : float64 array, shape (n, 3)
        Weighted mean of the views.
    calibrated : float64 array, shape (n, 3), or None
        After the calibrator; None without one.
    calibrator : str or None
        Its name.

    Returns
    -------
    list of dict
        ``stage`` (``plain``, then a ``view`` each and ``mean of views`` where views change anything, then
        ``calibrated``), ``name``, ``weight``, and the figures of `stage_figures`.
    """
    records = [_record(PLAIN, None, None, plain, labels)]
    if not np.array_equal(seen, np.broadcast_to(plain[:, None], seen.shape)):
        records += [
            _record(VIEW, name, weight, seen[:, number], labels)
            for number, (name, weight) in enumerate(views)
        ]
        records.append(_record(POOLED, None, None, pooled, labels))
    if calibrated is not None:
        records.append(_record(CALIBRATED, calibrator, None, calibrated, labels))
    return records


def _record(
    stage: str, name: str | None, weight: float | None, log_proba: FloatArray, labels: LabelArray
) -> dict[str, Any]:
    return {"stage": stage, "name": name, "weight": weight, **stage_figures(log_proba, labels)}
