"""The table of an ablation as text: what the terminal, CSV and HTML show."""

from __future__ import annotations

from collections.abc import Sequence

from simengine.ablate.bootstrap import Interval
from simengine.ablate.table import Row
from simengine.ablate.verdict import verdict

_PERCENT = {
    *("raw_sell", "raw_hold", "raw_buy", "sell", "hold", "buy", "share_gap"),
    *("skill", "gross_return", "net_return"),
}
_DIGITS = {"ece": 4, "ace": 4, "nll": 4, "macro_f1": 3, "sign_auc": 3, "turnover": 0}
_HEADS = {
    "raw_sell": "raw SELL", "raw_hold": "HOLD", "raw_buy": "BUY",
    "sell": "SELL", "hold": "HOLD", "buy": "BUY", "share_gap": "gap",
    "macro_f1": "macro-F1", "ece": "ECE", "ace": "ACE", "nll": "NLL", "skill": "skill",
    "sign_auc": "dir. AUC", "turnover": "turnover", "gross_return": "gross", "net_return": "net",
}  # fmt: skip

DIFFERENCES = (
    ("raw_buy", "buy", "share_gap", "macro_f1"),
    ("ece", "ace", "nll", "skill", "sign_auc"),
    ("turnover", "gross_return", "net_return"),
)
"""Metrics whose differences stand side by side."""
NOTE = "other labels than the base: NLL, ECE, ACE, F1 and AUC answer another question"


def figure(metric: str, value: float) -> str:
    """Return a figure as a reader expects it: shares and returns in percent."""
    if value != value:
        return "–"
    return f"{100 * value:.1f} %" if metric in _PERCENT else f"{value:,.{_DIGITS[metric]}f}"


def figure_rows(rows: Sequence[Row]) -> list[list[str]]:
    """Return the header and a line for each cell: all figures, then the seconds of training."""
    header = ["cell", *_HEADS.values(), "train s"]
    body = [
        [_name(row), *(figure(metric, row.figures[metric]) for metric in _HEADS), f"{row.train_seconds:.0f}"]
        for row in rows
    ]
    return [header, *body]


def difference_rows(rows: Sequence[Row], metrics: Sequence[str]) -> list[list[str]]:
    """Return the header and a line for each cell but the base: difference and interval of some metrics."""
    header = ["cell", *(_HEADS[metric] for metric in metrics)]
    body = [
        [_name(row), *(_difference(metric, row.intervals[metric]) for metric in metrics)]
        for row in rows
        if row.intervals
    ]
    return [header, *body]


def verdict_rows(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return the name and the verdict of every cell but the base."""
    return [
        (row.cell.name, verdict(row) + (f" ({NOTE})" if row.other_labels else ""))
        for row in rows
        if row.intervals
    ]


def _name(row: Row) -> str:
    return row.cell.name + (" *" if row.other_labels else "")


def _difference(metric: str, found: Interval) -> str:
    if found.difference != found.difference:
        return "–"
    scale, digits = (100, 1) if metric in _PERCENT else (1, _DIGITS[metric])
    low, high = (f"{scale * end:+,.{digits}f}" for end in (found.low, found.high))
    mark = " (0)" if found.contains_zero else ""
    return f"{scale * found.difference:+,.{digits}f} [{low}, {high}]{mark}"
