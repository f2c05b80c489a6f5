"""Compiled passes over equity curves and pairs of return series: arrays in, arrays out.

Windows are put together from summaries that only ever add: series are cut into blocks as long as the
window, and each window is the end of one block joined with the beginning of the next (van Herk,
"A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels", 1992;
Gil and Werman, 1993). Nothing is subtracted, so nothing drifts, whatever left the window leaves no
trace, and a flat window has a variance of exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., Any])

ROLLING_NAMES: tuple[str, ...] = ("return", "volatility", "sharpe", "sortino", "drawdown", "max_drawdown")
"""The rows of what `rolling_pass` writes."""

ROUNDING = 16 * float(np.finfo(np.float64).eps)
"""Returns are ratios near 1 less 1; a spread of them below this is rounding and counts as 0."""


def _compiled(function: _Function) -> _Function:
    return cast(_Function, njit(cache=True, error_model="numpy")(function))


class Summary(NamedTuple):
    """What consecutive bars amount to.

    ``bars``: their number; ``mean`` and ``m2`` (sum of squared deviations) of the one-bar returns;
    ``downside``: sum of the squared negative returns; ``low``, ``high``: extremes of equity, of
    which less than 0 counts as 0; ``fall``: largest fall from an earlier peak, as a fraction of it.
    """

    bars: float
    mean: float
    m2: float
    downside: float
    low: float
    high: float
    fall: float


@_compiled
def one_bar(equity: NDArray[np.float64], i: int) -> Summary:
    """Return the summary of row i >= 1 alone; its return is 0 after equity of 0 or less."""
    before = equity[i - 1]
    r = equity[i] / before - 1.0 if before > 0.0 else 0.0
    # `join` relies on the highest peak giving the deepest fall, which holds from 0 up.
    value = max(equity[i], 0.0)
    return Summary(1.0, r, 0.0, r * r if r < 0.0 else 0.0, value, value, 0.0)


@_compiled
def no_bars() -> Summary:
    """Return the summary of no bars, the neutral element of `join`."""
    return Summary(0.0, 0.0, 0.0, 0.0, np.inf, -np.inf, 0.0)


@_compiled
def join(a: Summary, b: Summary) -> Summary:
    """Return the summary of a followed by b, not both empty.

    Moments: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances" (1979).
    """
    bars = a.bars + b.bars
    weight = b.bars / bars
    delta = b.mean - a.mean
    fall = max(a.fall, b.fall)
    if a.high > 0.0:
        fall = max(fall, 1.0 - b.low / a.high)
    return Summary(
        bars,
        a.mean + delta * weight,
        a.m2 + b.m2 + delta * delta * a.bars * weight,
        a.downside + b.downside,
        min(a.low, b.low),
        max(a.high, b.high),
        fall,
    )


@_compiled
def rolling_pass(equity: NDArray[np.float64], window: int, annual: float, out: NDArray[np.float64]) -> None:
    """Write the rolling statistics of an equity curve.

    Parameters
    ----------
    equity : float64 array, shape (n,)
        At the closes.
    window : int
        Returns per window, at most n - 1.
    annual : float
        Square root of the bars per year.
    out : float64 array, shape (6, n)
        Rows in the order of `ROLLING_NAMES`; NaN before the first whole window.
    """
    n = len(equity)
    out[:, :window] = np.nan
    tails = np.empty((window, 7))
    peak = equity[0]
    for start in range(1, n, window):
        end = min(start + window, n)
        head = no_bars()
        for i in range(start, end):
            head = join(head, one_bar(equity, i))
            peak = max(peak, equity[i])
            if i >= window:
                size = i - start + 1
                whole = head
                if size < window:
                    tail = tails[size]
                    before = Summary(tail[0], tail[1], tail[2], tail[3], tail[4], tail[5], tail[6])
                    whole = join(before, head)
                _write(equity, i, window, annual, whole, out)
                out[4, i] = 1.0 - equity[i] / peak if peak > 0.0 else 0.0
        if end < n:
            _fold_back(equity, start, tails)


@_compiled
def _fold_back(equity: NDArray[np.float64], start: int, tails: NDArray[np.float64]) -> None:
    """Write into row k the summary of rows start + k to the end of the block; row 0 is not needed."""
    tail = no_bars()
    for k in range(len(tails) - 1, 0, -1):
        tail = join(one_bar(equity, start + k), tail)
        tails[k, 0] = tail.bars
        tails[k, 1] = tail.mean
        tails[k, 2] = tail.m2
        tails[k, 3] = tail.downside
        tails[k, 4] = tail.low
        tails[k, 5] = tail.high
        tails[k, 6] = tail.fall


@_compiled
def _write(
    equity: NDArray[np.float64],
    i: int,
    window: int,
    annual: float,
    whole: Summary,
    out: NDArray[np.float64],
) -> None:
    base = equity[i - window]
    deviation = math.sqrt(whole.m2 / (window - 1))
    out[0, i] = equity[i] / base - 1.0 if base > 0.0 else 0.0
    out[1, i] = deviation * annual
    out[2, i] = whole.mean / deviation * annual
    out[3, i] = whole.mean / math.sqrt(whole.downside / window) * annual
    out[5, i] = max(whole.fall, 1.0 - whole.low / base) if base > 0.0 else whole.fall


class Comparison(NamedTuple):
    """Returns beside those of a benchmark; see `simengine.backtest.benchmark.compare_to_benchmark`."""

    alpha: float
    beta: float
    correlation: float
    r_squared: float
    active_return: float
    tracking_error: float
    information_ratio: float
    up_capture: float
    down_capture: float


class Pair(NamedTuple):
    """Sums over n returns r beside returns b of a benchmark.

    ``mean``, ``base``, ``gap``: means of r, b and r - b; ``m2``, ``base_m2``, ``gap_m2``: sums of their
    squared deviations; ``product``: sum of the products of the deviations of r and b; ``up``,
    ``base_up``: sums of r and b where b > 0; ``down``, ``base_down``: where b < 0.
    """

    mean: float
    base: float
    gap: float
    m2: float
    base_m2: float
    gap_m2: float
    product: float
    up: float
    base_up: float
    down: float
    base_down: float


@_compiled
def pair_sums(returns: NDArray[np.float64], benchmark: NDArray[np.float64]) -> Pair:
    """Return the sums over two series of n >= 1 returns in one pass.

    Moments: Welford, "Note on a method for calculating corrected sums of squares and products" (1962).
    """
    mean = base = gap = 0.0
    m2 = base_m2 = gap_m2 = product = 0.0
    up = base_up = down = base_down = 0.0
    for i in range(len(returns)):
        r = returns[i]
        b = benchmark[i]
        share = 1.0 / (i + 1)
        dr = r - mean
        db = b - base
        dg = r - b - gap
        mean += dr * share
        base += db * share
        gap += dg * share
        m2 += dr * (r - mean)
        base_m2 += db * (b - base)
        gap_m2 += dg * (r - b - gap)
        product += dr * (b - base)
        if b > 0.0:
            up += r
            base_up += b
        elif b < 0.0:
            down += r
            base_down += b
    return Pair(mean, base, gap, m2, base_m2, gap_m2, product, up, base_up, down, base_down)


@_compiled
def _deviation(m2: float, n: int) -> float:
    deviation = math.sqrt(m2 / (n - 1))
    return 0.0 if deviation <= ROUNDING else deviation


@_compiled
def compare_pass(
    returns: NDArray[np.float64], benchmark: NDArray[np.float64], bars_per_year: float
) -> Comparison:
    """Compare two series of n >= 1 returns."""
    n = len(returns)
    pair = pair_sums(returns, benchmark)
    deviation = _deviation(pair.m2, n)
    base_deviation = _deviation(pair.base_m2, n)
    gap_deviation = _deviation(pair.gap_m2, n)
    gap = 0.0 if abs(pair.gap) <= ROUNDING else pair.gap
    beta = pair.product / pair.base_m2 if base_deviation > 0.0 else np.nan
    correlation = np.nan
    if deviation > 0.0 and base_deviation > 0.0:
        quotient = pair.product / (math.sqrt(pair.m2) * math.sqrt(pair.base_m2))
        # Rounding may carry it just past 1.
        correlation = max(-1.0, min(1.0, quotient))
    annual = math.sqrt(bars_per_year)
    return Comparison(
        alpha=(pair.mean - beta * pair.base) * bars_per_year,
        beta=beta,
        correlation=correlation,
        r_squared=correlation * correlation,
        active_return=gap * bars_per_year,
        tracking_error=gap_deviation * annual,
        information_ratio=gap / gap_deviation * annual,
        up_capture=pair.up / pair.base_up,
        down_capture=pair.down / pair.base_down,
    )


@_compiled
def last_known(timestamp: NDArray[np.int64], known_at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each time the last row of ``known_at`` at or before it, -1 before the first; both rise."""
    rows = np.empty(len(timestamp), np.int64)
    k = -1
    for i in range(len(timestamp)):
        while k + 1 < len(known_at) and known_at[k + 1] <= timestamp[i]:
            k += 1
        rows[i] = k
    return rows
