"""The collapse watch: whether a network says one class far too often, and whether a decision cures it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from simengine.evaluate.classification import argmax_signals, class_shares
from simengine.evaluate.prior_matching import match_prior
from simengine.evaluate.scores import balanced_accuracy
from simengine.log import FIELDS, get_logger
from simengine.types import N_CLASSES, EpochRecord, FloatArray, LabelArray, Signal

logger = get_logger(__name__)

DISTANCE = 0.25
"""Distance of the argmax share of a class from its label share that counts as a collapse."""


@dataclass(frozen=True, slots=True)
class Collapse:
    """A class whose argmax share has left its label share.

    Parameters
    ----------
    kind : {"decision", "model"}
        ``decision``: with shares matched to the labels the network tells classes apart, so that a decision
        rule cures it. ``model``: it does not, so that no rule can.
    signal : Signal
        The class that is furthest off.
    share, label_share : float
        How often it is said, and how often it is true.
    accuracy : float
        Balanced accuracy with matched shares; 1/3 is chance.
    """

    kind: Literal["decision", "model"]
    signal: Signal
    share: float
    label_share: float
    accuracy: float

    def message(self) -> str:
        """Return one line that says what was seen and what helps."""
        seen = (
            f"{self.signal.name} is said for {self.share:.0%} of the validation rows, the labels have "
            f"{self.label_share:.0%}"
        )
        matched = f"balanced accuracy {self.accuracy:.3f} with shares matched to the labels"
        if self.kind == "decision":
            return (
                f"decision collapse: {seen}, but the scores tell classes apart ({matched}); a decision "
                "fitted on val cures it: inference.decision: prior_matched"
            )
        return (
            f"model collapse: {seen}, and the scores do not tell classes apart ({matched}, chance is 0.333); "
            "no decision rule cures that: train longer, change the learning rate or the loss"
        )


def watched(record: EpochRecord, log_proba: FloatArray, labels: LabelArray, horizon_bars: int) -> EpochRecord:
    """Return the record of an epoch with the collapse that its scores show, and warn about one.

    Parameters
    ----------
    record : EpochRecord
        Of the epoch.
    log_proba, labels, horizon_bars
        See `find_collapse`.
    """
    found = find_collapse(log_proba, labels, horizon_bars)
    if found is None:
        return record
    logger.warning(
        "epoch %d: %s",
        record.epoch,
        found.message(),
        extra={FIELDS: {"event": "collapse", "epoch": record.epoch, "kind": found.kind}},
    )
    return replace(record, collapse=found.kind)


def find_collapse(log_proba: FloatArray, labels: LabelArray, horizon_bars: int = 1) -> Collapse | None:
    """Return the collapse of scores, None when every class is said about as often as it is true.

    Scores tell classes apart when, once their shares are matched to the labels', their balanced accuracy is
    above chance by more than two standard errors. Labels of neighbouring bars overlap, so that n rows hold
    about n / horizon independent outcomes.

    Parameters
    ----------
    log_proba : float64 array, shape (n, 3)
        Of validation rows.
    labels : int8 array, shape (n,)
        Theirs.
    horizon_bars : int
        Label horizon.
    """
    said, true = class_shares(argmax_signals(log_proba)), class_shares(labels)
    worst = int(np.abs(said - true).argmax())
    if abs(said[worst] - true[worst]) < DISTANCE or (true * len(labels) < 1).any():
        return None
    match = match_prior(log_proba, true)
    matched = argmax_signals(log_proba + match.offsets)
    accuracy = balanced_accuracy(labels, matched)
    error = math.sqrt((1 / N_CLASSES) * (1 - 1 / N_CLASSES) * horizon_bars / len(labels))
    knows = match.converged and accuracy > 1 / N_CLASSES + 2 * error
    return Collapse(
        "decision" if knows else "model", Signal(worst), float(said[worst]), float(true[worst]), accuracy
    )
