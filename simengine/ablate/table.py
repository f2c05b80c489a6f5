"""The table of an ablation: the figures of every cell and their paired differences to the base."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simengine.ablate.bootstrap import Interval, block_starts, holm, interval, replicate_sums
from simengine.ablate.plan import Cell
from simengine.ablate.sums import METRICS, Outcome, bar_sums, metrics_of
from simengine.errors import RunError
from simengine.types import FloatArray, IntArray, LabelArray

REPLICATES = 1999
ALPHA = 0.05

Stratum = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One cell over all its strata.

    Parameters
    ----------
    cell : Cell
        What it is.
    figures : dict of str to float
        Mean of each metric over seeds and folds.
    spread : dict of str to float
        Standard deviation of each metric over seeds and folds; 0 with one of them.
    intervals : dict of str to Interval
        Difference to the base; empty for the base.
    adjusted : dict of str to float
        p-values corrected for the number of cells, by metric (Holm, 1979).
    train_seconds : float
        Mean wall time of the training that the cell uses.
    other_labels : bool
        Whether its labels are others than those of the base: NLL, calibration errors, F1 and AUC are then
        those of another question.
    """

    cell: Cell
    figures: dict[str, float]
    spread: dict[str, float]
    intervals: dict[str, Interval]
    adjusted: dict[str, float]
    train_seconds: float
    other_labels: bool

    def differs(self, metric: str) -> bool:
        """Return whether the cell differs from the base beyond noise, all cells considered."""
        return metric in self.adjusted and self.adjusted[metric] < ALPHA

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "cell": self.cell.name,
            "improvements": list(self.cell.improvements),
            "decision": self.cell.decision,
            "figures": self.figures,
            "spread": self.spread,
            "differences": {
                name: {
                    "difference": found.difference,
                    "low": found.low,
                    "high": found.high,
                    "p_value": found.p_value,
                    "p_adjusted": self.adjusted[name],
                    "contains_zero": found.contains_zero,
                }
                for name, found in self.intervals.items()
            },
            "train_seconds": self.train_seconds,
            "other_labels": self.other_labels,
        }


def table_of(
    cells: Sequence[Cell],
    strata: Sequence[Stratum],
    outcome: Callable[[Cell, Stratum], Outcome],
    seconds: Mapping[str, float],
    *,
    block: int,
    seed: int,
    replicates: int = REPLICATES,
) -> list[Row]:
    """Return a row for each cell; the first cell is the base.

    Parameters
    ----------
    cells : sequence of Cell
        At least one.
    strata : sequence of (seed, fold)
        Every cell has an outcome in each.
    outcome : callable
        Reads the outcome of a cell in a stratum.
    seconds : mapping of str to float
        Mean training time by the name of the cell.
    block : int
        Bars of a block of the bootstrap, at least the label horizon.
    seed : int
        Of the bootstrap.
    replicates : int
        Of the bootstrap.

    Raises
    ------
    RunError
        When a cell was traded on other bars than the base.
    """
    base = [_Measured(outcome(cells[0], stratum), None) for stratum in strata]
    starts = [
        block_starts(len(measured.times), block, replicates, seed, number)
        for number, measured in enumerate(base)
    ]
    for measured, first in zip(base, starts, strict=True):
        measured.replicate(first, block)
    points, intervals, others = [], [], []
    for cell in cells:
        found = [
            _Measured(outcome(cell, stratum), measured)
            for stratum, measured in zip(strata, base, strict=True)
        ]
        for measured, first in zip(found, starts, strict=True):
            measured.replicate(first, block)
        points.append(np.stack([measured.point for measured in found]))
        others.append(any(measured.other_labels for measured in found))
        intervals.append({} if cell is cells[0] else _compared(found, base))
    rows = []
    columns = zip(cells, points, intervals, _adjusted(intervals), others, strict=True)
    for cell, values, own, corrected, other in columns:
        spread = values.std(0, ddof=1) if len(values) > 1 else np.zeros(len(METRICS))
        figures = dict(zip(METRICS, values.mean(0).tolist(), strict=True))
        by_metric = dict(zip(METRICS, spread.tolist(), strict=True))
        rows.append(Row(cell, figures, by_metric, own, corrected, seconds[cell.name], other))
    return rows


class _Measured:
    """The metrics of one outcome, and those of its replicates."""

    def __init__(self, outcome: Outcome, base: _Measured | None) -> None:
        if base is not None and not np.array_equal(outcome.times, base.times):
            raise RunError(
                "ablate: a cell was traded on other bars than the base; run it again in a new folder"
            )
        self.times: IntArray = outcome.times
        self.labels: LabelArray = outcome.labels
        self.row_time: IntArray = outcome.row_time
        self.other_labels = base is not None and not (
            np.array_equal(self.row_time, base.row_time) and np.array_equal(self.labels, base.labels)
        )
        self._sums, self._columns = bar_sums(outcome)
        self.point: FloatArray = metrics_of(self._sums.sum(axis=0), self._columns)
        self.drawn: FloatArray = np.zeros((0, len(METRICS)))

    def replicate(self, starts: IntArray, block: int) -> None:
        """Compute the metrics (replicates, M) of every replicate; the sums are of no more use then."""
        self.drawn = metrics_of(replicate_sums(self._sums, starts, block), self._columns)
        self._sums = np.zeros((0, 0))


def _compared(found: Sequence[_Measured], base: Sequence[_Measured]) -> dict[str, Interval]:
    pairs = list(zip(found, base, strict=True))
    return {
        name: interval(
            [float(own.point[place] - other.point[place]) for own, other in pairs],
            [own.drawn[:, place] - other.drawn[:, place] for own, other in pairs],
        )
        for place, name in enumerate(METRICS)
    }


def _adjusted(intervals: Sequence[Mapping[str, Interval]]) -> list[dict[str, float]]:
    """Correct the p-values of each metric for the number of cells that are compared."""
    compared = [found for found in intervals if found]
    by_metric = {name: holm([found[name].p_value for found in compared]) for name in METRICS}
    places = iter(range(len(compared)))
    return [
        {name: by_metric[name][place] for name in METRICS} if found else {}
        for found in intervals
        for place in [next(places) if found else -1]
    ]
