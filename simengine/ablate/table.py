"""The table of an ablation: the figures of every cell, and its paired differences to two bases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from simengine.ablate.bootstrap import Interval, holm
from simengine.ablate.measure import FIGURES, Measured, Spans, Stratum, measure
from simengine.ablate.plan import Cell
from simengine.ablate.sums import Outcome
from simengine.log import NoProgress, Progress

REPLICATES = 1999
ALPHA = 0.05
_INTERVAL = tuple(field.name for field in fields(Interval))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A cell against another one.

    Parameters
    ----------
    other : str
        Name of the cell that it is compared with.
    intervals : dict of str to Interval
        Difference of each figure, cell - other. That of the training time is Student's over seeds and folds,
        the others come from the bootstrap.
    adjusted : dict of str to float
        p-values corrected for the number of cells in this comparison (Holm, 1979).
    """

    other: str
    intervals: dict[str, Interval]
    adjusted: dict[str, float]

    def differs(self, figure: str) -> bool:
        """Return whether the cells differ beyond noise, all cells of the comparison considered."""
        return self.adjusted[figure] < ALPHA and not self.intervals[figure].contains_zero

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "to": self.other,
            "figures": {
                name: {
                    **asdict(found),
                    "p_adjusted": self.adjusted[name],
                    "contains_zero": found.contains_zero,
                    "seed_sd": found.seed_sd,
                }
                for name, found in self.intervals.items()
            },
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Comparison:
        """Return what `to_dict` was made of, from JSON."""
        figures = {
            name: {key: _number(value) for key, value in found.items()}
            for name, found in content["figures"].items()
        }
        return cls(
            content["to"],
            {name: Interval(**{key: found[key] for key in _INTERVAL}) for name, found in figures.items()},
            {name: found["p_adjusted"] for name, found in figures.items()},
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One cell over all its seeds and folds.

    Parameters
    ----------
    cell : Cell
        What it is.
    figures : dict of str to float
        Mean of each figure over seeds and folds.
    spread : dict of str to float
        Standard deviation over seeds of each figure, a mean over folds; NaN with one seed.
    to_base : Comparison or None
        With the base, whose decision may be another one; None for the base.
    to_same : Comparison or None
        With the base under the cell's own decision: what the improvement adds once the decision is there.
        None where that is the base or the cell itself.
    other_labels : bool
        Whether its labels are others than those of the base: NLL, calibration errors, F1 and AUC are then
        those of another question.
    """

    cell: Cell
    figures: dict[str, float]
    spread: dict[str, float]
    to_base: Comparison | None
    to_same: Comparison | None
    other_labels: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "cell": self.cell.name,
            "improvements": list(self.cell.improvements),
            "decision": self.cell.decision,
            "changes": dict(self.cell.changes),
            "also": list(self.cell.also),
            "other_labels": self.other_labels,
            "figures": self.figures,
            "spread": self.spread,
            "to_base": None if self.to_base is None else self.to_base.to_dict(),
            "to_same": None if self.to_same is None else self.to_same.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Row:
        """Return what `to_dict` was made of, from JSON."""
        cell = Cell(
            content["cell"],
            tuple(content["improvements"]),
            content["decision"],
            content["changes"],
            tuple(content["also"]),
        )
        figures, spread = (
            {name: _number(value) for name, value in content[part].items()} for part in ("figures", "spread")
        )
        to_base, to_same = (
            None if content[part] is None else Comparison.from_dict(content[part])
            for part in ("to_base", "to_same")
        )
        return cls(cell, figures, spread, to_base, to_same, content["other_labels"])


def _number(value: Any) -> Any:  # noqa: ANN401 - JSON knows no NaN
    if isinstance(value, list):
        return tuple(_number(item) for item in value)
    return float("nan") if value is None else value


def table_of(
    cells: Sequence[Cell],
    strata: Sequence[Stratum],
    result: Callable[[Cell, Stratum], tuple[Outcome, float]],
    *,
    block: int,
    seed: int,
    replicates: int = REPLICATES,
    progress: Progress | None = None,
) -> list[Row]:
    """Return a row for each cell; the first cell is the base.

    Parameters
    ----------
    cells : sequence of Cell
        At least one.
    strata : sequence of (seed, fold)
        Every cell has an outcome in each. All seeds of a fold are tested on the same bars.
    result : callable
        Reads the outcome of a cell in a stratum, and the seconds of its training, NaN if that is not known.
    block : int
        Bars of a block of the bootstrap, at least the label horizon.
    seed : int
        Of the bootstrap.
    replicates : int
        At least; raised when Holm's correction for the number of cells needs more.
    progress : Progress, optional
        Told about every cell.

    Raises
    ------
    RunError
        When a cell was traded on other bars than the base.
    DataError
        When a test span is too short.
    """
    progress = progress or NoProgress()
    spans = Spans(block, replicates_for(len(cells), replicates), seed)
    measured = []
    progress.start("intervals", len(cells))
    for cell in cells:
        measured.append(measure(strata, (result(cell, stratum) for stratum in strata), spans))
        progress.advance(1, cell=cell.name)
    progress.stop()
    to_base = _compared(cells, measured, [0 if place else None for place in range(len(cells))])
    to_same = _compared(cells, measured, _same_decision(cells))
    return [
        Row(cell, found.means(), found.spread(), first, second, found.other_labels)
        for cell, found, first, second in zip(cells, measured, to_base, to_same, strict=True)
    ]


def replicates_for(cells: int, at_least: int = REPLICATES) -> int:
    """Return the replicates that a table of so many cells needs.

    The smallest p-value is 1 / (replicates + 1); times the number of cells it must stay well below 5 %.
    """
    return max(at_least, round(2 * cells / ALPHA) - 1)


def _same_decision(cells: Sequence[Cell]) -> list[int | None]:
    """Return the place of the base under the decision of each cell; None where it is the base or itself."""
    bases = {cell.decision: place for place, cell in enumerate(cells) if cell.group == cells[0].group}
    found = [bases.get(cell.decision) for cell in cells]
    return [other if other and other != place else None for place, other in enumerate(found)]


def _compared(
    cells: Sequence[Cell], measured: Sequence[Measured], others: Sequence[int | None]
) -> list[Comparison | None]:
    """Compare each cell with another one, and correct the p-values for the number of such cells."""
    found: dict[int, Mapping[str, Interval]] = {
        place: measured[place].minus(measured[other])
        for place, other in enumerate(others)
        if other is not None
    }
    corrected = {
        name: dict(zip(found, holm([one[name].p_value for one in found.values()]), strict=True))
        for name in FIGURES
    }
    return [
        None
        if other is None
        else Comparison(
            cells[other].name,
            dict(found[place]),
            {name: corrected[name][place] for name in FIGURES},
        )
        for place, other in enumerate(others)
    ]
