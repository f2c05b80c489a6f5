"""The table of drawdowns."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simengine.backtest.series import as_equity, as_times
from simengine.errors import ConfigError
from simengine.types import FloatArray, IntArray

DRAWDOWN_DTYPE = np.dtype(
    [
        ("peak_time", "M8[ns]"),
        ("trough_time", "M8[ns]"),
        ("recovery_time", "M8[ns]"),
        ("depth", np.float64),
        ("bars", np.int64),
        ("bars_to_trough", np.int64),
    ]
)


def drawdown_periods(timestamp: ArrayLike, equity: ArrayLike, top: int | None = 5) -> NDArray[np.void]:
    """Return the deepest drawdowns, deepest first, of equal ones the earlier first.

    A drawdown begins at the last close of a running peak and ends at the first close that reaches the
    peak again. Times are the open times of these bars, like all times of a result.

    Parameters
    ----------
    timestamp : int64 array, shape (n,)
        Bar open times, ns UTC, strictly increasing.
    equity : float64 array, shape (n,)
        At the closes, quote currency; the first one is the starting cash, above 0.
    top : int, optional
        How many at most; None gives all of them.

    Returns
    -------
    structured array, shape (k,), k <= top
        ``peak_time``, ``trough_time`` (the first of the lowest closes), ``recovery_time`` (NaT when the
        peak was not reached again): datetime64[ns], UTC; ``depth``: 1 - trough / peak, positive, above
        1 when equity falls below 0; ``bars``: from the peak to the recovery, or to the last bar;
        ``bars_to_trough``. The largest depth and the largest number of bars of all drawdowns are the
        statistics ``max_drawdown`` and ``max_drawdown_bars``.

    Raises
    ------
    ConfigError
        When ``top`` is not a whole number of at least 1.
    DataError
        When equity is not a finite series that starts above 0, or the times do not match it.
    """
    if top is not None and not (isinstance(top, Integral) and not isinstance(top, bool) and top >= 1):
        raise ConfigError(f"top must be a whole number of drawdowns from 1 on, or None, received {top!r}")
    equity = as_equity(equity)
    times = as_times(timestamp, len(equity), "timestamp", "equity")
    peaks, ends = _stretches_below_peak(equity)
    if not len(peaks):
        return np.empty(0, DRAWDOWN_DTYPE)
    troughs = np.minimum.reduceat(equity, peaks)
    depths = 1 - troughs / equity[peaks]
    chosen = np.argsort(-depths, kind="stable")[:top]
    return _table(times, equity, peaks[chosen], ends[chosen], depths[chosen])


def _stretches_below_peak(equity: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the row of each peak that is left and the row that reaches it again, n when none does."""
    at_peak = np.flatnonzero(equity >= np.maximum.accumulate(equity))
    following = np.append(at_peak[1:], len(equity))
    left = following - at_peak > 1
    return at_peak[left], following[left]


def _table(
    times: IntArray, equity: FloatArray, peaks: IntArray, ends: IntArray, depths: FloatArray
) -> NDArray[np.void]:
    n = len(equity)
    troughs = np.array([p + np.argmin(equity[p:e]) for p, e in zip(peaks, ends, strict=True)])
    table = np.empty(len(peaks), DRAWDOWN_DTYPE)
    stamps = times.view("M8[ns]")
    table["peak_time"] = stamps[peaks]
    table["trough_time"] = stamps[troughs]
    recovered = ends < n
    table["recovery_time"] = np.datetime64("NaT")
    table["recovery_time"][recovered] = stamps[ends[recovered]]
    table["depth"] = depths
    table["bars"] = np.minimum(ends, n - 1) - peaks
    table["bars_to_trough"] = troughs - peaks
    return table
