"""Statistics of an equity curve over a moving window of bars."""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike

from simengine.backtest.series import as_equity, check_bars_per_year
from simengine.errors import ConfigError
from simengine.types import FloatArray


def rolling_statistics(equity: ArrayLike, window: int, bars_per_year: float) -> dict[str, FloatArray]:
    """Return statistics of the last ``window`` one-bar returns at every bar.

    With E the equity, r_t = E_t / E_{t-1} - 1 (0 after equity of 0 or less), w the window and A the bars
    per year, at bar t over r_{t-w+1} .. r_t:

    - ``return``: E_t / E_{t-w} - 1, not annualised; 0 when E_{t-w} is 0 or less;
    - ``volatility``: s sqrt(A), s the standard deviation with divisor w - 1;
    - ``sharpe``: mean(r) / s sqrt(A), Sharpe, "The Sharpe ratio" (1994), zero risk-free rate;
    - ``sortino``: mean(r) / sqrt(mean(min(r, 0)^2)) sqrt(A), Sortino and Price, "Performance measurement
      in a downside risk framework" (1994), target 0;
    - ``drawdown``: 1 - E_t / max(E_0 .. E_t), the fall from the peak of the whole history, positive;
    - ``max_drawdown``: the largest fall from a peak among E_{t-w} .. E_t, peak and trough inside the
      window, positive. Equity below 0 counts as 0 here: everything lost is 1.

    Bar t uses nothing after bar t. Time is O(n) for any window.

    Parameters
    ----------
    equity : float64 array, shape (n,)
        At the closes, quote currency; the first one is the starting cash, above 0.
    window : int
        Returns per window, 2 to n - 1.
    bars_per_year : float
        For annualisation.

    Returns
    -------
    dict of str to float64 array, shape (n,)
        NaN in the first ``window`` rows, which have fewer returns behind them. Ratios whose denominator
        is 0 are NaN (0 / 0, a flat window) or infinite.

    Raises
    ------
    ConfigError
        When the window is not in 2 .. n - 1 or ``bars_per_year`` is not a finite number above 0.
    DataError
        When equity is not a finite one-dimensional series that starts above 0.
    """
    equity = as_equity(equity)
    _check_window(window, len(equity))
    check_bars_per_year(bars_per_year)
    from simengine.backtest.passes import ROLLING_NAMES, rolling_pass

    out = np.empty((len(ROLLING_NAMES), len(equity)))
    rolling_pass(equity, int(window), math.sqrt(bars_per_year), out)
    return dict(zip(ROLLING_NAMES, out, strict=True))


def _check_window(window: int, n: int) -> None:
    if n < 3:
        raise ConfigError(f"rolling statistics need at least 3 bars, received {n}")
    whole = isinstance(window, Integral) and not isinstance(window, bool)
    if not (whole and 2 <= window <= n - 1):
        raise ConfigError(
            f"window must be a whole number of bars from 2 to {n - 1} (one less than the bars), "
            f"received {window!r}"
        )
