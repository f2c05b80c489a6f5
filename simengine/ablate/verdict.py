"""What an improvement did, in words."""

from __future__ import annotations

from simengine.ablate.table import Row

CURED = 0.05
"""Decided shares whose total distance to the labels is at most this count as cured."""


def verdict(row: Row) -> str:
    """Return what a cell did to shares, probabilities and money, as far as noise lets one tell.

    A difference counts when its p-value, corrected for the number of cells, is below 5 %. Probabilities are
    judged by their NLL, shares by the part of the rows that would have to be decided otherwise, money by the
    net return; on other labels than those of the base an NLL says nothing, so skill is taken.

    >>> from simengine.ablate.plan import Cell
    >>> verdict(Row(Cell("9 temperature scaling", (9,), "argmax"), {}, {}, {}, {}, 0.0, False))
    'no effect seen'
    """
    said = [text for text in (_shares(row), _probabilities(row), _money(row)) if text]
    return ", ".join(said) or "no effect seen"


def _shares(row: Row) -> str | None:
    if not row.differs("share_gap"):
        return None
    if row.intervals["share_gap"].difference > 0:
        return "worsens the shares"
    return "cures the shares" if row.figures["share_gap"] <= CURED else "eases the shares"


def _probabilities(row: Row) -> str | None:
    metric, better = ("skill", 1) if row.other_labels else ("nll", -1)
    if not row.differs(metric):
        return None
    improved = row.intervals[metric].difference * better > 0
    return "improves the probabilities" if improved else "worsens the probabilities"


def _money(row: Row) -> str | None:
    if not row.differs("net_return"):
        return None
    return "earns money" if row.intervals["net_return"].difference > 0 else "costs money"
