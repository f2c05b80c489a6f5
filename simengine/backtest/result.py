"""`BacktestResult`: what a backtest returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simengine.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

EXIT_REASONS: tuple[str, ...] = ("signal", "stop_loss", "take_profit", "bankrupt", "open")
"""The exit reason of each code in ``trades["exit_reason"]``."""

_PERCENT = frozenset(
    {
        *("net_return", "cagr", "max_drawdown", "volatility", "probabilistic_sharpe", "win_rate"),
        *("average_trade_return", "best_trade", "worst_trade", "long_share", "short_share"),
        *("average_mae", "average_mfe", "exposure", "time_in_market"),
    }
)
_WHOLE = frozenset({"trades", "bars", "max_drawdown_bars"})

_PLAIN_COLUMNS = (
    *("units", "entry_price", "exit_price", "fees", "slippage"),
    *("pnl", "return", "mae", "mfe", "bars_held"),
)


@dataclass(frozen=True, eq=False, repr=False)
class BacktestResult:
    """A simulated account: equity, trades, costs and statistics.

    Parameters
    ----------
    timestamp : int64 array, shape (n,)
        Bar open times, ns UTC; of several symbols the union of their times.
    equity : float64 array, shape (n,)
        At the close of each bar, quote currency. The first one is the starting cash.
    value : float64 array, shape (n,)
        Signed value of the positions at the close; ``equity - value`` is cash.
    gross_value : float64 array, shape (n,)
        Sum of |value| over symbols.
    trades : structured array
        Closed trades ordered by exit time; fields as in `simengine.backtest.kernel.TRADE_DTYPE`.
    open_trades : structured array
        Trades still open after the last bar, marked at the last close without exit costs; same fields.
    symbols : tuple of str
        ``trades["symbol"]`` indexes it.
    costs : mapping of str to float
        Quote currency: ``fees``, ``slippage`` (against the quotes, which are inside the bars),
        ``funding`` (0), ``net`` (change of equity), ``gross`` (what the same fills would have made at
        their quotes without fees: net + fees + slippage + funding) and ``traded`` (notional).
    fill_convention : str
        How orders and stops share a bar.
    bars_per_year : float
        Used for annualisation.
    bankrupt : tuple of str
        Symbols whose sleeve lost everything; it trades no more from there on.
    sleeves : tuple of BacktestResult
        One per symbol when there are several.
    """

    timestamp: IntArray
    equity: FloatArray
    value: FloatArray
    gross_value: FloatArray
    trades: NDArray[np.void]
    open_trades: NDArray[np.void]
    symbols: tuple[str, ...]
    costs: Mapping[str, float]
    fill_convention: str
    bars_per_year: float
    bankrupt: tuple[str, ...] = ()
    sleeves: tuple[BacktestResult, ...] = ()

    @cached_property
    def returns(self) -> FloatArray:
        """One-bar returns, shape (n,): the first is 0, and so are those after equity of 0 or less."""
        before = self.equity[:-1]
        returns = np.zeros(len(self.equity))
        np.divide(np.diff(self.equity), before, out=returns[1:], where=before > 0)
        return returns

    @cached_property
    def exposure(self) -> FloatArray:
        """Signed position value as a fraction of equity at the close, shape (n,); 0 when bankrupt."""
        exposure = np.zeros(len(self.equity))
        return np.divide(self.value, self.equity, out=exposure, where=self.equity > 0)

    @cached_property
    def by_symbol(self) -> dict[str, BacktestResult]:
        """The result of each symbol's own sleeve."""
        return dict(zip(self.symbols, self.sleeves or (self,), strict=True))

    @cached_property
    def stats(self) -> dict[str, float]:
        """Statistics as plain floats; NaN where undefined.

        Names and definitions: `simengine.backtest.stats`.
        """
        from simengine.backtest import stats

        of_returns = stats.return_statistics(self.equity, self.bars_per_year)
        return {
            **of_returns,
            **stats.trade_statistics(self.trades),
            **stats.activity_statistics(self.equity, self.gross_value, self.costs, of_returns["years"]),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return equity, returns, exposure and drawdown, indexed by UTC bar open time."""
        import pandas as pd

        index = pd.DatetimeIndex(self.timestamp.view("M8[ns]"), tz="UTC", name="timestamp")
        drawdown = 1 - self.equity / np.maximum.accumulate(self.equity)
        columns = {
            "equity": self.equity,
            "returns": self.returns,
            "exposure": self.exposure,
            "drawdown": drawdown,
        }
        return pd.DataFrame(columns, index=index)

    def trades_frame(self, *, include_open: bool = False) -> pd.DataFrame:
        """Return one row per trade, with names for symbol, side and exit reason and UTC times.

        Parameters
        ----------
        include_open : bool
            Append the trades that are still open, with the exit reason ``open``.
        """
        import pandas as pd

        trades = np.concatenate([self.trades, self.open_trades]) if include_open else self.trades
        named = {
            "symbol": np.array(self.symbols, dtype=object)[trades["symbol"]],
            "side": np.where(trades["side"] > 0, "long", "short"),
            "entry_time": pd.DatetimeIndex(trades["entry_time"].astype("M8[ns]"), tz="UTC"),
            "exit_time": pd.DatetimeIndex(trades["exit_time"].astype("M8[ns]"), tz="UTC"),
        }
        reason = np.array(EXIT_REASONS, dtype=object)[trades["exit_reason"]]
        return pd.DataFrame(
            {**named, **{name: trades[name] for name in _PLAIN_COLUMNS}, "exit_reason": reason}
        )

    def __repr__(self) -> str:
        start, end = self.timestamp[[0, -1]].astype("M8[ns]").astype("M8[s]").tolist()
        head = {
            "symbols": ", ".join(self.symbols),
            "start": f"{start:%Y-%m-%d %H:%M} UTC",
            "end": f"{end:%Y-%m-%d %H:%M} UTC",
            "fill_convention": self.fill_convention,
        }
        rows = head | {name: _readable(name, value) for name, value in self.stats.items()}
        rows["open_trades"] = str(len(self.open_trades))
        if self.bankrupt:
            rows["bankrupt"] = ", ".join(self.bankrupt)
        width = max(map(len, rows))
        return "\n".join(["BacktestResult", *(f"  {name:<{width}}  {text}" for name, text in rows.items())])


def _readable(name: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    if name in _WHOLE:
        return f"{value:,.0f}"
    return f"{value:.2%}" if name in _PERCENT else f"{value:,.2f}"
