"""What is measured of one cell in every stratum: its figures, and its metrics on every replicate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from simengine.ablate.bootstrap import Interval, block_starts, interval, replicate_sums, student
from simengine.ablate.sums import METRICS, Outcome, bar_sums, metrics_of
from simengine.errors import RunError
from simengine.types import FloatArray, IntArray, LabelArray

SECONDS = "train_seconds"
FIGURES = (*METRICS, SECONDS)
"""Names of the figures of a cell: the metrics, and the wall time of the training that it uses."""

Stratum = tuple[int, int]
"""Seed and fold."""


@dataclass(frozen=True, slots=True)
class Spans:
    """The bars that all cells are tested on, as the first outcome has them, and the blocks drawn from them.

    Parameters
    ----------
    block : int
        Bars of a block.
    replicates : int
        Of the bootstrap.
    seed : int
        Of the bootstrap.
    """

    block: int
    replicates: int
    seed: int
    _times: dict[int, IntArray] = field(default_factory=dict)
    _starts: dict[int, IntArray] = field(default_factory=dict)
    _rows: dict[Stratum, tuple[IntArray, LabelArray]] = field(default_factory=dict)

    def starts(self, fold: int, times: IntArray) -> IntArray:
        """Return the blocks of a fold, which are those of every cell and seed.

        Raises
        ------
        RunError
            When these are not the bars of the fold.
        DataError
            When they are too few.
        """
        if fold not in self._times:
            self._times[fold] = times
            self._starts[fold] = block_starts(len(times), self.block, self.replicates, self.seed, fold)
        elif not np.array_equal(times, self._times[fold]):
            raise RunError(
                "ablate: a cell was traded on other bars than the base; run it again in a new folder"
            )
        return self._starts[fold]

    def other_labels(self, stratum: Stratum, outcome: Outcome) -> bool:
        """Return whether an outcome has other labels than the first one of its stratum."""
        times, labels = self._rows.setdefault(stratum, (outcome.row_time, outcome.labels))
        same = np.array_equal(outcome.row_time, times) and np.array_equal(outcome.labels, labels)
        return not same


@dataclass(frozen=True, slots=True)
class Measured:
    """One cell.

    Parameters
    ----------
    strata : tuple of (seed, fold)
        What was measured, in order.
    points : float64 array, shape (strata, F)
        `FIGURES` in each stratum; the time is NaN where it is not known.
    drawn : list of float64 arrays, shape (replicates, M)
        Metrics of the replicates of each stratum.
    other_labels : bool
        Whether its labels are others than those of the base.
    """

    strata: tuple[Stratum, ...]
    points: FloatArray
    drawn: list[FloatArray]
    other_labels: bool

    def means(self) -> dict[str, float]:
        """Return the mean of each figure over seeds and folds."""
        return _named(_mean(self.points))

    def spread(self) -> dict[str, float]:
        """Return the standard deviation over seeds of each figure, a mean over folds; NaN with one seed."""
        values = _by_seed(self.points, self.strata)
        return _named(values.std(0, ddof=1) if len(values) > 1 else np.full(len(FIGURES), np.nan))

    def minus(self, other: Measured) -> dict[str, Interval]:
        """Return the difference of each figure to those of another cell, with its interval."""
        points = self.points - other.points
        drawn = [own - base for own, base in zip(self.drawn, other.drawn, strict=True)]
        seeds = _by_seed(points, self.strata)
        found = {
            name: interval(points[:, place].tolist(), [d[:, place] for d in drawn], seeds[:, place].tolist())
            for place, name in enumerate(METRICS)
        }
        return {**found, SECONDS: student(points[:, -1].tolist(), seeds[:, -1].tolist())}


def measure(strata: Sequence[Stratum], outcomes: Iterable[tuple[Outcome, float]], spans: Spans) -> Measured:
    """Return the figures of a cell from its outcome and its training time in each stratum.

    Call it for the base first: other cells are held against its bars and labels.

    Raises
    ------
    RunError, DataError
        As `Spans.starts`.
    """
    points, drawn, other_labels = [], [], False
    for stratum, (outcome, seconds) in zip(strata, outcomes, strict=True):
        starts = spans.starts(stratum[1], outcome.times)
        other_labels |= spans.other_labels(stratum, outcome)
        sums, columns = bar_sums(outcome)
        points.append(np.append(metrics_of(sums.sum(axis=0), columns), seconds))
        drawn.append(metrics_of(replicate_sums(sums, starts, spans.block), columns))
    return Measured(tuple(strata), np.stack(points), drawn, other_labels)


def _by_seed(values: FloatArray, strata: Sequence[Stratum]) -> FloatArray:
    """Return the mean over folds (seeds, F) of values (strata, F)."""
    seeds = np.array([seed for seed, _ in strata])
    return np.stack([_mean(values[seeds == seed]) for seed in dict.fromkeys(seeds.tolist())])


def _mean(values: FloatArray) -> FloatArray:
    """Return the mean (F,) over rows; a training time that is not known is left out, other NaN stays."""
    found: FloatArray = values.mean(axis=0)
    known = values[~np.isnan(values[:, -1]), -1]
    found[-1] = known.mean() if len(known) else np.nan
    return found


def _named(values: FloatArray) -> dict[str, float]:
    return dict(zip(FIGURES, values.tolist(), strict=True))
