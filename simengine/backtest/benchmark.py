"""Comparison of returns with those of a benchmark."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from simengine.backtest.series import as_series, as_times, check_bars_per_year, utc
from simengine.errors import DataError
from simengine.types import FloatArray


def compare_to_benchmark(
    returns: ArrayLike, benchmark_returns: ArrayLike, bars_per_year: float
) -> dict[str, float]:
    """Return how returns r relate to those of a benchmark b over the same n bars.

    With A the bars per year, d = r - b, and std, cov and var with divisor n - 1:

    - ``beta``: cov(r, b) / var(b);
    - ``alpha``: A (mean(r) - beta mean(b)), Jensen, "The performance of mutual funds in the period
      1945-1964" (1968), zero risk-free rate;
    - ``correlation``: cov(r, b) / (std(r) std(b)), and ``r_squared``, its square;
    - ``active_return``: A mean(d);
    - ``tracking_error``: sqrt(A) std(d);
    - ``information_ratio``: active_return / tracking_error, Grinold and Kahn, "Active portfolio
      management" (1999);
    - ``up_capture``: mean(r) / mean(b) over the bars with b > 0, ``down_capture`` over those with b < 0,
      Bacon, "Practical portfolio performance measurement and attribution" (2008); arithmetic means,
      since bars are short.

    A standard deviation, or a mean of d, of at most 3.6e-15 per bar is the rounding of prices and counts
    as 0: a benchmark that grows by the same fraction in every bar has no beta rather than a random one.

    Parameters
    ----------
    returns, benchmark_returns : float64 arrays, shape (n,)
        One-bar returns as fractions. Leave out the first row of a result, which is 0 by definition.
    bars_per_year : float
        For annualisation.

    Returns
    -------
    dict of str to float
        ``alpha, active_return, tracking_error`` are fractions per year, the rest plain ratios. NaN where
        undefined (0 / 0, a flat benchmark, fewer than two returns), infinite for another number / 0.

    Raises
    ------
    ConfigError
        When ``bars_per_year`` is not a finite number above 0.
    DataError
        When a series has no rows or is not finite, or their lengths differ.
    """
    r = as_series(returns, "returns")
    b = as_series(benchmark_returns, "benchmark_returns")
    if len(r) != len(b):
        raise DataError(
            f"returns and benchmark_returns must cover the same bars, received {len(r)} and {len(b)} rows"
        )
    check_bars_per_year(bars_per_year)
    from simengine.backtest.passes import compare_pass

    values = compare_pass(r, b, float(bars_per_year))
    return dict(zip(values._fields, values, strict=True))


def align_benchmark(timestamp: ArrayLike, benchmark_timestamp: ArrayLike, prices: ArrayLike) -> FloatArray:
    """Return the one-bar returns of a benchmark on the bars of a result.

    Each bar takes the last price stamped at or before it, never a later one; a bar without a new price
    returns 0.

    Parameters
    ----------
    timestamp : int64 array, shape (n,)
        Bar open times of the result, ns UTC, strictly increasing.
    benchmark_timestamp : int64 array, shape (m,)
        Stamps of the prices in the same convention: the price stamped t holds at the close of the bar
        that opens at t. The close of a longer bar belongs to the open of the last short bar inside it;
        stamped with its own open it would be known too early.
    prices : float64 array, shape (m,)
        Prices, or the equity of another account, above 0.

    Returns
    -------
    float64 array, shape (n,)
        The first is 0, as in ``BacktestResult.returns``.

    Raises
    ------
    DataError
        When a series is faulty, the first price comes after the first bar, or the prices end before the
        last bar by more than the longest gap between two of them.
    """
    prices = as_series(prices, "benchmark prices")
    if not prices.min() > 0:
        row = int(np.argmin(prices > 0))
        raise DataError(f"benchmark prices must be above 0, received {prices[row]} in row {row}")
    known_at = as_times(benchmark_timestamp, len(prices), "benchmark_timestamp", "prices")
    times = as_times(timestamp, np.size(timestamp), "timestamp", "the result")
    if not len(times):
        raise DataError("there are no bars to align the benchmark with: timestamp is empty")
    if known_at[0] > times[0]:
        raise DataError(
            f"the benchmark starts at {utc(known_at[0])}, after the first bar at {utc(times[0])}: "
            "give its prices from there on"
        )
    longest_gap = int(np.diff(known_at).max(initial=0))
    if times[-1] - known_at[-1] > longest_gap:
        raise DataError(
            f"the benchmark ends at {utc(known_at[-1])}, before the last bar at {utc(times[-1])} by more "
            "than the longest gap between its prices: give its prices up to there"
        )
    from simengine.backtest.passes import last_known

    known = prices[last_known(times, known_at)]
    returns = np.zeros(len(times))
    np.divide(np.diff(known), known[:-1], out=returns[1:])
    return returns
