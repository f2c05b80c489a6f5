"""Offsets per class under which the argmax decides SELL, HOLD and BUY as often as wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simengine.errors import DataError
from simengine.evaluate.classification import argmax_signals, class_shares
from simengine.types import N_CLASSES, FloatArray, IntArray, Signal

TOLERANCE = 0.01
"""Largest miss of a share that counts as reached, as a fraction of the rows."""

_STEPS = 200  # halvings of an interval of about 40 nats: far below the spacing of doubles


@dataclass(frozen=True, slots=True, eq=False)
class PriorMatch:
    """Offsets that match the shares of an argmax to given ones.

    Parameters
    ----------
    offsets : float64 array, shape (3,)
        Added to the log-probabilities of SELL, HOLD, BUY before the argmax, in nats; sum 0.
    target_share, reached_share : float64 arrays, shape (3,)
        Wanted shares, and those of the argmax with the offsets on the same rows.
    converged : bool
        Whether no share misses its target by more than the tolerance or one row.
    reason : str
        Why it did not converge; empty when it did.
    """

    offsets: FloatArray
    target_share: FloatArray
    reached_share: FloatArray
    converged: bool
    reason: str


def match_prior(log_proba: FloatArray, target_share: FloatArray, tolerance: float = TOLERANCE) -> PriorMatch:
    """Find offsets ``o`` such that ``argmax_c (log p_c + o_c)`` has the wanted shares.

    Among all ways to give the wanted number of rows to each class this is the one with the largest sum
    of scores: the offsets are the dual prices of that transport problem.

    Parameters
    ----------
    log_proba : float64 array, shape (n, 3)
        Finite scores, at least as many rows as there are classes.
    target_share : float64 array, shape (3,)
        Each large enough for one row; they need not sum to 1 exactly.
    tolerance : float
        Largest miss of a share that counts as reached; one row always does.

    Raises
    ------
    DataError
        If the shapes are wrong, a score is not finite or a class is to get less than one row.
    """
    share = np.asarray(target_share, dtype=np.float64)
    if log_proba.ndim != 2 or log_proba.shape[1] != N_CLASSES or not np.isfinite(log_proba).all():
        raise DataError(f"prior matching: expected finite scores (n, 3), received shape {log_proba.shape}")
    if share.shape != (N_CLASSES,) or not (np.isfinite(share).all() and (share >= 0).all() and share.any()):
        raise DataError(f"prior matching: expected three shares of 0 or more, received {share.tolist()}")
    n = len(log_proba)
    counts = largest_remainder(share, n)
    if counts.min() < 1:
        empty = Signal(int(counts.argmin())).name
        raise DataError(f"prior matching: {empty} gets no row (shares {share_text(share)} of {n} rows)")
    offsets = match_counts(log_proba, counts)
    reached = class_shares(argmax_signals(log_proba + offsets))
    converged = bool(np.abs(reached - share / share.sum()).max() <= max(tolerance, 1 / n))
    reason = ""
    if not converged:
        distinct = len(np.unique(log_proba, axis=0))
        reason = (
            f"cannot reach the shares {share_text(share)} on {n} rows, nearest found {share_text(reached)}, "
            f"because scores are equal ({distinct} distinct)"
        )
    return PriorMatch(offsets, share, reached, converged, reason)


def share_text(share: FloatArray) -> str:
    """Return shares as ``0.283 / 0.339 / 0.378``."""
    return " / ".join(f"{value:.3f}" for value in share)


def largest_remainder(share: FloatArray, n: int) -> IntArray:
    """Return integer counts (3,) with sum ``n`` nearest to ``share * n`` (Hamilton's method)."""
    exact = share / share.sum() * n
    counts: IntArray = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: n - counts.sum()]] += 1
    return counts


def match_counts(log_proba: FloatArray, counts: IntArray) -> FloatArray:
    """Return offsets (3,) under which the argmax gives ``counts`` rows to SELL, HOLD and BUY.

    HOLD's offset is held at 0. For any offset of BUY the one of SELL that gives SELL its count is an
    exact quantile; with it the count of BUY never falls as BUY's offset rises, so that the latter is
    found by bisection. Where rows with equal scores make the counts unreachable the nearest offsets
    met on the way are returned. Each offset is put into the middle of its gap between two rows.
    """
    sell = log_proba[:, Signal.SELL] - log_proba[:, Signal.HOLD]
    buy = log_proba[:, Signal.BUY] - log_proba[:, Signal.HOLD]

    def offsets_for(buy_offset: float) -> tuple[FloatArray, IntArray]:
        rest = np.maximum(0.0, buy + buy_offset)
        offsets = np.array([-cut(sell - rest, int(counts[Signal.SELL])), 0.0, buy_offset])
        return offsets, np.bincount(argmax_signals(log_proba + offsets), minlength=N_CLASSES)

    low, high = -float(buy.max()) - 1.0, -float(buy.min()) + 1.0
    best: FloatArray = np.zeros(N_CLASSES)
    missed = len(log_proba) + 1
    for _ in range(_STEPS):
        middle = (low + high) / 2
        offsets, found = offsets_for(middle)
        miss = int(np.abs(found - counts).max())
        if miss < missed:
            best, missed = offsets, miss
        if miss == 0 or not low < middle < high:
            break
        if found[Signal.BUY] < counts[Signal.BUY]:
            low = middle
        else:
            high = middle
    if missed == 0:
        rest = np.maximum(0.0, sell + best[Signal.SELL])
        best, _ = offsets_for(-cut(buy - rest, int(counts[Signal.BUY])))
    return np.asarray(best - best.mean())


def cut(values: FloatArray, k: int) -> float:
    """Return a number that ``k`` of ``values`` (0 < k < n) exceed, midway between two of them.

    Of a run of equal values that straddles the cut, all or none exceed it, whichever is nearer.
    """
    n = len(values)
    ordered = np.partition(values, (n - k - 1, n - k))
    below, above = float(ordered[n - k - 1]), float(ordered[n - k])
    if below < above:
        return (below + above) / 2
    higher, lower = values[values > above], values[values < above]
    if k - len(higher) <= n - len(lower) - k:
        return (above + float(higher.min())) / 2 if len(higher) else above + 1.0
    return (above + float(lower.max())) / 2 if len(lower) else above - 1.0
