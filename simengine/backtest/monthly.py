"""The table of monthly returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from simengine.backtest.series import as_equity, as_times
from simengine.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd


def monthly_returns(timestamp: ArrayLike, equity: ArrayLike) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the compound return of every calendar month and year, UTC.

    A bar belongs to the month in which it OPENS, although its close may fall into the next one. The
    return of a month is E at its last close / E at the last close before it, less 1; the first month
    starts from the first close, which is the starting cash. Months and years chain: while equity is
    above 0 the product of (1 + return) over all months, or over all years, is the growth of the run.
    A month that starts from equity of 0 or less (bankrupt) returns 0.

    Parameters
    ----------
    timestamp : int64 array, shape (n,)
        Bar open times, ns UTC, strictly increasing.
    equity : float64 array, shape (n,)
        At the closes, quote currency; the first one is the starting cash, above 0.

    Returns
    -------
    years : int64 array, shape (Y,)
        From the first to the last year, without holes.
    table : float64 array, shape (Y, 12)
        Fractions, January first; NaN where the month has no bar.
    year_returns : float64 array, shape (Y,)
        Fractions; NaN where the year has no bar.

    Raises
    ------
    DataError
        When equity is not a finite series that starts above 0, or the times do not match it.
    """
    equity = as_equity(equity)
    times = as_times(timestamp, len(equity), "timestamp", "equity")
    first, last = times[[0, -1]].view("M8[ns]").astype("M8[Y]").astype(np.int64) + 1970
    years = np.arange(first, last + 1)
    months = _period_returns(times, equity, "M8[M]")
    table = np.full((len(years), 12), np.nan)
    january = int((times[:1].view("M8[ns]").astype("M8[M]").astype(np.int64)[0]) % 12)
    table.reshape(-1)[january : january + len(months)] = months
    return years, table, _period_returns(times, equity, "M8[Y]")


def monthly_frame(timestamp: ArrayLike, equity: ArrayLike) -> pd.DataFrame:
    """Return the table of `monthly_returns` with the years as index and columns Jan .. Dec, Year."""
    import pandas as pd

    years, table, year_returns = monthly_returns(timestamp, equity)
    frame = pd.DataFrame(table, index=pd.Index(years, name="year"), columns=list(MONTHS))
    frame["Year"] = year_returns
    return frame


MONTHS: tuple[str, ...] = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Column names of the monthly table."""


def _period_returns(times: IntArray, equity: FloatArray, period: str) -> FloatArray:
    """Return the return of every period from the first bar's to the last bar's, NaN without a bar."""
    first, last = times[[0, -1]].view("M8[ns]").astype(period)
    starts = np.arange(first + 1, last + 1).astype("M8[ns]").astype(np.int64)
    bounds = np.concatenate([[0], np.searchsorted(times, starts), [len(times)]])
    closes = equity[bounds[1:] - 1]
    bases = np.concatenate([equity[:1], closes[:-1]])
    returns = np.divide(closes, bases, out=np.ones_like(closes), where=bases > 0) - 1
    return np.where(np.diff(bounds) > 0, returns, np.nan)
