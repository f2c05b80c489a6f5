"""Whether a mean return is more than noise: autocorrelation-robust t and block bootstrap."""

from __future__ import annotations

from typing import Literal

import numpy as np

from simengine.errors import DataError
from simengine.seed import stream
from simengine.types import FloatArray

_DRAWS_PER_CHUNK = 1_000_000  # block starts held at once: 8 MB


def return_lag(horizon_bars: int) -> int:
    """Return the lag over which per-bar returns may be correlated: ``max(48, 2 * horizon_bars)`` bars."""
    return max(48, 2 * horizon_bars)


def newey_west_t(x: FloatArray, lag: int) -> float:
    """Return the t statistic of the mean of a series whose values are correlated up to ``lag`` steps.

    ``t = mean(x) / sqrt(S / n)`` with ``S = g_0 + 2 sum_{l=1..lag} (1 - l / (lag + 1)) g_l`` and
    ``g_l = 1/n sum_t (x_t - mean)(x_{t-l} - mean)``, the Bartlett kernel (Newey and West, "A Simple,
    Positive Semi-Definite, Heteroskedasticity and Autocorrelation Consistent Covariance Matrix",
    1987). No small-sample correction.

    Parameters
    ----------
    x : float64 array, shape (n,)
        For example gross returns per bar.
    lag : int
        In steps, 0 or more.

    Returns
    -------
    float
        NaN if the series is not longer than ``lag`` or does not vary.

    Raises
    ------
    DataError
        If ``lag`` is negative or a value is not finite.
    """
    _check_series(x)
    if lag < 0:
        raise DataError(f"lag: expected 0 or more steps, received {lag}")
    n = len(x)
    if n <= lag or n < 2 or x.min() == x.max():
        return float("nan")
    centred = x - x.mean()
    variance = float(centred @ centred)
    for step in range(1, lag + 1):
        variance += 2.0 * (1.0 - step / (lag + 1)) * float(centred[step:] @ centred[:-step])
    # The Bartlett sum is never negative in exact arithmetic; 0 happens for periodic series.
    return float(x.mean() * n / np.sqrt(variance)) if variance > 0 else float("nan")


def block_bootstrap_interval(
    returns: FloatArray,
    block: int,
    seed: int,
    n: int = 1000,
    *,
    level: float = 0.95,
    statistic: Literal["compound", "mean"] = "compound",
) -> tuple[float, float]:
    """Return a bootstrap interval for the total or the mean of a correlated series.

    Blocks of ``block`` consecutive values, with starts drawn uniformly from a circle, are joined to
    the length of the series (circular block bootstrap: Politis and Romano, 1992, after the moving blocks
    of Kuensch, 1989); the interval holds the middle ``level`` of the statistic over ``n`` such series.

    Parameters
    ----------
    returns : float64 array, shape (m,)
        Simple returns per bar for ``"compound"``, any numbers for ``"mean"``.
    block : int
        Steps per block; at least the label horizon H, over which outcomes overlap.
    seed : int
        Root seed; equal seeds give equal intervals.
    n : int
        Number of resampled series.
    level : float
        Share of resampled series inside the interval, between 0 and 1.
    statistic : {"compound", "mean"}
        ``prod(1 + r) - 1`` or the arithmetic mean.

    Returns
    -------
    tuple of float
        Lower and upper end; both NaN if the series is shorter than two blocks, or if it compounds a
        return of -1 or less (the account was wiped out).

    Raises
    ------
    DataError
        If ``block`` or ``n`` is below 1, ``level`` not between 0 and 1 or a value is not finite.
    """
    _check_series(returns)
    if block < 1 or n < 1 or not 0 < level < 1:
        raise DataError(
            "block bootstrap: expected block >= 1, n >= 1 and 0 < level < 1, "
            f"received block={block}, n={n}, level={level}"
        )
    compound = statistic == "compound"
    if len(returns) < 2 * block or (compound and returns.min() <= -1):
        return float("nan"), float("nan")
    totals = _resampled_sums(np.log1p(returns) if compound else returns, block, n, seed)
    values = np.expm1(totals) if compound else totals / len(returns)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled_sums(x: FloatArray, block: int, n: int, seed: int) -> FloatArray:
    """Return the sums (n,) of ``n`` series of the length of ``x`` joined from circular blocks."""
    m = len(x)
    whole, rest = divmod(m, block)
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([x, x[:block]]))])
    rng = stream(seed, "block_bootstrap")
    totals = np.empty(n)
    rows = max(1, _DRAWS_PER_CHUNK // (whole + 1))
    for first in range(0, n, rows):
        starts = rng.integers(0, m, size=(min(rows, n - first), whole + 1))
        full, last = starts[:, :whole], starts[:, whole]
        joined = (sums[full + block] - sums[full]).sum(axis=1) + sums[last + rest] - sums[last]
        totals[first : first + rows] = joined
    return totals


def _check_series(x: FloatArray) -> None:
    """Refuse values that no mean can be taken of."""
    wrong = np.flatnonzero(~np.isfinite(x))
    if len(wrong):
        raise DataError(f"returns: expected finite values, received {x[wrong[0]]} at position {wrong[0]}")
