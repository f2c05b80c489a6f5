"""Statistics of a backtest, as plain floats under the field's standard names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.inputs import frozen
from simengine.types import FloatArray

if TYPE_CHECKING:
    from simengine.backtest.kernel.sums import Sums

VARIANCE_FLOOR = 1e-14
"""A variance below this share of the mean square is rounding."""

NS_PER_YEAR = 365.25 * 86_400 * 1e9
"""A calendar year of 365.25 days, in nanoseconds."""


_TRADE_NAMES = (
    *("win_rate", "profit_factor", "expectancy", "average_trade_return", "best_trade", "worst_trade"),
    *("average_bars_held", "long_share", "short_share", "average_mae", "average_mfe"),
)


def calendar_bars_per_year(timestamp: NDArray[np.int64]) -> float:
    """Return (n - 1) / calendar years spanned; NaN for fewer than two bars.

    Bar spacing would count nights, weekends and gaps as traded time.
    """
    if len(timestamp) < 2:
        return math.nan
    return float((len(timestamp) - 1) / (int(timestamp[-1] - timestamp[0]) / NS_PER_YEAR))


def _ratio(numerator: float, denominator: float) -> float:
    if denominator == 0 or math.isnan(denominator):
        return math.nan if numerator == 0 or math.isnan(numerator) else math.copysign(math.inf, numerator)
    return numerator / denominator


def growth_rate(growth: float, years: float) -> float:
    """Return the compound annual growth rate of a total growth factor; -1 when nothing is left."""
    if not years > 0:
        return math.nan
    if growth <= 0:
        return -1.0
    exponent = math.log(growth) / years
    return math.expm1(exponent) if exponent < 700 else math.inf


def probabilistic_sharpe(
    sharpe: float, n: int, skewness: float, kurtosis: float, benchmark: float = 0.0
) -> float:
    """Return the probability that the true Sharpe ratio is above a benchmark.

    Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2)), Bailey and Lopez de Prado, "The
    Sharpe ratio efficient frontier" (2012).

    Parameters
    ----------
    sharpe : float
        Per bar, not annualised.
    n : int
        Number of returns.
    skewness, kurtosis : float
        g3 and g4 of the returns; a normal law has 0 and 3.
    benchmark : float
        SR*, per bar.
    """
    variance = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if n < 2 or not variance > 0:
        return math.nan
    return 0.5 * (1 + math.erf((sharpe - benchmark) * math.sqrt((n - 1) / variance) / math.sqrt(2)))


def return_statistics(equity: FloatArray, bars_per_year: float, sums: Sums | None = None) -> dict[str, float]:
    """Return the statistics of the equity curve alone.

    Parameters
    ----------
    equity : float64 array, shape (n,)
        At the closes, quote currency; the first one is the starting cash.
    bars_per_year : float
        For annualisation.
    sums : Sums, optional
        Of this curve, when they are known already.

    Returns
    -------
    dict of str to float
        ``net_return, cagr, sharpe, probabilistic_sharpe, sortino, calmar, max_drawdown (positive),
        max_drawdown_bars, volatility, skewness, kurtosis, final_equity, bars, years, bars_per_year``.
        Ratios whose denominator is zero are NaN (0 / 0) or infinite.
    """
    from simengine.backtest.kernel.sums import sums_of

    if sums is None:
        curve = frozen(equity, np.float64)
        sums = sums_of(curve, curve)
    n = len(equity) - 1
    years = n / bars_per_year
    moment = central_moments(sums, n)
    per_bar = _ratio(moment.mean, moment.std)
    skewness = _ratio(moment.m3, moment.m2**1.5)
    kurtosis = _ratio(moment.m4, moment.m2**2)
    annual = math.sqrt(bars_per_year)
    cagr = growth_rate(float(equity[-1] / equity[0]), years)
    drawdown = 1 - sums.trough / sums.summit
    return {
        "net_return": float(equity[-1] / equity[0] - 1),
        "cagr": cagr,
        "sharpe": per_bar * annual,
        "probabilistic_sharpe": probabilistic_sharpe(per_bar, n, skewness, kurtosis),
        "sortino": _ratio(moment.mean, math.sqrt(sums.downside / n)) * annual,
        "calmar": _ratio(cagr, drawdown),
        "max_drawdown": drawdown,
        "max_drawdown_bars": float(max(sums.longest, n - sums.peak_bar)),
        "volatility": moment.std * annual,
        "skewness": skewness,
        "kurtosis": kurtosis,
        "final_equity": float(equity[-1]),
        "bars": float(len(equity)),
        "years": years,
        "bars_per_year": bars_per_year,
    }


class Moments(NamedTuple):
    """Mean, central moments (divided by n) and standard deviation (by n - 1) of n returns."""

    mean: float
    m2: float
    m3: float
    m4: float
    std: float


def central_moments(sums: Sums, n: int) -> Moments:
    """Return the moments of n returns from the sums of their powers.

    A variance below the rounding error of this subtraction is 0: returns that are all alike.
    """
    mean, square = sums.r1 / n, sums.r2 / n
    m2 = square - mean * mean
    if m2 <= VARIANCE_FLOOR * square:
        return Moments(mean, 0.0, 0.0, 0.0, 0.0 if n > 1 else math.nan)
    m3 = sums.r3 / n - 3 * mean * square + 2 * mean**3
    m4 = sums.r4 / n - 4 * mean * sums.r3 / n + 6 * mean * mean * square - 3 * mean**4
    return Moments(mean, m2, m3, m4, math.sqrt(m2 * n / (n - 1)) if n > 1 else math.nan)


def trade_statistics(closed: int, wins: float, ledger: FloatArray) -> dict[str, float]:
    """Return the statistics of the closed trades; NaN where there is no trade.

    Parameters
    ----------
    closed, wins : int, float
        Closed trades, and those with a net PnL above 0.
    ledger : float64 array
        Sums over them, as in `simengine.backtest.kernel.layout`.

    Returns
    -------
    dict of str to float
        ``trades``; ``win_rate`` (share with a net PnL above 0); ``profit_factor`` (sum of gains / sum
        of losses, infinite without a loss); ``expectancy`` (mean net PnL, quote currency);
        ``average_trade_return, best_trade, worst_trade`` (returns on entry notional);
        ``average_bars_held``; ``long_share`` and ``short_share`` (of the trades);
        ``average_mae, average_mfe``.
    """
    from simengine.backtest.kernel import layout

    if closed == 0:
        return {"trades": 0.0, **dict.fromkeys(_TRADE_NAMES, math.nan)}
    gains, losses = float(ledger[layout.GAINS]), float(ledger[layout.LOSSES])
    longs = float(ledger[layout.LONGS])
    return {
        "trades": float(closed),
        "win_rate": wins / closed,
        "profit_factor": _ratio(gains, losses),
        "expectancy": (gains - losses) / closed,
        "average_trade_return": float(ledger[layout.RETURNS]) / closed,
        "best_trade": float(ledger[layout.BEST_RETURN]),
        "worst_trade": float(ledger[layout.WORST_RETURN]),
        "average_bars_held": float(ledger[layout.BARS_HELD]) / closed,
        "long_share": longs / closed,
        "short_share": 1 - longs / closed,
        "average_mae": float(ledger[layout.MAE]) / closed,
        "average_mfe": float(ledger[layout.MFE]) / closed,
    }


def activity_statistics(sums: Sums, n: int, costs: Mapping[str, float], years: float) -> dict[str, float]:
    """Return how much was held and traded, and what it cost.

    Parameters
    ----------
    sums : Sums
        Of the equity curve.
    n : int
        Number of closes.
    costs : mapping
        ``traded, fees, slippage, funding, borrow`` in quote currency.
    years : float
        Length of the run.

    Returns
    -------
    dict of str to float
        ``exposure`` (mean of gross value / equity), ``time_in_market`` (share of closes with a
        position), ``turnover`` (traded notional / mean equity / years), ``fees, slippage_cost,
        funding, borrow`` (quote currency).
    """
    return {
        "exposure": sums.exposure / n,
        "time_in_market": sums.invested / n,
        "turnover": _ratio(costs["traded"] / (sums.equity / n), years),
        "fees": costs["fees"],
        "slippage_cost": costs["slippage"],
        "funding": costs["funding"],
        "borrow": costs["borrow"],
    }
