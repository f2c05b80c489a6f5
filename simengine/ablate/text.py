"""The table of an ablation as text: what the terminal and the page show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simengine.ablate.bootstrap import Interval
from simengine.ablate.table import Comparison, Row

PERCENT = {
    *("raw_sell", "raw_hold", "raw_buy", "sell", "hold", "buy", "share_gap"),
    *("skill", "gross_return", "net_return"),
}
"""Figures that are shown in percent, and their differences in percentage points."""
_DIGITS = {
    "ece": 4, "ace": 4, "nll": 4, "macro_f1": 3, "sign_auc": 3, "turnover": 0, "train_seconds": 0,
}  # fmt: skip
HEADS = {
    "raw_sell": "raw SELL", "raw_hold": "raw HOLD", "raw_buy": "raw BUY",
    "sell": "SELL", "hold": "HOLD", "buy": "BUY", "share_gap": "gap",
    "macro_f1": "macro-F1", "ece": "ECE", "ace": "ACE", "nll": "NLL", "skill": "skill",
    "sign_auc": "sign AUC", "turnover": "turnover", "gross_return": "gross", "net_return": "net",
    "train_seconds": "train s",
}  # fmt: skip
"""Headings by figure, in the order of the tables."""
DIFFERENCES = (
    ("raw_sell", "raw_hold", "raw_buy"),
    ("sell", "hold", "buy", "share_gap"),
    ("macro_f1", "ece", "ace", "nll"),
    ("skill", "sign_auc", "turnover"),
    ("gross_return", "net_return", "train_seconds"),
)
"""Figures whose differences stand side by side."""
COMPARISONS: tuple[tuple[str, str, Callable[[Row], Comparison | None]], ...] = (
    ("to_base", "Differences to the base, whose decision is {own}", lambda row: row.to_base),
    (
        "to_same",
        "Differences to the base with the same decision: what is added once the decision is there",
        lambda row: row.to_same,
    ),
)
"""Name, heading and way to each comparison of a row."""
ZERO = "(0)"
"""Marks an interval that contains 0."""
SURE = "*"
"""Marks a difference that is left after the correction for the number of cells."""
OTHER = "†"
"""Marks a cell with other labels than the base."""


def figure(name: str, value: float) -> str:
    """Return a figure as a reader expects it: shares and returns in percent.

    >>> figure("buy", 0.378), figure("nll", 1.0946), figure("turnover", 1215.2), figure("skill", float("nan"))
    ('37.8 %', '1.0946', '1,215', '–')
    """
    if value != value:
        return "–"
    return f"{100 * value:.1f} %" if name in PERCENT else f"{value:,.{_DIGITS[name]}f}"


def difference(name: str, found: Interval) -> tuple[str, str]:
    """Return a difference and its interval; shares and returns in percentage points.

    >>> difference("buy", Interval(-0.16, -0.18, -0.141, 0.001))
    ('-16.0', '[-18.0, -14.1]')
    """
    if found.difference != found.difference:
        return "–", ""
    scale, digits = (100, 1) if name in PERCENT else (1, _DIGITS[name])
    point, low, high = (_signed(scale * value, digits) for value in (found.difference, found.low, found.high))
    return point, "" if found.low != found.low else f"[{low}, {high}]"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+,.{digits}f}"
    return text if text.strip("+-0.,") else text.replace("-", "+")  # the sign of a rounded zero says nothing


def figure_rows(rows: Sequence[Row], part: Callable[[Row], dict[str, float]]) -> list[list[str]]:
    """Return the header and a line for each cell: its figures, or their spread."""
    body = [[title(row), *(figure(name, part(row)[name]) for name in HEADS)] for row in rows]
    return [["cell", *HEADS.values()], *body]


def difference_rows(
    rows: Sequence[Row], names: Sequence[str], comparison: Callable[[Row], Comparison | None]
) -> list[list[str]]:
    """Return the header and a line for each cell that is compared: differences and intervals."""
    compared = [(row, found) for row in rows if (found := comparison(row)) is not None]
    body = [[title(row), *(_marked(name, found) for name in names)] for row, found in compared]
    return [["cell", *(HEADS[name] for name in names)], *body]


def title(row: Row) -> str:
    """Return the name of a cell, marked when it has labels of its own."""
    return row.cell.name + (f" {OTHER}" if row.other_labels else "")


def notes(rows: Sequence[Row]) -> list[str]:
    """Return what has to be said of the cells beside their figures."""
    own = rows[0].cell.decision
    found = [
        f"{', '.join(row.cell.also)}: the same as {row.cell.name}, and no row of its own"
        for row in rows
        if row.cell.also and row.cell.decision == own
    ]
    if any(row.other_labels for row in rows):
        found.append(f"{OTHER} other labels than the base: NLL, ECE, ACE, F1 and AUC answer another question")
    return found


def _marked(name: str, compared: Comparison) -> str:
    found = compared.intervals[name]
    point, ends = difference(name, found)
    if not ends:
        return point
    return f"{point} {ends}" + (
        f" {ZERO}" if found.contains_zero else f" {SURE}" if compared.differs(name) else ""
    )
