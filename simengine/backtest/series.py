"""Checks on the series that an analysis is given: equity, prices, returns and their times."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from simengine.errors import ConfigError, DataError
from simengine.types import FloatArray, IntArray


def utc(nanoseconds: int) -> str:
    """Return a time in ns since the epoch in words, to the second."""
    return f"{np.datetime64(int(nanoseconds), 'ns').astype('M8[s]').item():%Y-%m-%d %H:%M:%S} UTC"


def as_series(values: ArrayLike, what: str) -> FloatArray:
    """Return finite numbers as a contiguous float64 array of shape (n,), n >= 1.

    Raises
    ------
    DataError
        When they are not numbers, not one-dimensional, empty, or not finite.
    """
    try:
        series = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{what} must be an array of numbers, received {type(values).__name__}") from None
    if np.ndim(values) != 1 or not len(series):
        raise DataError(
            f"{what} must be a one-dimensional array with rows, received shape {np.shape(values)}"
        )
    finite = np.isfinite(series)
    if not finite.all():
        row = int(np.argmin(finite))
        raise DataError(f"{what} must be finite, received {series[row]} in row {row}")
    return series


def as_equity(values: ArrayLike) -> FloatArray:
    """Return an equity curve, which starts above 0 and may fall to 0 or below it.

    Raises
    ------
    DataError
        As `as_series`, and when the first value is not above 0.
    """
    equity = as_series(values, "equity")
    if not equity[0] > 0:
        raise DataError(f"equity must start above 0, received {equity[0]} in row 0")
    return equity


def as_times(values: ArrayLike, length: int, what: str, of: str) -> IntArray:
    """Return the times of a series.

    Parameters
    ----------
    values : int64 array, shape (n,)
        Nanoseconds since the epoch, UTC, strictly increasing.
    length : int
        Rows of the series.
    what, of : str
        Names of the times and of the series, for the message.

    Raises
    ------
    DataError
        When they are not int64, do not increase strictly, or their number differs from ``length``.
    """
    times = np.ascontiguousarray(values)
    if times.dtype != np.int64:
        raise DataError(f"{what} must be int64 nanoseconds UTC, received {times.dtype}")
    if times.shape != (length,):
        raise DataError(f"{what} must have one row per row of {of} ({length}), received shape {times.shape}")
    late = times[1:] <= times[:-1]
    if late.any():
        row = int(np.argmax(late)) + 1
        raise DataError(
            f"{what} must increase strictly: row {row} ({utc(times[row])}) is not after "
            f"row {row - 1} ({utc(times[row - 1])})"
        )
    return times


def check_bars_per_year(bars_per_year: float) -> None:
    """Refuse what cannot annualise.

    Raises
    ------
    ConfigError
        When it is not a finite number above 0.
    """
    if not 0 < bars_per_year < math.inf:
        raise ConfigError(f"bars_per_year must be a finite number above 0, received {bars_per_year}")
