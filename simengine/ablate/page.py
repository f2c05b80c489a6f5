"""The page of an ablation: one HTML file that asks for nothing outside itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simengine.ablate.bootstrap import Interval
from simengine.ablate.table import Comparison, Row
from simengine.ablate.text import COMPARISONS, DIFFERENCES, HEADS, difference, figure_rows, notes, title
from simengine.ablate.verdict import CURED, verdicts
from simengine.report.format import MINUS
from simengine.report.page import environment

BETTER = {
    **dict.fromkeys(("share_gap", "ece", "ace", "nll", "train_seconds"), -1),
    **dict.fromkeys(("macro_f1", "skill", "sign_auc", "gross_return", "net_return"), 1),
}
"""Sign of a good difference; class shares and turnover have none."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A difference as the page draws it.

    Parameters
    ----------
    point, interval : str
        The numbers; the interval is empty where there is none.
    places : tuple of float or None
        Lower end, difference and upper end on an axis from -1 to 1 whose middle is no difference; None
        where there is no interval.
    kind : str
        ``"none"`` without an interval, ``"zero"`` when it contains 0, else ``"better"``, ``"worse"`` or
        ``"other"``.
    sure : bool
        Whether the difference is left after correction for the number of cells.
    detail : str
        For who points at it: p-values and seeds.
    """

    point: str
    interval: str
    places: tuple[float, float, float] | None
    kind: str
    sure: bool
    detail: str


def page_of(rows: Sequence[Row], *, name: str, facts: Mapping[str, str], seeds: int, config_text: str) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    rows : sequence of Row
        The base first.
    name : str
        Of the ablation's directory.
    facts : mapping of str to str
        What stands below the heading.
    seeds : int
        With one there is no spread.
    config_text : str
        The base as YAML.
    """
    own = rows[0].cell.decision
    tables = [
        {
            "id": key.replace("_", "-"),
            "heading": heading.format(own=own),
            "tables": [_differences(rows, names, comparison) for names in DIFFERENCES],
        }
        for key, heading, comparison in COMPARISONS
        if any(comparison(row) is not None for row in rows)
    ]
    return (
        environment()
        .get_template("ablation.html")
        .render(
            run_name=name,
            facts=list(facts.items()),
            base=rows[0].cell,
            verdicts=verdicts(rows),
            cured=CURED,
            notes=notes(rows),
            figures=_typeset(figure_rows(rows, lambda row: row.figures)),
            spread=_typeset(figure_rows(rows, lambda row: row.spread)) if seeds > 1 else None,
            comparisons=tables,
            changes=[(row.cell.name, list(row.cell.changes.items())) for row in rows if row.cell.changes],
            config_text=config_text,
        )
    )


def _differences(
    rows: Sequence[Row], names: Sequence[str], comparison: Callable[[Row], Comparison | None]
) -> tuple[list[str], list[tuple[str, list[Mark]]]]:
    """Return the headings, and for each cell its name and marks; a column has one scale."""
    compared = [(row, found) for row in rows if (found := comparison(row)) is not None]
    scales = {name: _largest([found.intervals[name] for _, found in compared]) for name in names}
    body = [(title(row), [_mark(name, found, scales[name]) for name in names]) for row, found in compared]
    return [HEADS[name] for name in names], body


def _typeset(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return figures with minus signs in place of hyphens, all but the names."""
    return [[name, *(value.replace("-", MINUS) for value in values)] for name, *values in rows]


def _largest(found: Sequence[Interval]) -> float:
    ends = [abs(end) for one in found for end in (one.low, one.high) if end == end]
    return max(ends, default=0.0) or 1.0


def _mark(name: str, compared: Comparison, scale: float) -> Mark:
    found = compared.intervals[name]
    point, interval = (text.replace("-", MINUS) for text in difference(name, found))
    places = (found.low / scale, found.difference / scale, found.high / scale) if interval else None
    kind = "none" if not interval else "zero" if found.contains_zero else _kind(name, found.difference)
    return Mark(point, interval, places, kind, compared.differs(name), _detail(name, compared))


def _kind(name: str, value: float) -> str:
    good = BETTER.get(name, 0) * value
    return "better" if good > 0 else "worse" if good < 0 else "other"


def _detail(name: str, compared: Comparison) -> str:
    found, adjusted = compared.intervals[name], compared.adjusted[name]
    parts = [] if found.p_value != found.p_value else [f"p {found.p_value:.3g}, corrected {adjusted:.3g}"]
    if len(found.by_seed) > 1:
        parts.append("by seed " + ", ".join(difference(name, _alone(value))[0] for value in found.by_seed))
    return "; ".join(parts)


def _alone(value: float) -> Interval:
    return Interval(value, float("nan"), float("nan"), float("nan"))
