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
def divide(
    before: NDArray[np.float64],
    equity: NDArray[np.float64],
    gross: NDArray[np.float64],
    returns: NDArray[np.float64],
    exposures: NDArray[np.float64],
) -> None:
    """Write the one-bar returns and the exposures, 0 after or at a close with nothing left.

    The divisions of a bar do not wait for those of another, so that the processor does several at once;
    asking in each bar whether something is left would keep it from that.
    """
    n = len(equity)
    solvent = 0
    for j in range(n):
        solvent += (before[j] > 0.0) & (equity[j] > 0.0)
    if solvent == n:
        for j in range(n):
            returns[j] = (equity[j] - before[j]) / before[j]
            exposures[j] = abs(gross[j]) / equity[j]
        return
    for j in range(n):
        returns[j] = (equity[j] - before[j]) / before[j] if before[j] > 0.0 else 0.0
        exposures[j] = abs(gross[j]) / equity[j] if equity[j] > 0.0 else 0.0


@compiled
def add_part(
    i: int,
    before: NDArray[np.float64],
    equity: NDArray[np.float64],
    gross: NDArray[np.float64],
    scratch: NDArray[np.float64],
    sums: Sums,
) -> Sums:
    """Add the closes of consecutive bars from bar i on, as `add_bar` does one by one.

    ``gross`` may be signed; ``scratch``, shape (2, n) or longer, is written over.
    """
    n = len(equity)
    returns = scratch[0, :n]
    exposures = scratch[1, :n]
    divide(before, equity, gross, returns, exposures)
    exposure, total, invested = sums.exposure, sums.equity, sums.invested
    r1, r2, r3, r4 = sums.r1, sums.r2, sums.r3, sums.r4
    downside = sums.downside
    for j in range(n):
        r = returns[j]
        # A loss is squared, not chosen: whether a return is one is a coin toss to the processor.
        loss = r if r < 0.0 else 0.0
        square = r * r
        r1 += r
        r2 += square
        r3 += square * r
        r4 += square * square
        downside += loss * loss
        exposure += exposures[j]
        total += equity[j]
        invested += gross[j] != 0.0
    peak, trough, summit = sums.peak, sums.trough, sums.summit
    peak_bar, longest = sums.peak_bar, sums.longest
    for j in range(n):
        now = equity[j]
        if now >= peak:
            if i + j - peak_bar > 1:
                longest = max(longest, i + j - peak_bar)
            peak = now
            peak_bar = i + j
        elif now * summit < trough * peak:
            trough = now
            summit = peak
    return Sums(
        1.0 / equity[n - 1] if equity[n - 1] > 0.0 else 0.0,
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
    scratch = np.empty((2, len(equity)))
    return add_part(1, equity[:-1], equity[1:], gross[1:], scratch, sums)
