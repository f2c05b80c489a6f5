"""The pass over the bars from which the label counts of every grid of clipped thresholds follow."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from simengine.types import FloatArray, IntArray


def _tally(
    forward: FloatArray,
    volatility: FloatArray,
    root: float,
    multipliers: FloatArray,
    cuts: FloatArray,
    out: IntArray,
) -> None:
    n_multipliers, n_cuts = len(multipliers), len(cuts)
    for row in range(len(forward)):
        value, scale = forward[row], volatility[row]
        if value != value or scale != scale:
            continue
        size = abs(value)
        low, high = 0, n_multipliers
        while low < high:
            middle = (low + high) // 2
            # The labeler's own order of products: the same bits, so that ties fall the same way.
            if size > multipliers[middle] * scale * root:
                low = middle + 1
            else:
                high = middle
        passed = low
        low, high = 0, n_cuts
        while low < high:
            middle = (low + high) // 2
            if size > cuts[middle]:
                low = middle + 1
            else:
                high = middle
        out[1 if value > 0 else 0, passed, low] += 1


@functools.cache
def tally() -> Callable[..., None]:
    """Return the compiled ``tally(forward, volatility, root, multipliers, cuts, out)``.

    For every bar whose forward return and volatility are known it counts the multipliers m with
    |forward| > m x volatility x root and the cuts that |forward| exceeds; both lists must be ascending.
    ``out`` (2, M + 1, C + 1) int64 is a histogram of the two counts, of falls and of rises, that is added to.
    """
    from simengine.jit import code_version, njit_cached

    return njit_cached(_tally, code_version(Path(__file__).parent))
