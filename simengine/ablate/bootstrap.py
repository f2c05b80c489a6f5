"""Intervals of paired differences: a moving-block bootstrap over test bars, shared by all seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simengine.errors import DataError
from simengine.seed import stream
from simengine.types import FloatArray, IntArray

CONFIDENCE = 0.95
_NONE = (float("nan"),) * 3


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference between two cells with its uncertainty.

    Parameters
    ----------
    difference : float
        Mean over seeds and folds of cell - other.
    low, high : float
        Ends of the 95 % interval.
    p_value : float
        Of the hypothesis that there is no difference, two-sided, not corrected.
    by_seed : tuple of float
        The difference of each seed, a mean over the folds. Their scatter is what another training would
        change; it is no part of the interval.
    """

    difference: float
    low: float
    high: float
    p_value: float
    by_seed: tuple[float, ...] = ()

    @property
    def contains_zero(self) -> bool:
        """Whether noise alone would explain the difference; so too where there is no interval."""
        return not (self.low > 0 or self.high < 0)

    @property
    def seed_sd(self) -> float:
        """Standard deviation of the difference over seeds; NaN with fewer than two of them."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else float("nan")

    @property
    def agreeing(self) -> int:
        """Number of seeds whose own difference has the sign of the mean."""
        return sum(value * self.difference > 0 for value in self.by_seed)


def block_bars(horizon_bars: int) -> int:
    """Return the length of a block: twice the label horizon H.

    Labels that overlap depend on each other over H - 1 bars; blocks of 2 H keep most of that inside.
    """
    return 2 * horizon_bars


def block_starts(bars: int, block: int, replicates: int, seed: int, fold: int) -> IntArray:
    """Return the first bars (replicates, blocks) of the blocks that each replicate is made of.

    Blocks of ``block`` bars start anywhere, overlap, and cover about ``bars`` bars together (Künsch, "The
    Jackknife and the Bootstrap for General Stationary Observations", 1989). They are the same for every
    cell, which makes the comparison a paired one, and for every seed of a fold: the seeds are tested on the
    same bars, and blocks of their own would make one test span count as several.

    Raises
    ------
    DataError
        When the span is shorter than two blocks.
    """
    if bars < 2 * block:
        raise DataError(
            f"ablate: a test span of {bars} bars is too short for blocks of {block}; use more bars or fewer "
            "folds"
        )
    count = -(-bars // block)
    rng = stream(seed, "ablate blocks", fold)
    return rng.integers(0, bars - block + 1, (replicates, count), dtype=np.int64)


def replicate_sums(sums: FloatArray, starts: IntArray, block: int) -> FloatArray:
    """Return the sums (replicates, K) of each replicate, scaled to the length of the span.

    Parameters
    ----------
    sums : float64 array, shape (T, K)
        Of `simengine.ablate.sums.bar_sums`.
    starts : int64 array, shape (replicates, blocks)
        Of `block_starts`.
    block : int
        Bars of a block.
    """
    before = np.concatenate([np.zeros((1, sums.shape[1])), np.cumsum(sums, axis=0)])
    of_block = before[block:] - before[:-block]
    out = np.empty((len(starts), sums.shape[1]))
    for row, first in enumerate(starts):
        out[row] = of_block[first].sum(axis=0)
    out *= len(sums) / (starts.shape[1] * block)
    return out


def interval(
    points: Sequence[float], replicates: Sequence[FloatArray], by_seed: Sequence[float] = ()
) -> Interval:
    """Return the mean difference over seeds and folds with its bootstrap interval.

    The strata of the bootstrap are the seeds and folds: each keeps its place in every replicate. The
    interval therefore says what other bars of the same market would have changed, for these trainings; what
    other seeds would change is told by ``Interval.by_seed`` beside it.

    The replicates are centred on their own mean before their quantiles are taken: metrics such as a
    calibration error grow with the noise of a replicate, in both cells alike, and would otherwise pull the
    interval to one side. The interval is the basic one, point - quantiles of the centred
    replicates (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 5.2).

    Parameters
    ----------
    points : sequence of float
        Difference of the two cells in each stratum.
    replicates : sequence of arrays, shape (R,)
        The same of each replicate.
    by_seed : sequence of float
        Kept with the interval.
    """
    point, seeds = float(np.mean(points)), tuple(by_seed)
    drawn = np.mean(np.stack(replicates), axis=0)
    if not np.isfinite(point) or not np.isfinite(drawn).all():
        return Interval(point, *_NONE, seeds)
    centred = drawn - drawn.mean()
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(centred, [tail, 1 - tail])
    extreme = int((np.abs(centred) >= abs(point)).sum())
    p_value = (1 + extreme) / (1 + len(centred))
    return Interval(point, point - float(high), point - float(low), p_value, seeds)


def student(points: Sequence[float], by_seed: Sequence[float] = ()) -> Interval:
    """Return the mean of some differences with Student's interval (Student, 1908).

    For what was measured once in each stratum and not on test bars: the seconds of a training.

    Parameters
    ----------
    points : sequence of float
        Difference of the two cells in each stratum. NaN is left out; with fewer than two of the others
        there is no interval.
    by_seed : sequence of float
        Kept with the interval.
    """
    known, seeds = [value for value in points if np.isfinite(value)], tuple(by_seed)
    point, n = float(np.mean(known)) if known else float("nan"), len(known)
    if n < 2:
        return Interval(point, *_NONE, seeds)
    error = float(np.std(known, ddof=1)) / n**0.5
    if error == 0:
        return Interval(point, point, point, 1.0 if point == 0 else 0.0, seeds)
    from scipy.stats import t

    half = float(t.ppf(1 - (1 - CONFIDENCE) / 2, n - 1)) * error
    return Interval(point, point - half, point + half, 2 * float(t.sf(abs(point) / error, n - 1)), seeds)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, step down (Holm, 1979); NaN stays and does not count.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p == p)
    adjusted, largest = [float("nan")] * len(p_values), 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = largest
    return adjusted
