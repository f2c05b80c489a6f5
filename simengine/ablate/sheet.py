"""The table of an ablation as CSV: one line for each cell, every number in full."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from simengine.ablate.measure import FIGURES
from simengine.ablate.table import Comparison, Row
from simengine.ablate.verdict import said

PARTS = ("difference", "low", "high", "p_value", "p_adjusted", "seed_sd")


def csv_of(rows: Sequence[Row]) -> str:
    """Return the table as CSV with a header.

    For each figure there are its mean and ``_seed_sd``, the standard deviation over seeds; then, once as
    ``_to_base`` and once as ``_to_same`` (the base under the cell's own decision), the difference, the ends
    of its 95 % interval, its p-value, that after Holm's correction, and the standard deviation of the
    difference over seeds. What is not known or not compared is empty; fractions are fractions.

    Parameters
    ----------
    rows : sequence of Row
        The base first.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    header = ["cell", "improvement", "decision", "numbers", "other_labels"]
    for name in FIGURES:
        header += [name, f"{name}_seed_sd"]
        header += [f"{name}_to_{other}_{part}" for other in ("base", "same") for part in PARTS]
    writer.writerow([*header, "verdict_to_base", "verdict_to_same"])
    for row in rows:
        cell = row.cell
        numbers = " ".join(map(str, cell.improvements))
        line = [cell.name, cell.group, cell.decision, numbers, str(row.other_labels).lower()]
        for name in FIGURES:
            line += [_full(row.figures[name]), _full(row.spread[name])]
            line += [value for compared in (row.to_base, row.to_same) for value in _parts(compared, name)]
        verdicts = ("" if other is None else said(row, other) for other in (row.to_base, row.to_same))
        writer.writerow([*line, *verdicts])
    return stream.getvalue()


def _parts(compared: Comparison | None, name: str) -> list[str]:
    if compared is None:
        return [""] * len(PARTS)
    found = compared.intervals[name]
    values = (
        found.difference, found.low, found.high, found.p_value, compared.adjusted[name], found.seed_sd,
    )  # fmt: skip
    return [_full(value) for value in values]


def _full(value: float) -> str:
    return "" if value != value else repr(value)
