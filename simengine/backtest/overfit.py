"""Overfitting statistics of a sweep: how much of the best variant is luck of the search.

Everything is computed from three small arrays that a sweep collects on the way: for K variants and B
consecutive blocks of bars the sums of one-bar returns, the sums of their squares, both of shape (K, B),
and the number of returns in each block, shape (B,). No equity curve is kept.

A variant whose returns do not vary has no Sharpe ratio: it is NaN where one variant is described. Where
variants compete it counts as 0, since doing nothing earns nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simengine.backtest.deflate import deflated_sharpe, minimum_track_record_length
from simengine.errors import ConfigError, DataError
from simengine.types import FloatArray, IntArray

BLOCKS = 16
"""Blocks of bars that a sweep collects; 12,870 splits into halves."""

VARIANCE_FLOOR = 1e-14
"""A variance up to this fraction of the mean square is rounding, not variance."""

_FEWEST_BLOCKS, _MOST_BLOCKS = 4, 20


def sharpe_per_bar(sums: ArrayLike, squares: ArrayLike, counts: ArrayLike) -> FloatArray:
    """Return the Sharpe ratio per bar of every variant over all blocks.

    Mean / standard deviation (n - 1) of the one-bar returns, not annualised.

    Returns
    -------
    float64 array, shape (K,)
        NaN where the returns do not vary.
    """
    sums, squares, counts = _checked(sums, squares, counts)
    n = float(counts.sum())
    total, square = sums.sum(axis=1), squares.sum(axis=1)
    spread = square - total**2 / n
    spread[~(spread > _floor(n) * square)] = math.nan
    sharpe: FloatArray = total / n / np.sqrt(spread / (n - 1))
    return sharpe


def effective_trials(sums: ArrayLike) -> float:
    """Return the effective number of independent trials among correlated variants.

    rho + (1 - rho) N with the average correlation rho of the block returns of the N variants: Bailey and
    Lopez de Prado, "The deflated Sharpe ratio" (2014), appendix. Variants whose block returns do not
    vary (they never trade) are left out, and variants with the same block returns (a stop that is never
    hit) are one trial. A negative rho counts as 0.

    The average correlation comes from the sum of the standardised rows, never from an (N, N) matrix, and
    independent variants give 0 on average however few the blocks are. Counts based on the spectrum of that
    matrix, such as the participation ratio of its eigenvalues, cannot exceed B - 1 = 15, and they fall
    towards 1 under a common factor that moves all variants together, although such a factor leaves their
    spread, and so the luck of the best one, as it is. The price: tight groups of nearly equal variants
    are hardly merged, so with them the number is too high and the deflated Sharpe ratio on the careful
    side. With rho near 1 it is too low.

    Returns
    -------
    float
        From 0 (no variant trades) and 1 (all the same) to N.
    """
    sums = np.ascontiguousarray(sums, dtype=np.float64)
    if sums.ndim != 2 or sums.shape[1] < 2:
        raise DataError(
            f"sums must have the shape (variants, blocks) with 2 blocks or more; received {sums.shape}"
        )
    _finite("sums", sums)
    return _effective(sums[_distinct(sums)])


class SplitSample(NamedTuple):
    """Outcome of combinatorially symmetric cross-validation over M splits.

    ``pbo``: probability of backtest overfitting, the share of logits of 0 or below;
    ``probability_of_loss``: share of splits whose choice has a Sharpe ratio below 0 out of sample;
    ``degradation``: slope of the choice's Sharpe ratio out of sample on the one in sample;
    ``logits``, ``chosen``, ``in_sample``, ``out_of_sample``: arrays of shape (M,), splits in
    lexicographic order: logit of the relative rank out of sample, chosen variant, its Sharpe ratios per
    bar. All NaN (and nothing chosen) when no variant ever trades.
    """

    pbo: float
    probability_of_loss: float
    degradation: float
    logits: FloatArray
    chosen: IntArray
    in_sample: FloatArray
    out_of_sample: FloatArray


def probability_of_overfitting(sums: ArrayLike, squares: ArrayLike, counts: ArrayLike) -> SplitSample:
    """Return how often the best variant in sample is no better than the median out of sample.

    Combinatorially symmetric cross-validation: in each of the M = C(B, B/2) ways to take half of the
    blocks as the sample, the variant with the highest Sharpe ratio (the first of equal ones) is
    chosen and ranked on the other half: rank r from 1 (worst) to K, equal variants sharing the
    middle of their ranks, relative rank w = r / (K + 1), logit ln(w / (1 - w)). A choice exactly at
    the median (logit 0) counts as overfit. Bailey, Borwein, Lopez de Prado and Zhu, "The probability
    of backtest overfitting", Journal of Computational Finance 20(4) (2017).

    Pure noise gives 0.5 on average, with a wide spread, since the splits share their bars. The two
    halves also share one total, so ``degradation`` tends to -1 when the same variant, however good, is
    chosen everywhere: read it beside ``probability_of_loss``.

    Raises
    ------
    ConfigError
        Fewer than 2 variants.
    DataError
        Shapes that do not fit, an odd number of blocks or not 4 to 20 of them, a block with fewer than
        2 returns, a number that is not finite.
    """
    from simengine.backtest.cscv import judge_splits

    sums, squares, counts = _checked(sums, squares, counts)
    _several(sums)
    halves = _halves(len(counts))
    if np.isnan(sharpe_per_bar(sums, squares, counts)).all():
        nothing = np.full(2 * len(halves), math.nan)
        return SplitSample(math.nan, math.nan, math.nan, nothing, np.full(len(nothing), -1), nothing, nothing)
    blocks = (np.ascontiguousarray(sums.T), np.ascontiguousarray(squares.T), counts)
    chosen, rank, inside, outside = judge_splits(blocks, halves, _floor(float(counts.sum())))
    logits = np.log(rank / (len(sums) + 1 - rank))
    centred = inside - inside.mean()
    variance = float(np.sum(centred**2))
    return SplitSample(
        pbo=float((logits <= 0).mean()),
        probability_of_loss=float((outside < 0).mean()),
        degradation=float(np.sum(centred * outside)) / variance if variance > 0 else math.nan,
        logits=logits,
        chosen=chosen,
        in_sample=inside,
        out_of_sample=outside,
    )


@dataclass(frozen=True, repr=False)
class Overfitting:
    """What the search itself contributes to the best variant of a sweep. NaN where undefined.

    Parameters
    ----------
    trials : int
        Variants tried.
    idle : int
        Those whose returns do not vary: they never trade.
    effective_trials : float
        Effective number of independent trials, `effective_trials`.
    best : int
        Row of the variant that the following figures describe; -1 when all are idle.
    sharpe : float
        Per bar, not annualised.
    deflated_sharpe : float
        Probability that its true Sharpe ratio is above 0, corrected for all trials; with fewer than
        2 that trade undefined.
    deflated_sharpe_effective : float
        The same, corrected for the effective number; equal variants count once in the variance too.
    pbo : float
        Probability of backtest overfitting, `probability_of_overfitting`.
    probability_of_loss : float
        Share of splits whose choice loses out of sample.
    degradation : float
        Slope of Sharpe ratios out of sample on those in sample.
    minimum_track_record : float
        Returns needed for 95 % confidence in a Sharpe ratio above 0, before any correction, in bars.
    bars : int
        Returns there are.
    """

    trials: int
    idle: int
    effective_trials: float
    best: int
    sharpe: float
    deflated_sharpe: float
    deflated_sharpe_effective: float
    pbo: float
    probability_of_loss: float
    degradation: float
    minimum_track_record: float
    bars: int

    def __repr__(self) -> str:
        rows = {field.name: _readable(field.name, getattr(self, field.name)) for field in fields(self)}
        width = max(map(len, rows))
        return "\n".join(["Overfitting", *(f"  {name:<{width}}  {text}" for name, text in rows.items())])


def overfitting(
    sums: ArrayLike,
    squares: ArrayLike,
    counts: ArrayLike,
    *,
    skewness: float,
    kurtosis: float,
    best: int | None = None,
) -> Overfitting:
    """Return all overfitting statistics of a sweep.

    Parameters
    ----------
    sums, squares : array_like, shape (K, B)
        Sums of one-bar returns and of their squares, per variant and block.
    counts : array_like, shape (B,)
        Returns in each block.
    skewness, kurtosis : float
        Of the best variant's one-bar returns; a normal law has 0 and 3.
    best : int, optional
        Row of the best variant; by default the highest Sharpe ratio.

    Raises
    ------
    ConfigError, DataError
        As `probability_of_overfitting`; ``best`` is not a row.
    """
    sums, squares, counts = _checked(sums, squares, counts)
    _several(sums)
    sharpes = sharpe_per_bar(sums, squares, counts)
    idle = np.isnan(sharpes)
    if best is None:
        best = -1 if idle.all() else int(np.nanargmax(sharpes))
    elif not 0 <= best < len(sums):
        raise ConfigError(f"best must be a row from 0 to {len(sums) - 1}; received {best!r}")
    sharpe = float(sharpes[best])
    n = int(counts.sum())
    distinct = _distinct(sums)
    effective = _effective(sums[distinct])
    splits = probability_of_overfitting(sums, squares, counts)
    return Overfitting(
        trials=len(sums),
        idle=int(idle.sum()),
        effective_trials=effective,
        best=best,
        sharpe=sharpe,
        deflated_sharpe=deflated_sharpe(sharpe, n, skewness, kurtosis, sharpes, len(sums)),
        deflated_sharpe_effective=deflated_sharpe(
            sharpe, n, skewness, kurtosis, sharpes[distinct], effective
        ),
        pbo=splits.pbo,
        probability_of_loss=splits.probability_of_loss,
        degradation=splits.degradation,
        minimum_track_record=minimum_track_record_length(sharpe, skewness, kurtosis),
        bars=n,
    )


def _checked(sums: ArrayLike, squares: ArrayLike, counts: ArrayLike) -> tuple[FloatArray, ...]:
    # numpy adds in an order that depends on the memory layout; results must not.
    sums, squares, counts = (np.ascontiguousarray(a, dtype=np.float64) for a in (sums, squares, counts))
    if sums.ndim != 2 or squares.shape != sums.shape or counts.shape != sums.shape[1:]:
        raise DataError(
            "sums and squares must have the shape (variants, blocks) and counts (blocks,); "
            f"received {sums.shape}, {squares.shape} and {counts.shape}"
        )
    _finite("sums", sums)
    _finite("squares", squares)
    few = np.flatnonzero(~((counts >= 2) & (counts < np.inf)))
    if len(few):
        raise DataError(
            f"block {few[0]} has {counts[few[0]]:g} returns, every block needs at least 2: "
            "use more bars or fewer blocks"
        )
    return sums, squares, counts


def _finite(name: str, values: FloatArray) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, block = bad[0]
        raise DataError(
            f"{name} must be finite; received {values[row, block]} for variant {row} in block {block}"
        )


def _several(sums: FloatArray) -> None:
    if len(sums) < 2:
        raise ConfigError(
            f"overfitting statistics compare variants: at least 2 are needed; received {len(sums)}"
        )


def _floor(n: float) -> float:
    # One-pass sums of n terms carry a relative rounding error of up to about n times epsilon.
    return max(VARIANCE_FLOOR, 2 * n * float(np.finfo(np.float64).eps))


def _distinct(sums: FloatArray) -> IntArray:
    """Return the rows whose block sums vary, the first of equal ones each, in ascending order."""
    centred = sums - sums.mean(axis=1, keepdims=True)
    varies = np.flatnonzero((centred**2).sum(axis=1) > VARIANCE_FLOOR * (sums**2).sum(axis=1))
    first: dict[bytes, int] = {}
    for k in varies:
        first.setdefault((sums[k] + 0.0).tobytes(), int(k))  # + 0.0: -0.0 equals 0.0
    return np.array(list(first.values()), dtype=np.int64)


def _effective(rows: FloatArray) -> float:
    n = len(rows)
    if n < 2:
        return float(n)
    centred = rows - rows.mean(axis=1, keepdims=True)
    total = (centred / np.sqrt((centred**2).sum(axis=1, keepdims=True))).sum(axis=0)
    rho = min(1.0, max(0.0, (float(total @ total) - n) / (n * (n - 1))))
    return rho + (1 - rho) * n


@cache
def _halves(blocks: int) -> NDArray[np.bool_]:
    """Return the first half of all splits in lexicographic order; the others are their complements."""
    if blocks % 2 or not _FEWEST_BLOCKS <= blocks <= _MOST_BLOCKS:
        raise DataError(
            f"cross-validation needs an even number of blocks from {_FEWEST_BLOCKS} to {_MOST_BLOCKS}; "
            f"received {blocks}"
        )
    # Block 0 is in sample in exactly the first half of them.
    rest = np.array(list(combinations(range(1, blocks), blocks // 2 - 1)))
    halves = np.zeros((len(rest), blocks), dtype=np.bool_)
    halves[:, 0] = True
    halves[np.arange(len(rest))[:, None], rest] = True
    halves.flags.writeable = False
    return halves


def _readable(name: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    if name in ("trials", "idle", "best", "bars"):
        return f"{value:,.0f}"
    if name in ("effective_trials", "minimum_track_record"):
        return f"{value:,.1f}"
    return f"{value:.4f}" if name in ("sharpe", "degradation") else f"{value:.2%}"
