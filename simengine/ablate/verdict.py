"""What an improvement did, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simengine.ablate.table import Comparison, Row
from simengine.ablate.text import HEADS, difference

CURED = 0.05
"""Decided shares whose total distance to the labels is at most this count as cured."""
NOTHING = "no effect seen"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of an improvement under one decision.

    Parameters
    ----------
    group : str
        The improvement or stage; ``"base"`` for a decision alone.
    decision : str or None
        The decision when it is not the base's own.
    to_base : str
        Against the base, whose decision may be another one.
    to_same : str or None
        Against the base under the same decision; None where that is the base or the cell itself.
    same : str
        Name of that cell.
    other_labels : bool
        Whether NLL, calibration errors, F1 and AUC are those of another question than the base's.
    """

    group: str
    decision: str | None
    to_base: str
    to_same: str | None
    same: str
    other_labels: bool

    @property
    def text(self) -> str:
        """All of it but the names of group and decision; both comparisons where they differ."""
        if self.to_same in (None, self.to_base):
            return self.to_base
        return f"{self.to_base}; against {self.same}: {self.to_same}"


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Return what is to be said of every cell but the base, those of one improvement side by side.

    A difference counts when its p-value, corrected for the number of cells, is below 5 %. Probabilities are
    judged by their NLL, shares by the part of the rows that would have to be decided otherwise, money by the
    net return; on other labels than those of the base an NLL says nothing, so skill is taken.

    Parameters
    ----------
    rows : sequence of Row
        From `simengine.ablate.table.table_of`.
    """
    own = rows[0].cell.decision
    found = []
    for row in rows:
        if row.to_base is None:
            continue
        found.append(
            Verdict(
                group=row.cell.group,
                decision=None if row.cell.decision == own else row.cell.decision,
                to_base=said(row, row.to_base),
                to_same=None if row.to_same is None else said(row, row.to_same),
                same="" if row.to_same is None else row.to_same.other,
                other_labels=row.other_labels,
            )
        )
    return found


def said(row: Row, compared: Comparison) -> str:
    """Return what one comparison says of a cell's shares, probabilities and money, and by how much.

    A difference can be beyond noise and yet too small to matter: its size stands behind the words, in
    percentage points for shares and money, and with it how many seeds agree when not all of them do.

    >>> from simengine.ablate.bootstrap import Interval
    >>> from simengine.ablate.plan import Cell
    >>> figures = dict.fromkeys(("share_gap", "nll", "net_return"), 0.0)
    >>> row = Row(Cell("9 temperature scaling", (9,), "argmax"), figures, {}, None, None, False)
    >>> unsure = {name: Interval(0, -1, 1, 0.9) for name in figures}
    >>> said(row, Comparison("base", unsure, dict.fromkeys(figures, 1.0)))
    'no effect seen'
    >>> better = {**unsure, "nll": Interval(-0.02, -0.03, -0.01, 0.001, (-0.03, -0.02, 0.01))}
    >>> said(row, Comparison("base", better, {**dict.fromkeys(figures, 1.0), "nll": 0.01}))
    'improves the probabilities (NLL -0.0200, 2 of 3 seeds)'
    """
    parts = [text for text in (_shares(row, compared), _odds(row, compared), _money(row, compared)) if text]
    return ", ".join(parts) or NOTHING


def _shares(row: Row, compared: Comparison) -> str | None:
    if not compared.differs("share_gap"):
        return None
    cured = "cures the shares" if row.figures["share_gap"] <= CURED else "eases the shares"
    return _by_sign(compared, "share_gap", "worsens the shares", cured)


def _odds(row: Row, compared: Comparison) -> str | None:
    metric = "skill" if row.other_labels else "nll"
    if not compared.differs(metric):
        return None
    better, worse = "improves the probabilities", "worsens the probabilities"
    return _by_sign(compared, metric, *((better, worse) if row.other_labels else (worse, better)))


def _money(row: Row, compared: Comparison) -> str | None:
    if not compared.differs("net_return"):
        return None
    # More money than the base is no gain while the account still loses.
    more = "earns money" if row.figures["net_return"] > 0 else "loses less money"
    return _by_sign(compared, "net_return", more, "costs money")


def _by_sign(compared: Comparison, metric: str, above: str, below: str) -> str:
    """Return one of two texts with the size of the difference."""
    found = compared.intervals[metric]
    size, _ = difference(metric, found)
    agreeing, seeds = found.agreeing, len(found.by_seed)
    scattered = "" if agreeing == seeds else f", {agreeing} of {seeds} seeds"
    return f"{above if found.difference > 0 else below} ({HEADS[metric]} {size}{scattered})"
