"""A simulation ready to run: bars, targets and terms; and its run, as often as it is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simengine.backtest import inputs, onbar
from simengine.backtest.financing import funding_rates
from simengine.backtest.portfolio import combine
from simengine.backtest.result import BacktestResult
from simengine.backtest.stats import calendar_bars_per_year
from simengine.backtest.terms import Terms
from simengine.errors import DataError
from simengine.types import Bars, FloatArray

if TYPE_CHECKING:
    from simengine.backtest.kernel.layout import Account, Market, Rules
    from simengine.backtest.kernel.single import Outcome
    from simengine.backtest.kernel.sums import Sums

Books: TypeAlias = tuple[NDArray[np.void], NDArray[np.void], FloatArray, FloatArray, FloatArray]
"""Trades, orders, ledger, equity and value, as the kernel fills them."""


@dataclass(frozen=True, eq=False)
class Simulation:
    """What `backtest` was asked for, in the words of the kernel.

    Parameters
    ----------
    bars, targets
        By symbol.
    terms : Terms
        Everything else.
    bars_per_year : float or None
        For annualisation; None counts the bars.
    """

    bars: dict[str, Bars]
    targets: dict[str, FloatArray]
    terms: Terms
    bars_per_year: float | None

    def under(self, terms: Terms) -> Simulation:
        """Return the same decisions under other terms."""
        return replace(self, terms=terms)

    def run(self, order_rows: int = 0) -> BacktestResult:
        """Simulate; ``order_rows`` is how many fills to write down.

        Raises
        ------
        DataError
            A row that cannot be traded: symbol, row, value and the fix.
        """
        if self.terms.capital == "shared":
            from simengine.backtest.account import run_shared

            whole = run_shared(self, order_rows)
        else:
            share = self.terms.cash / len(self.bars)
            sleeves = [self._sleeve(symbol, share, order_rows) for symbol in self.bars]
            if len(sleeves) == 1:
                whole = sleeves[0]
            else:
                whole = combine([self._alone(s.symbols[0], share).labelled(s) for s in sleeves])
        return self.labelled(whole)

    def labelled(self, result: BacktestResult) -> BacktestResult:
        """Return the result with what it takes to annualise it and to run it again."""
        years = self.bars_per_year
        if years is None:
            years = calendar_bars_per_year(result.timestamp)
        return replace(result, bars_per_year=years, simulation=self)

    def _alone(self, symbol: str, cash: float) -> Simulation:
        """Return the simulation of one symbol's sleeve."""
        terms = self.terms.free(cash=cash)
        return Simulation(
            {symbol: self.bars[symbol]}, {symbol: self.targets[symbol]}, terms, self.bars_per_year
        )

    def market(self, symbol: str) -> Market:
        """Return the arrays of one symbol."""
        bars = self.bars[symbol]
        financing = self.terms.financing
        try:
            rates = funding_rates(financing, bars.timestamp, symbol) if self.terms.is_financed else None
        except DataError as error:
            raise DataError(f"{symbol}: {error}") from None
        market = inputs.as_market(bars, rates)
        inputs.check_tick(bars, float(self.terms.rounding[symbol].tick_size))
        return market

    def _sleeve(self, symbol: str, cash: float, order_rows: int) -> BacktestResult:
        """Simulate one symbol with an account of its own."""
        from simengine.backtest.kernel import layout

        bars, targets = self.bars[symbol], self.targets[symbol]
        market, rules = self.market(symbol), self.terms.rules(symbol)
        n = len(bars)
        ledger = layout.new_ledger()
        # At most one trade is opened in a bar. Rows that are never written take no memory.
        trades = np.empty(n + layout.CLOSES_PER_BAR, layout.TRADE_DTYPE)
        orders = np.empty(order_rows, layout.ORDER_DTYPE)
        equity, value = np.empty(n), np.empty(n)
        books = (trades, orders, ledger, equity, value)
        outcome = self._drive(symbol, market, rules, cash, targets, books)
        if outcome.fault:
            raise inputs.fault_error(bars, targets, self.terms.most, outcome.bar, outcome.fault)
        if outcome.account.status == layout.UNFILLABLE:
            raise unfillable(symbol, outcome.bar, market, self.terms)
        return self.result(symbol, market, outcome.account, outcome.sums, books)

    def result(
        self, symbol: str, market: Market, account: Account, sums: Sums, books: Books
    ) -> BacktestResult:
        """Return what the books of one symbol's account say at the last of its bars."""
        from simengine.backtest.kernel import booking, layout

        trades, orders, ledger, equity, value = books
        closed, last = int(account.closed), len(equity) - 1
        open_trades = trades[closed : closed + 1] if account.position.units != 0 else trades[:0]
        if len(open_trades):
            booking.mark_open(last, market.timestamp[last], market.close[last], account, ledger, open_trades)
        return BacktestResult(
            timestamp=market.timestamp,
            equity=equity,
            value=value,
            trades=trades[:closed],
            open_trades=open_trades,
            symbols=(symbol,),
            sums=sums,
            ledger=ledger,
            wins=account.wins,
            traded=account.traded,
            fill_convention=self.terms.fill_convention,
            bars_per_year=math.nan,
            bankrupt=(symbol,) if account.status == layout.BANKRUPT else (),
            written=orders[: int(ledger[layout.FILLS])],
        )

    def _drive(
        self,
        symbol: str,
        market: Market,
        rules: Rules,
        cash: float,
        targets: FloatArray,
        books: Books,
    ) -> Outcome:
        """Call the driver that these terms need."""
        from simengine.backtest.kernel import single

        trades, orders, ledger, equity, value = books
        start = 0.0 if math.isnan(rules.band) else math.nan
        most = self.terms.most
        if self.terms.on_bar is not None:
            return onbar.run(self.terms.on_bar, symbol, targets, most, market, rules, cash, start, books)
        if self.terms.is_plain and not len(orders):
            return single.run_plain(targets, most, market, rules, cash, start, trades, ledger, equity, value)
        return single.run_whole(
            targets, most, market, rules, cash, start, trades, orders, ledger, equity, value
        )


def unfillable(symbol: str, row: int, market: Market, terms: Terms) -> DataError:
    """Return the error that names the bar in which an order leaves no price, and why."""
    if terms.slippage.impact == 0:
        return DataError(
            f"{symbol}: an order at row {row} has no price: slippage and tick_size round "
            f"{market.low[row]:g} down to 0; use a smaller tick"
        )
    return DataError(
        f"{symbol}: an order at row {row} is too large for the volume of its bar "
        f"({market.volume[row]:g}): the volume impact leaves no price; "
        "use less cash or impact, or a participation cap"
    )
