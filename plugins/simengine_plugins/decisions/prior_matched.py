"""`prior_matched`: offsets per class that make the decided shares equal to given ones."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.errors import DataError
from simengine.evaluate.classification import argmax_signals, class_shares
from simengine.evaluate.logproba import check_scores
from simengine.log import get_logger
from simengine.types import N_CLASSES, DecisionContext, FloatArray, IntArray, LabelArray, Signal

_STEPS = 200  # halvings of an interval of about 40 nats: far below the spacing of doubles

logger = get_logger(__name__)


class PriorMatched:
    """Add an offset to each class's score so that SELL, HOLD and BUY are decided as often as wanted.

    ``argmax_c (log p_c + o_c)`` with offsets found on validation rows: among all ways to give the
    wanted number of rows to each class this is the one with the largest sum of scores (the offsets are
    the dual prices of that transport problem). Every class takes the rows that speak most for it, so
    that a weak signal is not drowned by the class prior, and raising the score of a class never takes
    a row away from it. The shares on other rows differ as far as their scores do.

    Parameters
    ----------
    target : PerClass, optional
        Wanted shares, each above 0, sum 1; left out, the shares of the validation labels.
    tolerance : float
        Largest miss of a share on the validation rows, as a fraction of the rows. Scores without
        ties are matched to within one row.

    Attributes
    ----------
    offsets_ : float64 array, shape (3,)
        Of SELL, HOLD, BUY, in nats; sum 0.
    target_share_, reached_share_ : float64 arrays, shape (3,)
        Wanted shares, and those decided on the validation rows.
    """

    offsets_: FloatArray
    target_share_: FloatArray
    reached_share_: FloatArray

    def __init__(
        self,
        *,
        target: Annotated[
            PerClass | None, Field(description="wanted share of each class; null = validation label shares")
        ] = None,
        tolerance: Annotated[
            float, Field(gt=0, lt=1, description="largest miss of a share, fraction of validation rows")
        ] = 0.01,
    ) -> None:
        if target is not None and not (min(target) > 0 and abs(sum(target) - 1) <= 1e-6):
            raise ValueError(f"target: expected three shares above 0 with sum 1, received {list(target)}")
        self.target = target
        self.tolerance = tolerance

    def fit(self, log_proba: FloatArray, labels: LabelArray, context: DecisionContext) -> PriorMatched:
        """Find the offsets on calibrated validation scores (n, 3) and labels (n,).

        Rows with equal scores are decided alike. Where that keeps the shares from being reached, a warning
        says by how much, and ``reached_share_`` holds what was reached.

        Raises
        ------
        DataError
            If a class is to get less than one row.
        """
        check_scores(log_proba, labels)
        share = class_shares(labels) if self.target is None else np.array(self.target, dtype=np.float64)
        counts = largest_remainder(share, len(labels))
        if counts.min() < 1:
            source = "the validation labels" if self.target is None else "target"
            empty = Signal(int(counts.argmin())).name
            raise DataError(
                f"decision prior_matched: {empty} gets no row from {source} (shares "
                f"{_text(share)} of {len(labels)} rows); set target, or use a longer validation segment"
            )
        self.target_share_ = share
        self.offsets_ = match_counts(log_proba, counts)
        self.reached_share_ = class_shares(self.decide(log_proba))
        if np.abs(self.reached_share_ - share).max() > max(self.tolerance, 1 / len(labels)):
            distinct = len(np.unique(log_proba, axis=0))
            logger.warning(
                "decision prior_matched: cannot reach the shares %s on %d validation rows, nearest found %s, "
                "because scores are equal (%d distinct); use a model with finer scores",
                _text(share),
                len(labels),
                _text(self.reached_share_),
                distinct,
            )
        return self

    def decide(self, log_proba: FloatArray) -> LabelArray:
        """Return the class (n,) with the largest shifted score of scores (n, 3)."""
        if not hasattr(self, "offsets_"):
            raise DataError("decision prior_matched: decide was called before fit")
        return argmax_signals(log_proba + self.offsets_)


def _text(share: FloatArray) -> str:
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
        offsets = np.array([-_cut(sell - rest, int(counts[Signal.SELL])), 0.0, buy_offset])
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
        best, _ = offsets_for(-_cut(buy - rest, int(counts[Signal.BUY])))
    return np.asarray(best - best.mean())


def _cut(values: FloatArray, k: int) -> float:
    """Return a number that ``k`` of ``values`` exceed, midway between two of them.

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


@hookimpl
def simengine_register_decisions() -> list[Component]:
    """Register the component."""
    return [Component("prior_matched", PriorMatched)]
