"""`BacktestResult`: what a backtest returns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simengine.errors import ConfigError, DataError
from simengine.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

    from simengine.backtest.kernel.sums import Sums
    from simengine.backtest.simulation import Simulation
    from simengine.backtest.versus import Benchmark
    from simengine.backtest.what_if import Sensitivity

EXIT_REASONS: tuple[str, ...] = (
    *("signal", "stop_loss", "take_profit", "trailing_stop", "time_stop"),
    *("liquidation", "bankrupt", "open"),
)
"""The exit reason of each code in ``trades["exit_reason"]``."""


@dataclass(frozen=True, eq=False, repr=False)
class BacktestResult:
    """A simulated account: equity, trades, costs and statistics.

    Its repr is a labelled table; ``print`` adds the sensitivity to the fill convention, which takes two
    further simulations.

    Parameters
    ----------
    timestamp : int64 array, shape (n,)
        Bar open times, ns UTC; of several symbols the union of their times.
    equity : float64 array, shape (n,)
        At the close of each bar, quote currency. The first one is the starting cash.
    value : float64 array, shape (n,)
        Signed value of the positions at the close; ``equity - value`` is cash.
    trades : structured array
        Closed trades ordered by exit time; fields as in `simengine.backtest.kernel.layout.TRADE_DTYPE`.
    open_trades : structured array
        Trades still open after the last bar, marked at the last close without exit costs; same fields.
    symbols : tuple of str
        ``trades["symbol"]`` indexes it.
    sums, ledger, wins, traded
        What the kernel has added up: `stats`, `costs` and `counts` are made of it.
    fill_convention : str
        How orders and stops share a bar.
    bars_per_year : float
        Used for annualisation.
    bankrupt : tuple of str
        Symbols whose sleeve lost everything; it trades no more from there on.
    written : structured array
        Fills that were asked for; `orders` has all of them.
    gross : float64 array or None
        Sum of |value| over symbols when there are several.
    sleeves : tuple of BacktestResult
        One per symbol when each has its own account.
    simulation : Simulation or None
        That gave this result, to run it again.
    """

    timestamp: IntArray
    equity: FloatArray
    value: FloatArray
    trades: NDArray[np.void]
    open_trades: NDArray[np.void]
    symbols: tuple[str, ...]
    sums: Sums
    ledger: FloatArray
    wins: float
    traded: float
    fill_convention: str
    bars_per_year: float
    written: NDArray[np.void]
    bankrupt: tuple[str, ...] = ()
    gross: FloatArray | None = None
    sleeves: tuple[BacktestResult, ...] = ()
    simulation: Simulation | None = None

    @cached_property
    def gross_value(self) -> FloatArray:
        """Sum of |value| over symbols at the closes, shape (n,), quote currency."""
        return np.abs(self.value) if self.gross is None else self.gross

    @cached_property
    def costs(self) -> dict[str, float]:
        """What trading and holding cost, in quote currency.

        ``fees``, ``slippage`` (against the quotes, which are inside the bars), ``funding``, ``borrow``,
        ``net`` (change of equity), ``gross`` (what the same fills would have made at their quotes
        without any of these) and ``traded`` (notional).
        """
        from simengine.backtest.kernel import layout

        net = float(self.equity[-1] - self.equity[0])
        paid = {
            "fees": float(self.ledger[layout.FEES]),
            "slippage": float(self.ledger[layout.SLIPPAGE]),
            "funding": float(self.ledger[layout.FUNDING]),
            "borrow": float(self.ledger[layout.BORROW]),
        }
        return {"net": net, **paid, "gross": net + sum(paid.values()), "traded": float(self.traded)}

    @cached_property
    def counts(self) -> dict[str, int]:
        """Orders that did not happen as asked.

        ``not_sent`` (too small after rounding, or nothing to buy with), ``margin_limited`` (cut to the
        buying power), ``expired`` (limits), ``cancelled`` (what the volume did not let through).
        """
        from simengine.backtest.kernel import layout

        return {
            "not_sent": int(self.ledger[layout.NOT_SENT]),
            "margin_limited": int(self.ledger[layout.MARGIN_LIMITED]),
            "expired": int(self.ledger[layout.EXPIRED]),
            "cancelled": int(self.ledger[layout.CANCELLED]),
        }

    @cached_property
    def orders(self) -> NDArray[np.void]:
        """One row per fill; fields as in `simengine.backtest.kernel.layout.ORDER_DTYPE`.

        Written by a second run when first read, as most results are never asked for them.
        """
        from simengine.backtest.kernel import layout

        simulation = self.rerunnable
        rows = 2 * (len(self.trades) + len(self.open_trades)) + 16
        while True:
            again = simulation.run(order_rows=rows)
            asked = int(max(s.ledger[layout.FILLS] for s in (again.sleeves or (again,))))
            if asked <= rows:
                return again.written[np.argsort(again.written["time"], kind="stable")]
            rows = asked

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
        """The result of each symbol's own sleeve.

        Raises
        ------
        ConfigError
            When several symbols share one account.
        """
        if len(self.symbols) > 1 and not self.sleeves:
            raise ConfigError(
                "by_symbol: the symbols share one account; select the rows of trades and orders by symbol"
            )
        return dict(zip(self.symbols, self.sleeves or (self,), strict=True))

    @cached_property
    def stats(self) -> dict[str, float]:
        """Statistics as plain floats; NaN where undefined.

        Names and definitions: `simengine.backtest.stats`.
        """
        from simengine.backtest import stats

        of_returns = stats.return_statistics(self.equity, self.bars_per_year, self.sums)
        return {
            **of_returns,
            **stats.trade_statistics(len(self.trades), self.wins, self.ledger),
            **stats.activity_statistics(self.sums, len(self.equity), self.costs, of_returns["years"]),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return equity, returns, exposure and drawdown, indexed by UTC bar open time."""
        from simengine.backtest import tables

        return tables.equity_frame(self)

    def trades_frame(self, *, include_open: bool = False) -> pd.DataFrame:
        """Return one row per trade, with names for symbol, side and exit reason and UTC times.

        Parameters
        ----------
        include_open : bool
            Append the trades that are still open, with the exit reason ``open``.
        """
        from simengine.backtest import tables

        return tables.trades_frame(self, include_open)

    def rolling(self, window: int) -> pd.DataFrame:
        """Return the statistics of the last ``window`` returns at every bar, indexed by UTC bar open time.

        Columns ``return, volatility, sharpe, sortino, drawdown, max_drawdown``, NaN in the first ``window``
        rows; formulas and errors as in `simengine.backtest.rolling.rolling_statistics`, which gives arrays.
        """
        from simengine.backtest import tables

        return tables.rolling_frame(self, window)

    def monthly(self) -> pd.DataFrame:
        """Return the compound returns of calendar months (UTC) and years, one row per year.

        Columns ``Jan`` to ``Dec`` and ``Year``; NaN without a bar, as in
        `simengine.backtest.monthly.monthly_returns`.
        """
        from simengine.backtest.monthly import monthly_frame

        return monthly_frame(self.timestamp, self.equity)

    def drawdowns(self, top: int | None = 5) -> pd.DataFrame:
        """Return the deepest drawdowns, deepest first; all of them for None.

        Columns ``peak_time, trough_time, recovery_time`` (UTC, NaT when not recovered), ``depth``
        (positive), ``bars`` and ``bars_to_trough``, as in
        `simengine.backtest.drawdowns.drawdown_periods`.
        """
        from simengine.backtest import tables

        return tables.drawdown_frame(self, top)

    def versus(self, benchmark: Benchmark | None = None) -> dict[str, float]:
        """Compare the one-bar returns with those of a benchmark.

        Parameters
        ----------
        benchmark : Bars, BacktestResult, or (timestamps, prices), optional
            Each bar takes the last price known at its close; a price stamped t counts as known at the
            close of the bar that opens at t. Closes of longer bars are moved to the last bar inside them.
            None: the same symbols, bought for equal shares of the cash and held, without any cost.

        Returns
        -------
        dict of str to float
            ``alpha, beta, correlation, r_squared, active_return, tracking_error, information_ratio,
            up_capture, down_capture``; formulas as in `simengine.backtest.benchmark.compare_to_benchmark`.

        Raises
        ------
        DataError
            Something else than these, prices that are not above 0, or that do not cover the bars.
        """
        from simengine.backtest.versus import versus

        return versus(self, benchmark)

    def sensitivity(self) -> Sensitivity:
        """Simulate the same decisions under all three fill conventions.

        The object prints as a table with the convention of this result marked, and has ``table``
        (statistics by convention) and ``to_frame()``.
        """
        from simengine.backtest.what_if import sensitivity

        return sensitivity(self)

    def attribution(self) -> dict[str, float]:
        """Return what each cost and the stops took from the final equity, in quote currency.

        The same decisions are simulated again with one thing switched off at a time: ``fees`` (those of a
        liquidation too), ``slippage`` (a participation cap stays), ``financing`` (funding and borrow),
        ``stops`` (stop-loss, take-profit, trailing and time stop). Each figure is the final equity
        without it less that with it; below 0 when it helped. Sizes and later trades change as well, so
        that the figures need not add up; `costs` has the sums that were paid.
        """
        from simengine.backtest.what_if import attribution

        return attribution(self)

    @property
    def rerunnable(self) -> Simulation:
        """The simulation that gave this result.

        Raises
        ------
        DataError
            When the result was put together without one.
        """
        if self.simulation is None:
            raise DataError("this result was not simulated here and cannot be simulated again")
        return self.simulation

    def __repr__(self) -> str:
        from simengine.backtest import tables

        return tables.summary(self)

    def __str__(self) -> str:
        if self.simulation is None:
            return repr(self)
        return f"{self!r}\n\n{self.sensitivity()!r}"
