"""One shared account: the bars of all symbols side by side, a stretch of time after the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simengine.backtest import inputs
from simengine.backtest.financing import YEAR_NS
from simengine.backtest.result import BacktestResult
from simengine.errors import DataError
from simengine.types import FloatArray, IntArray

if TYPE_CHECKING:
    from simengine.backtest.kernel.layout import Market
    from simengine.backtest.kernel.panel import Books, Panel
    from simengine.backtest.simulation import Simulation

_PRICES = ("open", "high", "low", "close")
_Places: TypeAlias = Any
"""A slice or an array of row numbers."""

STRETCH = 1000
"""Times that are laid out at once: enough to be fast, few enough to stay in the processor's cache.

No power of two, or the same time of many symbols would fall on the same few lines of it.
"""


def run_shared(simulation: Simulation, order_rows: int) -> BacktestResult:
    """Simulate all symbols on one account.

    Raises
    ------
    DataError
        A row that cannot be traded: symbol, row, value and the fix.
    """
    from simengine.backtest.kernel import layout, panel, shared
    from simengine.backtest.kernel.sums import sums_of

    terms = simulation.terms
    symbols = tuple(simulation.bars)
    markets = [checked(simulation, symbol) for symbol in symbols]
    grid = Grid(simulation, markets)
    n = len(grid.times)
    books = panel.Books(
        table=panel.new_table(len(symbols), 0.0 if math.isnan(terms.band) else math.nan),
        ledgers=np.array([layout.new_ledger() for _ in symbols]),
        trades=np.empty(sum(len(m.close) for m in markets) + 2 * len(symbols), layout.TRADE_DTYPE),
        orders=np.empty(order_rows, layout.ORDER_DTYPE),
        rounding=np.array(
            [[r.tick_size, r.lot_size, r.min_notional] for r in (terms.rounding[s] for s in symbols)]
        ),
        queue=np.empty((2, len(symbols)), np.int64),
    )
    equity, value, gross = np.empty(n), np.empty(n), np.empty(n)
    drive = shared.run_plain if terms.is_plain and not order_rows else shared.run_whole
    rules = terms.rules(symbols[0])
    purse = panel.Purse(float(terms.cash), layout.TRADING, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
    for first in range(0, n, STRETCH):
        last = min(first + STRETCH, n)
        stretch = grid.panel(first, last)
        purse, end = drive(
            first == 0, stretch, rules, purse, books, equity[first:last], value[first:last], gross[first:last]
        )
        if purse.status == layout.UNFILLABLE:
            when = np.datetime64(int(grid.times[first + end]), "ns").astype("M8[s]")
            raise DataError(
                f"an order at {when}Z is too large for the volume of its bar: the volume impact leaves no "
                "price; use less cash or impact, or a participation cap"
            )
    trades = books.trades[: int(purse.closed)]
    return BacktestResult(
        timestamp=grid.times,
        equity=equity,
        value=value,
        trades=_timed(trades, markets),
        open_trades=_timed(_still_open(books, markets), markets),
        symbols=symbols,
        sums=sums_of(equity, gross),
        ledger=_one_ledger(books.ledgers),
        wins=purse.wins,
        traded=purse.traded,
        fill_convention=terms.fill_convention,
        bars_per_year=math.nan,
        bankrupt=symbols if purse.status == layout.BANKRUPT else (),
        written=books.orders[: int(purse.fills)],
        gross=gross,
    )


def checked(simulation: Simulation, symbol: str) -> Market:
    """Return a symbol's arrays, checked from end to end."""
    from simengine.backtest.kernel import checks

    market = simulation.market(symbol)
    targets, most = simulation.targets[symbol], simulation.terms.most
    row, fault = checks.first_bad_bar(market, simulation.terms.rules(symbol))
    if not fault:
        row = checks.first_bad_target(most, targets)
        fault = 0 if row < 0 else checks.TARGET_FAULT
    if fault:
        raise inputs.fault_error(simulation.bars[symbol], targets, most, row, fault)
    return market


class Grid:
    """Where the bars of each symbol lie on the union of all times.

    Parameters
    ----------
    simulation : Simulation
        With the targets.
    markets : list of Market
        In the order of the symbols.
    """

    def __init__(self, simulation: Simulation, markets: list[Market]) -> None:
        self.markets = markets
        self.targets = [simulation.targets[symbol] for symbol in simulation.bars]
        self.space: dict[str, NDArray[Any]] | None = None
        self.financed = simulation.terms.is_financed
        self.voluminous = simulation.terms.slippage.impact > 0 or simulation.terms.slippage.is_capped
        first = markets[0].timestamp
        self.aligned = all(np.array_equal(m.timestamp, first) for m in markets[1:])
        self.numbers = np.arange(max(len(m.close) for m in markets), dtype=np.int32)
        self.times: IntArray = (
            first if self.aligned else np.unique(np.concatenate([m.timestamp for m in markets]))
        )

    def panel(self, first: int, last: int) -> Panel:
        """Return the bars from time ``first`` up to ``last``, one column per time."""
        from simengine.backtest.kernel.panel import Panel

        if self.space is None or self.space["row"].shape[1] != last - first:
            self.space = self._space(last - first)
        made, rows = self.space, self.space["row"]
        for k, market in enumerate(self.markets):
            at, now, past = self._places(market, first, last)
            rows[k] = -1
            rows[k, at] = self.numbers[now]
            for name in _PRICES:
                made[name][k, at] = getattr(market, name)[now]
            made["before"][k, at] = market.close[past]
            made["target"][k, at] = self.targets[k][past]
            if self.voluminous:
                made["volume"][k, at] = market.volume[now]
            if self.financed:
                made["funding"][k, at] = market.funding[now]
                made["years"][k, at] = (market.timestamp[now] - market.timestamp[past]) / YEAR_NS
        return Panel(time=self.times[first:last], **made)

    def _space(self, n: int) -> dict[str, NDArray[Any]]:
        """Return room for n times, used again for every stretch: what has no bar is never read."""
        shape, none = (len(self.markets), n), (0, 0)
        space: dict[str, NDArray[Any]] = {name: np.empty(shape) for name in (*_PRICES, "before", "target")}
        space["row"] = np.empty(shape, np.int32)
        space["volume"] = np.empty(shape if self.voluminous else none)
        for name in ("funding", "years"):
            space[name] = np.empty(shape if self.financed else none)
        return space

    def _places(self, market: Market, first: int, last: int) -> tuple[_Places, _Places, _Places]:
        """Return where a symbol's bars stand in the stretch, their rows, and the rows before them.

        Slices where they can be: copying those is many times faster. The first bar, which is not
        traded, stands for the one before it too.
        """
        if self.aligned and first > 0:
            return slice(None), slice(first, last), slice(first - 1, last - 1)
        times = self.times[first:last]
        rows = np.arange(*np.searchsorted(market.timestamp, [times[0], times[-1] + 1]))
        return np.searchsorted(times, market.timestamp[rows]), rows, np.maximum(rows - 1, 0)


def _one_ledger(ledgers: NDArray[np.float64]) -> FloatArray:
    from simengine.backtest.kernel import layout

    ledger: FloatArray = ledgers.sum(axis=0)
    ledger[layout.BEST_RETURN] = ledgers[:, layout.BEST_RETURN].max()
    ledger[layout.WORST_RETURN] = ledgers[:, layout.WORST_RETURN].min()
    ledger[layout.FILLS] = ledgers[:, layout.FILLS].max()
    return ledger


def _still_open(books: Books, markets: list[Market]) -> NDArray[np.void]:
    """Return the trades still open at the end, each marked at its symbol's last close."""
    from simengine.backtest.kernel import booking, layout, panel

    held = np.flatnonzero(books.table[:, panel.UNITS])
    rows = np.zeros(len(held), layout.TRADE_DTYPE)
    for row, k in zip(range(len(held)), held, strict=True):
        last = len(markets[k].close) - 1
        purse = panel.Purse(0.0, layout.TRADING, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
        account = panel.load(int(k), purse, books.table)
        booking.mark_open(
            last,
            int(markets[k].timestamp[last]),
            markets[k].close[last],
            account,
            books.ledgers[k],
            rows[row : row + 1],
        )
        rows[row]["symbol"] = k
    return rows


def _timed(trades: NDArray[np.void], markets: list[Market]) -> NDArray[np.void]:
    """Write the entry times, which the kernel leaves to the bars."""
    times = np.concatenate([market.timestamp for market in markets])
    starts = np.cumsum([0, *(len(market.timestamp) for market in markets[:-1])])
    trades["entry_time"] = times[starts[trades["symbol"]] + trades["entry_bar"]]
    return trades
