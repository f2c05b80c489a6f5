"""Compiled loop over the splits of combinatorially symmetric cross-validation (CSCV)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from simengine.types import FloatArray, IntArray

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _compiled(function: _Function) -> _Function:
    """Compile with numba, keeping the types of the plain function."""
    return cast(_Function, numba.njit(cache=True, error_model="numpy")(function))


@_compiled
def _pooled_sharpe(
    blocks: tuple[FloatArray, FloatArray, FloatArray],
    chosen: NDArray[np.bool_],
    side: bool,
    floor: float,
    work: tuple[FloatArray, FloatArray],
) -> None:
    # Blocks are added in the same order for every variant, so that equal variants tie exactly; taking
    # one half as the total minus the other would leave rounding residue in halves without a trade.
    sums, squares, counts = blocks
    total, square = work
    total[:] = 0.0
    square[:] = 0.0
    n = 0.0
    for b in range(len(counts)):
        if chosen[b] == side:
            n += counts[b]
            for k in range(len(total)):
                total[k] += sums[b, k]
                square[k] += squares[b, k]
    for k in range(len(total)):
        mean = total[k] / n
        spread = square[k] - total[k] * mean
        total[k] = mean / np.sqrt(spread / (n - 1.0)) if spread > floor * square[k] else 0.0


@_compiled
def _judge(inside: FloatArray, outside: FloatArray) -> tuple[int, float]:
    best = 0
    for k in range(1, len(inside)):
        if inside[k] > inside[best]:
            best = k
    own = outside[best]
    below = 0
    equal = 0
    for k in range(len(outside)):
        below += outside[k] < own
        equal += outside[k] == own
    return best, below + 0.5 * (equal + 1)


@_compiled
def judge_splits(
    blocks: tuple[FloatArray, FloatArray, FloatArray], halves: NDArray[np.bool_], floor: float
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """Choose the best variant on one half of the blocks and rank it on the other half, for every split.

    Parameters
    ----------
    blocks : (sums, squares, counts)
        Sums of returns and of squared returns, shape (B, K) each, and number of returns, shape (B,).
    halves : bool array, shape (M / 2, B)
        Blocks in sample of the first M / 2 of M splits in lexicographic order; the complement of split
        i is split M - 1 - i, so each row serves two.
    floor : float
        A sum of squared deviations up to ``floor`` x sum of squares is no variance: Sharpe ratio 0.

    Returns
    -------
    chosen : int64 array, shape (M,)
        Variant with the highest Sharpe ratio in sample, the first of equal ones.
    rank : float64 array, shape (M,)
        Its rank out of sample from 1 (worst) to K, equal ones sharing the middle of their ranks.
    in_sample, out_of_sample : float64 arrays, shape (M,)
        Its Sharpe ratios per bar.
    """
    k = blocks[0].shape[1]
    m = 2 * len(halves)
    chosen = np.empty(m, np.int64)
    rank = np.empty(m)
    in_sample = np.empty(m)
    out_of_sample = np.empty(m)
    first, second, square = np.empty(k), np.empty(k), np.empty(k)
    for i in range(len(halves)):
        _pooled_sharpe(blocks, halves[i], True, floor, (first, square))
        _pooled_sharpe(blocks, halves[i], False, floor, (second, square))
        chosen[i], rank[i] = _judge(first, second)
        in_sample[i], out_of_sample[i] = first[chosen[i]], second[chosen[i]]
        j = m - 1 - i
        chosen[j], rank[j] = _judge(second, first)
        in_sample[j], out_of_sample[j] = second[chosen[j]], first[chosen[j]]
    return chosen, rank, in_sample, out_of_sample
