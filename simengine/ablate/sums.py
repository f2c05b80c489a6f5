"""What is counted of one cell on one test span, bar by bar, such that sums over any bars give every metric.

The figures of an ablation come with intervals from a block bootstrap, which takes blocks of test bars away
and others twice. Computing each metric anew from the rows of each replicate would take hours for a table of
forty cells. Every metric is therefore written as a function of sums over bars: counts of the confusion
matrix, gaps of calibration bins, histograms of a score. A replicate then is a sum of a few block sums.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from simengine.evaluate.classification import argmax_signals
from simengine.evaluate.logproba import as_log_proba
from simengine.evaluate.scores import equal_mass_starts
from simengine.types import N_CLASSES, FloatArray, IntArray, LabelArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15
"""Of the calibration errors, as in `simengine.evaluate.scores`."""
RANKS = 256
"""Bins of the score whose AUC is computed; rows of one bin count as ties."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One cell on one test span: labelled rows, and what was traded.

    Parameters
    ----------
    times : int64 array, shape (T,)
        Open times of the traded bars, ns UTC, increasing; every row's time is among them.
    row_time : int64 array, shape (n,)
        Time of each labelled test row.
    labels, signals : int8 arrays, shape (n,)
        Label and decided signal of each row.
    raw_log_proba, log_proba : float64 arrays, shape (n, 3)
        Before and after views and calibration.
    forward_return : float64 array, shape (n,)
        Log return that the label looks at.
    train_share : float64 array, shape (3,)
        Label shares of train.
    net, gross : float64 arrays, shape (T,)
        Log return of the account over each bar, with and without costs; 0 before the first order.
    turnover : float64 array, shape (T,)
        Notional traded on each bar as a multiple of equity.
    """

    times: IntArray
    row_time: IntArray
    labels: LabelArray
    signals: LabelArray
    raw_log_proba: FloatArray
    log_proba: FloatArray
    forward_return: FloatArray
    train_share: FloatArray
    net: FloatArray
    gross: FloatArray
    turnover: FloatArray

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays by name, for an npz file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


Columns = dict[str, slice]


def bar_sums(outcome: Outcome) -> tuple[FloatArray, Columns]:
    """Return the additive figures of every bar, (T, K), and which columns hold what.

    Bins of the classwise calibration error and of the AUC are those of the whole span, so that each
    replicate of the bootstrap is measured with the same ones.
    """
    n, index = len(outcome.labels), np.searchsorted(outcome.times, outcome.row_time)
    eye = np.eye(N_CLASSES)
    rows: dict[str, FloatArray] = {
        "n": np.ones((n, 1)),
        "raw": eye[argmax_signals(outcome.raw_log_proba)],
        "confusion": eye[outcome.labels][:, :, None] * eye[outcome.signals][:, None, :],
        "nll": -_of_labels(outcome.log_proba, outcome.labels),
        "prior_nll": -_of_labels(
            np.broadcast_to(as_log_proba(outcome.train_share[None]), (n, N_CLASSES)), outcome.labels
        ),
        "ece": _top_label_gaps(outcome.log_proba, outcome.labels),
        "ace": _classwise_gaps(outcome.log_proba, outcome.labels),
        **_sign_counts(outcome),
    }
    columns, first, parts = {}, 0, []
    for name, values in rows.items():
        flat = values.reshape(n, -1)
        columns[name], first = slice(first, first + flat.shape[1]), first + flat.shape[1]
        parts.append(flat)
    of_rows = np.zeros((len(outcome.times), first))
    np.add.at(of_rows, index, np.concatenate(parts, axis=1))
    money = {"net": outcome.net, "gross": outcome.gross, "turnover": outcome.turnover}
    for name in money:
        columns[name], first = slice(first, first + 1), first + 1
    return np.concatenate([of_rows, np.column_stack(list(money.values()))], axis=1), columns


def _of_labels(log_proba: FloatArray, labels: LabelArray) -> FloatArray:
    return log_proba[np.arange(len(labels)), labels][:, None]


def _top_label_gaps(log_proba: FloatArray, labels: LabelArray) -> FloatArray:
    """Return (n, BINS): hit - confidence in the bin of the row's confidence, see `top_label_ece`."""
    predicted = argmax_signals(log_proba)
    confidence = np.exp(_of_labels(log_proba, predicted)[:, 0])
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps: FloatArray = np.eye(BINS)[bins] * ((predicted == labels) - confidence)[:, None]
    return gaps


def _classwise_gaps(log_proba: FloatArray, labels: LabelArray) -> FloatArray:
    """Return (n, 3, BINS): hit - probability of each class in its bin of equal mass."""
    out = np.zeros((len(labels), N_CLASSES, BINS))
    for label in range(N_CLASSES):
        proba = np.exp(log_proba[:, label])
        bins = _equal_mass(proba, BINS)
        out[np.arange(len(labels)), label, bins] = (labels == label) - proba
    return out


def _equal_mass(values: FloatArray, bins: int) -> IntArray:
    """Return the bin (n,) of each value; equal values share one."""
    ordered = np.sort(values)
    first = np.searchsorted(ordered, values, side="left")
    return np.searchsorted(equal_mass_starts(ordered, bins), first, side="right") - 1


def _sign_counts(outcome: Outcome) -> dict[str, FloatArray]:
    """Return (n, RANKS) of rows that rose and that fell, in the bin of P(BUY) - P(SELL)."""
    proba = np.exp(outcome.log_proba)
    bins = np.eye(RANKS)[_equal_mass(proba[:, 2] - proba[:, 0], RANKS)]
    return {
        "rose": bins * (outcome.forward_return > 0)[:, None],
        "fell": bins * (outcome.forward_return < 0)[:, None],
    }


METRICS = (
    "raw_sell", "raw_hold", "raw_buy", "sell", "hold", "buy", "share_gap", "macro_f1",
    "ece", "ace", "nll", "skill", "sign_auc", "turnover", "gross_return", "net_return",
)  # fmt: skip
"""Names of the columns that `metrics_of` returns."""


def metrics_of(sums: FloatArray, columns: Columns) -> FloatArray:
    """Return the metrics (.., M) in the order of `METRICS` of sums over bars (.., K).

    ``share_gap`` is half the sum of the distances between decided and label shares: the share of the rows
    that would have to be decided otherwise (total variation distance). ``ece``, ``ace``, ``skill``,
    ``macro_f1`` and ``sign_auc`` are those of `simengine.evaluate.scores`; a class that neither occurs nor is
    decided counts with an F1 of 0. Returns are fractions, turnover is in multiples of equity over the span.
    """

    def part(name: str) -> FloatArray:
        return sums[..., columns[name]]

    n = part("n")
    table = part("confusion").reshape(*sums.shape[:-1], N_CLASSES, N_CLASSES)
    labels, decided = table.sum(-1), table.sum(-2)
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(labels + decided > 0, 2 * hits / (labels + decided), 0.0)
        rose, fell = part("rose"), part("fell")
        below = np.cumsum(fell, axis=-1) - 0.5 * fell
        area = (rose * below).sum(-1) / (rose.sum(-1) * fell.sum(-1))
        values = [
            *np.moveaxis(part("raw") / n, -1, 0),
            *np.moveaxis(decided / n, -1, 0),
            0.5 * np.abs(decided / n - labels / n).sum(-1),
            f1.mean(-1),
            np.abs(part("ece")).sum(-1) / n[..., 0],
            np.abs(part("ace")).sum(-1) / (N_CLASSES * n[..., 0]),
            (part("nll") / n)[..., 0],
            1 - (part("nll") / part("prior_nll"))[..., 0],
            area,
            part("turnover")[..., 0],
            np.expm1(part("gross")[..., 0]),
            np.expm1(part("net")[..., 0]),
        ]
    return np.stack(values, axis=-1)
