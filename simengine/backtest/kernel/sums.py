"""Statistics of an equity curve, gathered bar by bar while it is made."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel.compiling import compiled


class Sums(NamedTuple):
    """Sums over the one-bar returns r of an equity curve and over its closes.

    ``inverse``: 1 / last equity, 0 when that is not above 0. ``r1`` .. ``r4``: sums of powers of r.
    ``downside``: sum of the squared negative ones. ``peak``: highest equity; ``trough`` and
    ``summit``: equity and peak at the largest drawdown. ``exposure``: sum of gross value / equity.
    ``equity``: sum of equity. ``invested``: closes with a position. ``peak_bar``, ``longest``: bar of
    the peak, most bars from a peak to the next.
    """

    inverse: float
    r1: float
    r2: float
    r3: float
    r4: float
    downside: float
    peak: float
    trough: float
    summit: float
    exposure: float
    equity: float
    invested: int
    peak_bar: int
    longest: int


@compiled
def start_sums(equity: float) -> Sums:
    """Return the sums at the first close, which has no return."""
    return Sums(1.0 / equity, 0.0, 0.0, 0.0, 0.0, 0.0, equity, 1.0, 1.0, 0.0, equity, 0, 0, 0)


@compiled
def add_bar(i: int, before: float, equity: float, gross: float, sums: Sums) -> Sums:
    """Add the close of bar i: equity ``before`` and now, and the gross value of what is held.

    The return is (equity - before) / before, and 0 after a close with nothing left. The largest
    drawdown is found without dividing: e / peak < trough / summit <=> e x summit < trough x peak.
    """
    r = (equity - before) * sums.inverse
    # A loss is squared, not chosen: whether a return is one is a coin toss to the processor.
    loss = r if r < 0.0 else 0.0
    square = r * r
    inverse = 1.0 / equity if equity > 0.0 else 0.0
    peak = sums.peak
    trough = sums.trough
    summit = sums.summit
    peak_bar = sums.peak_bar
    longest = sums.longest
    if equity >= peak:
        if i - peak_bar > 1:
            longest = max(longest, i - peak_bar)
        peak = equity
        peak_bar = i
    elif equity * summit < trough * peak:
        trough = equity
        summit = peak
    return Sums(
        inverse,
        sums.r1 + r,
        sums.r2 + square,
        sums.r3 + square * r,
        sums.r4 + square * square,
        sums.downside + loss * loss,
        peak,
        trough,
        summit,
        sums.exposure + gross * inverse,
        sums.equity + equity,
        sums.invested + (1 if gross > 0.0 else 0),
        peak_bar,
        longest,
    )


@compiled
def add_part(
    i: int,
    before: NDArray[np.float64],
    equity: NDArray[np.float64],
    gross: NDArray[np.float64],
    r: NDArray[np.float64],
    sums: Sums,
) -> Sums:
    """Add the closes of consecutive bars from bar i on; ``gross`` may be signed, ``r`` is scratch.

    What `add_bar` does, in two passes: the divisions of the first are independent of one another, so
    that the processor does several at once.
    """
    n = len(equity)
    exposure = sums.exposure
    total = sums.equity
    invested = sums.invested
    for j in range(n):
        base = before[j]
        r[j] = (equity[j] - base) / base if base > 0.0 else 0.0
    for j in range(n):
        exposure += abs(gross[j]) / equity[j] if equity[j] > 0.0 else 0.0
        invested += 1 if gross[j] != 0.0 else 0
        total += equity[j]
    r1, r2, r3, r4 = sums.r1, sums.r2, sums.r3, sums.r4
    downside = sums.downside
    peak, trough, summit = sums.peak, sums.trough, sums.summit
    peak_bar, longest = sums.peak_bar, sums.longest
    for j in range(n):
        # A loss is squared, not chosen: whether a return is one is a coin toss to the processor.
        loss = r[j] if r[j] < 0.0 else 0.0
        square = r[j] * r[j]
        r1 += r[j]
        r2 += square
        r3 += square * r[j]
        r4 += square * square
        downside += loss * loss
        if equity[j] >= peak:
            if i + j - peak_bar > 1:
                longest = max(longest, i + j - peak_bar)
            peak = equity[j]
            peak_bar = i + j
        elif equity[j] * summit < trough * peak:
            trough = equity[j]
            summit = peak
    inverse = 1.0 / equity[n - 1] if equity[n - 1] > 0.0 else 0.0
    return Sums(
        inverse,
        r1,
        r2,
        r3,
        r4,
        downside,
        peak,
        trough,
        summit,
        exposure,
        total,
        invested,
        peak_bar,
        longest,
    )


@compiled
def sums_of(equity: NDArray[np.float64], gross: NDArray[np.float64]) -> Sums:
    """Return the sums over a whole curve of closes."""
    sums = start_sums(equity[0])
    scratch = np.empty(len(equity) - 1)
    return add_part(1, equity[:-1], equity[1:], gross[1:], scratch, sums)
