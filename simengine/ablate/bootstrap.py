"""Intervals of paired differences: a moving-block bootstrap over test bars, in each seed and fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simengine.errors import DataError
from simengine.seed import stream
from simengine.types import FloatArray, IntArray

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference to the base with its uncertainty.

    Parameters
    ----------
    difference : float
        Mean over the strata of cell - base.
    low, high : float
        Ends of the 95 % interval.
    p_value : float
        Of the hypothesis that there is no difference, two-sided, not corrected.
    """

    difference: float
    low: float
    high: float
    p_value: float

    @property
    def contains_zero(self) -> bool:
        """Whether noise alone would explain the difference; so too where there is no interval."""
        return not (self.low > 0 or self.high < 0)


def block_starts(bars: int, block: int, replicates: int, seed: int, stratum: int) -> IntArray:
    """Return the first bars (replicates, blocks) of the blocks that each replicate is made of.

    Blocks of ``block`` bars start anywhere, overlap, and cover about ``bars`` bars together (Künsch, "The
    Jackknife and the Bootstrap for General Stationary Observations", 1989). The same for every cell, which
    makes the comparison a paired one.

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
    rng = stream(seed, "ablate blocks", stratum)
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
    out = np.empty((len(starts), sums.shape[1]))
    for row, first in enumerate(starts):
        out[row] = (before[first + block] - before[first]).sum(axis=0)
    out *= len(sums) / (starts.shape[1] * block)
    return out


def interval(points: Sequence[float], replicates: Sequence[FloatArray]) -> Interval:
    """Return the mean difference over strata and its interval.

    The replicates are centred on their own mean before their quantiles are taken: metrics such as a
    calibration error grow with the noise of a replicate, in the cell and in the base alike, and would
    otherwise pull the interval to one side. The interval is the basic one, point - quantiles of the centred
    replicates (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 5.2).

    Parameters
    ----------
    points : sequence of float
        Difference of cell and base in each stratum.
    replicates : sequence of arrays, shape (R,)
        The same of each replicate.
    """
    point = float(np.mean(points))
    drawn = np.mean(np.stack(replicates), axis=0)
    if not np.isfinite(point) or not np.isfinite(drawn).all():
        return Interval(point, float("nan"), float("nan"), float("nan"))
    centred = drawn - drawn.mean()
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(centred, [tail, 1 - tail])
    extreme = int((np.abs(centred) >= abs(point)).sum())
    return Interval(point, point - float(high), point - float(low), (1 + extreme) / (1 + len(centred)))


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
