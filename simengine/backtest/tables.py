"""The tables of a result: frames for analysis, and the one that is printed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from simengine.backtest.drawdowns import drawdown_periods
from simengine.backtest.result import EXIT_REASONS
from simengine.backtest.rolling import rolling_statistics

if TYPE_CHECKING:
    import pandas as pd

    from simengine.backtest.result import BacktestResult
    from simengine.types import IntArray

_PERCENT = frozenset(
    {
        *("net_return", "cagr", "max_drawdown", "volatility", "probabilistic_sharpe", "win_rate"),
        *("average_trade_return", "best_trade", "worst_trade", "long_share", "short_share"),
        *("average_mae", "average_mfe", "exposure", "time_in_market"),
    }
)
_WHOLE = frozenset({"trades", "bars", "max_drawdown_bars"})

_PLAIN_COLUMNS = (
    *("units", "entry_price", "exit_price", "fees", "slippage", "financing"),
    *("pnl", "return", "mae", "mfe"),
)


def readable(name: str, value: float) -> str:
    """Write a statistic as its name asks for; a dash where it is undefined."""
    if math.isnan(value):
        return "-"
    if name in _WHOLE:
        return f"{value:,.0f}"
    return f"{value:.2%}" if name in _PERCENT else f"{value:,.2f}"


def labelled(rows: Mapping[str, str]) -> list[str]:
    """Write one line per label, the texts below each other."""
    width = max(map(len, rows))
    return [f"  {name:<{width}}  {text}" for name, text in rows.items()]


def summary(result: BacktestResult) -> str:
    """Write a result as a labelled table."""
    start, end = result.timestamp[[0, -1]].astype("M8[ns]").astype("M8[s]").tolist()
    rows = {
        "symbols": ", ".join(result.symbols),
        "start": f"{start:%Y-%m-%d %H:%M} UTC",
        "end": f"{end:%Y-%m-%d %H:%M} UTC",
        "fill_convention": result.fill_convention,
    }
    if result.simulation is not None and len(result.symbols) > 1:
        rows["capital"] = result.simulation.terms.capital
    rows |= {name: readable(name, value) for name, value in result.stats.items()}
    rows["open_trades"] = str(len(result.open_trades))
    rows |= {name: f"{number:,}" for name, number in result.counts.items() if number}
    if result.bankrupt:
        rows["bankrupt"] = ", ".join(result.bankrupt)
    return "\n".join(["BacktestResult", *labelled(rows)])


def equity_frame(result: BacktestResult) -> pd.DataFrame:
    """Return equity, returns, exposure and drawdown, indexed by UTC bar open time."""
    import pandas as pd

    columns = {
        "equity": result.equity,
        "returns": result.returns,
        "exposure": result.exposure,
        "drawdown": 1 - result.equity / np.maximum.accumulate(result.equity),
    }
    return pd.DataFrame(columns, index=_times(result.timestamp))


def trades_frame(result: BacktestResult, include_open: bool) -> pd.DataFrame:
    """Return one row per trade, with names for symbol, side and exit reason and UTC times."""
    import pandas as pd

    trades = np.concatenate([result.trades, result.open_trades]) if include_open else result.trades
    named = {
        "symbol": np.array(result.symbols, dtype=object)[trades["symbol"]],
        "side": np.where(trades["side"] > 0, "long", "short"),
        "entry_time": pd.DatetimeIndex(trades["entry_time"].astype("M8[ns]"), tz="UTC"),
        "exit_time": pd.DatetimeIndex(trades["exit_time"].astype("M8[ns]"), tz="UTC"),
    }
    reason = np.array(EXIT_REASONS, dtype=object)[trades["exit_reason"]]
    return pd.DataFrame(
        {
            **named,
            **{name: trades[name] for name in _PLAIN_COLUMNS},
            "bars_held": trades["exit_bar"] - trades["entry_bar"],
            "exit_reason": reason,
        }
    )


def rolling_frame(result: BacktestResult, window: int) -> pd.DataFrame:
    """Return the rolling statistics, indexed by UTC bar open time."""
    import pandas as pd

    columns = rolling_statistics(result.equity, window, result.bars_per_year)
    return pd.DataFrame(columns, index=_times(result.timestamp))


def drawdown_frame(result: BacktestResult, top: int | None) -> pd.DataFrame:
    """Return the deepest drawdowns with UTC times."""
    import pandas as pd

    periods = drawdown_periods(result.timestamp, result.equity, top)
    frame = pd.DataFrame({name: periods[name] for name in periods.dtype.names or ()})
    for name in ("peak_time", "trough_time", "recovery_time"):
        frame[name] = frame[name].dt.tz_localize("UTC")
    return frame


def _times(timestamp: IntArray) -> pd.DatetimeIndex:
    import pandas as pd

    return pd.DatetimeIndex(timestamp.view("M8[ns]"), tz="UTC", name="timestamp")
