"""What calibrators do to the probabilities: the same figures before and after each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from simengine.evaluate.logproba import floor_log_proba, log_softmax
from simengine.evaluate.scores import brier, classwise_ace, nll, top_label_ece
from simengine.types import FloatArray, LabelArray

if TYPE_CHECKING:
    from simengine.plugin.kinds import Calibrator

Rows = tuple[FloatArray, LabelArray]
"""Uncalibrated scores (n, 3) and their labels (n,)."""

Figures = dict[str, float]

BEFORE = "before"
"""Name of the figures without a calibrator."""

IN_SAMPLE = "val_in_sample"
"""Name of the rows that the calibrators were fitted on."""


def calibration_figures(log_proba: FloatArray, labels: LabelArray) -> Figures:
    """Return ``nll`` (nats), ``ece``, ``ace`` and ``brier`` of normalised log-probabilities (n, 3).

    As `simengine.evaluate.scores` defines them: top-label ECE in 15 equal-width bins, classwise ACE in 15
    equal-mass bins.
    """
    return {
        "nll": nll(log_proba, labels),
        "ece": top_label_ece(log_proba, labels),
        "ace": classwise_ace(log_proba, labels),
        "brier": brier(log_proba, labels),
    }


def calibration_report(
    calibrators: Mapping[str, Calibrator], val: Rows, measured: Mapping[str, Rows]
) -> dict[str, dict[str, Figures]]:
    """Return the figures before and after each calibrator.

    Parameters
    ----------
    calibrators : mapping of str to Calibrator
        By name, fitted on ``val``.
    val : (float64 array (n, 3), int8 array (n,))
        The rows that they were fitted on. Their figures flatter, the more the richer the calibrator: they
        stand under ``val_in_sample`` and choose nothing.
    measured : mapping of str to (float64 array (n, 3), int8 array (n,))
        Other rows by name, for example ``test``.

    Returns
    -------
    dict
        By rows (``val_in_sample``, then those of ``measured``), then by ``before`` and the names of the
        calibrators, then by figure; see `calibration_figures`.

    Raises
    ------
    ValueError
        A name in ``calibrators`` or ``measured`` that the report itself uses.
    DataError
        Scores and labels that do not fit, or a label that is no class.
    """
    for name, taken in ((BEFORE, calibrators), (IN_SAMPLE, measured)):
        if name in taken:
            raise ValueError(f"calibration report: {name!r} has a meaning of its own here; use another name")
    return {
        name: {
            BEFORE: calibration_figures(floor_log_proba(scores), labels),
            **{
                calibrator: calibration_figures(_calibrated(fitted, scores), labels)
                for calibrator, fitted in calibrators.items()
            },
        }
        for name, (scores, labels) in {IN_SAMPLE: val, **measured}.items()
    }


def _calibrated(calibrator: Calibrator, log_proba: FloatArray) -> FloatArray:
    """Return what the next stage of a run would get: normalised and floored."""
    return floor_log_proba(log_softmax(calibrator.transform(log_proba)))
