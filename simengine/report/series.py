"""Numbers behind the charts: drawdown, downsampling, reliability curves, confusion matrices."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from simengine.types import CLASS_NAMES, FloatArray, IntArray, LabelArray

BINS = 15
"""Equal-width bins of every reliability diagram, as for the ECE."""


def drawdown(equity: FloatArray) -> FloatArray:
    """Return the fraction lost since the running maximum, shape (n,), values <= 0.

    ``equity`` (n,) starts above 0; it may fall to 0.
    """
    peak = np.maximum.accumulate(equity)
    result: FloatArray = equity / peak - 1.0
    return result


def extreme_rows(columns: FloatArray, buckets: int) -> IntArray:
    """Choose the rows of a long table that keep the look of every column's line.

    The rows are cut into ``buckets`` runs of equal length; of each run the rows that hold the minimum
    and the maximum of any column are kept, and so are the first and the last row of the table. No
    value is averaged: every point drawn is a point of the run, and no extreme is lost.

    Parameters
    ----------
    columns : float64 array, shape (n, k)
        The series side by side; NaN is never an extreme.
    buckets : int
        Number of runs; at most ``2 * k * buckets + 2`` rows are kept.

    Returns
    -------
    int64 array
        Row numbers, increasing; all of them when there are no more than that.
    """
    n, k = columns.shape
    if n <= 2 * k * buckets + 2:
        return np.arange(n)
    edges = np.linspace(0, n, buckets + 1).astype(np.int64)
    keep = {0, n - 1}
    for start, stop in pairwise(edges.tolist()):
        block = columns[start:stop]
        keep.update((start + np.where(np.isnan(block), np.inf, block).argmin(axis=0)).tolist())
        keep.update((start + np.where(np.isnan(block), -np.inf, block).argmax(axis=0)).tolist())
    return np.array(sorted(keep), dtype=np.int64)


def bucket_means(values: FloatArray, buckets: int) -> tuple[IntArray, FloatArray]:
    """Cut a series (n,) into at most ``buckets`` runs of equal length; return their last rows and means."""
    edges = np.unique(np.linspace(0, len(values), min(buckets, len(values)) + 1).astype(np.int64))
    sums = np.add.reduceat(values, edges[:-1])
    return edges[1:] - 1, sums / np.diff(edges)


class Bin(NamedTuple):
    """One point of a reliability diagram."""

    predicted: float
    observed: float
    n: int


def reliability(probability: FloatArray, hit: FloatArray, bins: int = BINS) -> list[Bin]:
    """Return mean predicted probability against observed frequency per equal-width bin.

    Parameters
    ----------
    probability : float64 array, shape (n,)
        Predicted probability of the event, 0 to 1.
    hit : float64 array, shape (n,)
        1 where the event happened, else 0.
    bins : int
        Bins (lower, upper] of equal width on [0, 1], as for the ECE; empty ones are left out.

    Returns
    -------
    list of Bin

    Notes
    -----
    The diagram of DeGroot and Fienberg (1983); bins as in Guo et al. (2017).
    """
    index = np.clip(np.ceil(probability * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    predicted = np.bincount(index, weights=probability, minlength=bins)
    observed = np.bincount(index, weights=hit, minlength=bins)
    return [
        Bin(float(predicted[b] / count[b]), float(observed[b] / count[b]), int(count[b]))
        for b in np.flatnonzero(count)
    ]


def reliability_panels(
    raw: FloatArray, calibrated: FloatArray, labels: LabelArray
) -> list[tuple[str, list[Bin], list[Bin]]]:
    """Return ``(title, raw curve, calibrated curve)`` for the top label and for each class.

    ``raw`` and ``calibrated`` are probabilities of shape (n, 3), ``labels`` are 0, 1 or 2, shape (n,).
    """

    def top(proba: FloatArray) -> list[Bin]:
        hit = (proba.argmax(axis=1) == labels).astype(np.float64)
        return reliability(proba.max(axis=1), hit)

    panels = [("top label", top(raw), top(calibrated))]
    for number, name in enumerate(CLASS_NAMES):
        hit = (labels == number).astype(np.float64)
        panels.append(
            (name.upper(), reliability(raw[:, number], hit), reliability(calibrated[:, number], hit))
        )
    return panels
