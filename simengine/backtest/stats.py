"""Statistics of a backtest, as plain floats under the field's standard names."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from simengine.types import FloatArray

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


def probabilistic_sharpe(sharpe: float, n: int, skewness: float, kurtosis: float) -> float:
    """Return the probability that the true Sharpe ratio is above 0.

    Phi(SR sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2)), Bailey and Lopez de Prado, "The Sharpe
    ratio efficient frontier" (2012).

    Parameters
    ----------
    sharpe : float
        Per bar, not annualised.
    n : int
        Number of returns.
    skewness, kurtosis : float
        g3 and g4 of the returns; a normal law has 0 and 3.
    """
    variance = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if n < 2 or not variance > 0:
        return math.nan
    return 0.5 * (1 + math.erf(sharpe * math.sqrt((n - 1) / variance) / math.sqrt(2)))


def return_statistics(equity: FloatArray, bars_per_year: float) -> dict[str, float]:
    """Return the statistics of the equity curve alone.

    Parameters
    ----------
    equity : float64 array, shape (n,)
        At the closes, quote currency; the first one is the starting cash.
    bars_per_year : float
        For annualisation.

    Returns
    -------
    dict of str to float
        ``net_return, cagr, sharpe, probabilistic_sharpe, sortino, calmar, max_drawdown (positive),
        max_drawdown_bars, volatility, skewness, kurtosis, final_equity, bars, years, bars_per_year``.
        Ratios whose denominator is zero are NaN (0 / 0) or infinite.
    """
    from simengine.backtest.scan import moments

    n = len(equity) - 1
    m = moments(equity)
    years = n / bars_per_year
    std = math.sqrt(m.m2 * n / (n - 1)) if n > 1 else math.nan
    per_bar = _ratio(m.mean, std)
    skewness = _ratio(m.m3, m.m2**1.5)
    kurtosis = _ratio(m.m4, m.m2**2)
    annual = math.sqrt(bars_per_year)
    cagr = growth_rate(float(equity[-1] / equity[0]), years)
    return {
        "net_return": float(equity[-1] / equity[0] - 1),
        "cagr": cagr,
        "sharpe": per_bar * annual,
        "probabilistic_sharpe": probabilistic_sharpe(per_bar, n, skewness, kurtosis),
        "sortino": _ratio(m.mean, math.sqrt(m.downside)) * annual,
        "calmar": _ratio(cagr, m.drawdown),
        "max_drawdown": m.drawdown,
        "max_drawdown_bars": float(m.drawdown_bars),
        "volatility": std * annual,
        "skewness": skewness,
        "kurtosis": kurtosis,
        "final_equity": float(equity[-1]),
        "bars": float(len(equity)),
        "years": years,
        "bars_per_year": bars_per_year,
    }


def trade_statistics(trades: NDArray[np.void]) -> dict[str, float]:
    """Return the statistics of the closed trades; NaN where there is no trade.

    Returns
    -------
    dict of str to float
        ``trades``; ``win_rate`` (share with a net PnL above 0); ``profit_factor`` (sum of gains / sum
        of losses, infinite without a loss); ``expectancy`` (mean net PnL, quote currency);
        ``average_trade_return, best_trade, worst_trade`` (returns on entry notional);
        ``average_bars_held``; ``long_share`` and ``short_share`` (of the trades);
        ``average_mae, average_mfe``.
    """
    from simengine.backtest.scan import sum_trades

    n = len(trades)
    if n == 0:
        return {"trades": 0.0, **dict.fromkeys(_TRADE_NAMES, math.nan)}
    total = sum_trades(trades)
    return {
        "trades": float(n),
        "win_rate": total.wins / n,
        "profit_factor": _ratio(total.gains, total.losses),
        "expectancy": (total.gains - total.losses) / n,
        "average_trade_return": total.returns / n,
        "best_trade": total.best,
        "worst_trade": total.worst,
        "average_bars_held": total.bars_held / n,
        "long_share": total.longs / n,
        "short_share": 1 - total.longs / n,
        "average_mae": total.mae / n,
        "average_mfe": total.mfe / n,
    }


def activity_statistics(
    equity: FloatArray, gross_value: FloatArray, costs: Mapping[str, float], years: float
) -> dict[str, float]:
    """Return how much was held and traded, and what it cost.

    Parameters
    ----------
    equity, gross_value : float64 arrays, shape (n,)
        Equity, and the sum of |position value| over symbols, at the closes.
    costs : mapping
        ``traded, fees, slippage, funding`` in quote currency.
    years : float
        Length of the run.

    Returns
    -------
    dict of str to float
        ``exposure`` (mean of gross value / equity), ``time_in_market`` (share of closes with a
        position), ``turnover`` (traded notional / mean equity / years), ``fees, slippage_cost,
        funding`` (quote currency).
    """
    solvent = equity > 0
    if solvent.all():
        exposure = float((gross_value / equity).mean())
    else:
        exposure = float(np.divide(gross_value, equity, out=np.zeros_like(equity), where=solvent).mean())
    return {
        "exposure": exposure,
        "time_in_market": float(np.count_nonzero(gross_value) / len(equity)),
        "turnover": _ratio(costs["traded"] / float(equity.mean()), years),
        "fees": costs["fees"],
        "slippage_cost": costs["slippage"],
        "funding": costs["funding"],
    }
