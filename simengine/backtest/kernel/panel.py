"""Several symbols side by side: their bars, the table of what each holds, and the purse they share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel import layout
from simengine.backtest.kernel.compiling import borrowed, compiled
from simengine.backtest.kernel.layout import Account, Bar, Position, Rules, Work
from simengine.backtest.kernel.single import with_rounding

# Columns of the table of symbols. First the position ...
UNITS, AVERAGE, STOP, GOAL, BEST, WORST, FLOW, ENTRY_BAR = range(8)
# ... then the working order and the last stated target ...
CLOSING, REASON, TARGET, WANTED, LIMIT, UNTIL, STATED = range(8, 15)
# ... then the bar: price it is marked at, where its path began, what its volume lets
# through, its number, and whether a limit has opened the position inside it.
MARK, START, ROOM, VOLUME, ROW, FRESH = range(15, 21)
COLUMNS = 21


class Panel(NamedTuple):
    """Bars of S symbols at T times: arrays of shape (S, T), and times of shape (T,).

    ``row``: the symbol's own bar number, -1 where it has none at this time. ``target``: decided at the
    close of the symbol's bar before. ``before``: its close. ``funding`` and ``years`` may be empty
    without financing, ``volume`` without anything that needs it.
    """

    time: NDArray[np.int64]
    row: NDArray[np.int32]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    before: NDArray[np.float64]
    target: NDArray[np.float64]
    funding: NDArray[np.float64]
    years: NDArray[np.float64]


class Purse(NamedTuple):
    """What the symbols have in common: cash, status, notional traded, closed and winning trades, fills.

    ``value`` and ``notional``: sum of units x mark, and of its absolute values, over all symbols; ``held``:
    how many of them are held.
    """

    cash: float
    status: float
    traded: float
    closed: float
    wins: float
    fills: float
    value: float
    notional: float
    held: int


class Books(NamedTuple):
    """Where it is written: ``table`` (S, COLUMNS), ``ledgers`` (S, LEDGER_SIZE), trades and orders.

    ``rounding`` (S, 3): tick, lot and minimum notional. ``queue`` (2, S): scratch.
    """

    table: NDArray[np.float64]
    ledgers: NDArray[np.float64]
    trades: NDArray[np.void]
    orders: NDArray[np.void]
    rounding: NDArray[np.float64]
    queue: NDArray[np.int64]


@compiled
def load(k: int, purse: Purse, table: NDArray[np.float64]) -> Account:
    """Return symbol k's part of the account."""
    row = borrowed(table[k])
    return Account(
        purse.cash,
        row[STATED],
        purse.status,
        row[ROOM],
        purse.traded,
        purse.closed,
        purse.wins,
        Position(
            row[UNITS],
            row[AVERAGE],
            row[STOP],
            row[GOAL],
            row[BEST],
            row[WORST],
            row[FLOW],
            int(row[ENTRY_BAR]),
        ),
        Work(
            row[CLOSING] != 0.0,
            int(row[REASON]),
            row[TARGET],
            row[WANTED],
            row[LIMIT],
            int(row[UNTIL]),
        ),
    )


@compiled
def saved(k: int, account: Account, purse: Purse, books: Books) -> Purse:
    """Write symbol k's part back, and name the rows it has written; return what is in common now."""
    row = borrowed(books.table[k])
    before = row[UNITS] * row[MARK]
    now = account.position.units * row[MARK]
    held = purse.held
    if row[UNITS] != 0.0:
        held -= 1
    if account.position.units != 0.0:
        held += 1
    p = account.position
    w = account.work
    row[UNITS] = p.units
    row[AVERAGE] = p.average
    row[STOP] = p.stop
    row[GOAL] = p.goal
    row[BEST] = p.best
    row[WORST] = p.worst
    row[FLOW] = p.flow
    row[ENTRY_BAR] = p.entry_bar
    row[CLOSING] = 1.0 if w.closing else 0.0
    row[REASON] = w.reason
    row[TARGET] = w.target
    row[WANTED] = w.wanted
    row[LIMIT] = w.limit
    row[UNTIL] = w.until
    row[STATED] = account.target
    row[ROOM] = account.room
    for j in range(int(purse.closed), int(account.closed)):
        books.trades[j]["symbol"] = k
    fills = books.ledgers[k, layout.FILLS]
    for j in range(int(purse.fills), min(int(fills), len(books.orders))):
        books.orders[j]["symbol"] = k
    return Purse(
        account.cash,
        account.status,
        account.traded,
        account.closed,
        account.wins,
        fills,
        purse.value - before + now,
        purse.notional - abs(before) + abs(now),
        held,
    )


@compiled
def bar_of(j: int, k: int, panel: Panel, rules: Rules) -> Bar:
    """Return symbol k's bar at time j."""
    funding = 0.0
    years = 0.0
    if rules.financed:
        funding = panel.funding[k, j]
        years = panel.years[k, j]
    volume = 0.0
    if rules.impact > 0.0 or rules.cap < np.inf:
        volume = panel.volume[k, j]
    return Bar(
        panel.time[j],
        panel.open[k, j],
        panel.high[k, j],
        panel.low[k, j],
        panel.close[k, j],
        volume,
        panel.before[k, j],
        funding,
        years,
    )


@compiled
def rules_of(k: int, rules: Rules, books: Books) -> Rules:
    """Return the rules with symbol k's own tick, lot and minimum."""
    if not rules.rounds:
        return rules
    return with_rounding(books.rounding[k, 0], books.rounding[k, 1], books.rounding[k, 2], rules)


@compiled
def ready(k: int, purse: Purse, books: Books) -> NDArray[np.float64]:
    """Return symbol k's ledger, which goes on with the account's count of fills."""
    ledger = borrowed(books.ledgers[k])
    ledger[layout.FILLS] = purse.fills
    return ledger


@compiled
def kept(panel: Panel) -> Panel:
    """Return the panel without counting references to its arrays."""
    return Panel(
        borrowed(panel.time),
        borrowed(panel.row),
        borrowed(panel.open),
        borrowed(panel.high),
        borrowed(panel.low),
        borrowed(panel.close),
        borrowed(panel.volume),
        borrowed(panel.before),
        borrowed(panel.target),
        borrowed(panel.funding),
        borrowed(panel.years),
    )


@compiled
def kept_books(books: Books) -> Books:
    """Return the books without counting references to their arrays."""
    return Books(
        borrowed(books.table),
        borrowed(books.ledgers),
        borrowed(books.trades),
        borrowed(books.orders),
        borrowed(books.rounding),
        borrowed(books.queue),
    )


def new_table(symbols: int, stated: float) -> NDArray[np.float64]:
    """Return the table of symbols that hold nothing and order nothing."""
    table = np.zeros((symbols, COLUMNS))
    table[:, STOP], table[:, GOAL] = -np.inf, np.inf
    table[:, ENTRY_BAR] = -1.0
    table[:, WANTED] = table[:, LIMIT] = np.nan
    table[:, STATED], table[:, ROOM] = stated, np.inf
    return table
