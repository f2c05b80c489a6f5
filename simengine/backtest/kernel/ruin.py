"""The end of a shared account: liquidation of all that is held, and bankruptcy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel.booking import side_of
from simengine.backtest.kernel.compiling import borrowed, compiled, outlined
from simengine.backtest.kernel.exits import after_exit, close_rarely
from simengine.backtest.kernel.layout import BANKRUPT, BANKRUPT_EXIT, LIQUIDATION_EXIT, Bar, Rules
from simengine.backtest.kernel.panel import (
    MARK,
    ROW,
    START,
    UNITS,
    VOLUME,
    Books,
    Panel,
    Purse,
    load,
    ready,
    rules_of,
    saved,
)


@compiled
def liquidate(j: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
    """Close everything when the account cannot carry it at the adverse extremes of the bars.

    Between where each price began and its adverse extreme, all move along together; the positions are
    closed where equity equals the maintenance margin, or at the beginning when it is below already.
    """
    table = borrowed(books.table)
    held = 0
    worst = purse.cash
    for k in range(len(table)):
        units = table[k, UNITS]
        if units != 0.0:
            held += 1
            price = extreme(j, k, panel, table)
            worst += units * price - rules.maintenance * abs(units) * price
    if held == 0 or worst >= 0.0:
        return purse
    return liquidate_all(j, held, worst, panel, rules, purse, books)


@compiled
def extreme(j: int, k: int, panel: Panel, table: NDArray[np.float64]) -> float:
    """Return the price at which symbol k hurts most: its mark when it has no bar."""
    if panel.row[k, j] < 0:
        return float(table[k, MARK])
    return float(panel.low[k, j] if table[k, UNITS] > 0.0 else panel.high[k, j])


@outlined
def liquidate_all(
    j: int, held: int, worst: float, panel: Panel, rules: Rules, purse: Purse, books: Books
) -> Purse:
    """Close every position where the account reaches its maintenance margin."""
    table = books.table
    first = purse.cash
    for k in range(len(table)):
        units = table[k, UNITS]
        if units != 0.0:
            price = table[k, START] if panel.row[k, j] >= 0 else table[k, MARK]
            first += units * price - rules.maintenance * abs(units) * price
    way = max(0.0, first / (first - worst)) if first > 0.0 else 0.0
    cash = purse.cash
    for k in range(len(table)):
        units = table[k, UNITS]
        if units == 0.0:
            continue
        start = table[k, START] if panel.row[k, j] >= 0 else table[k, MARK]
        price = start + way * (extreme(j, k, panel, table) - start)
        if held == 1:
            side = side_of(units)
            level = side * (-cash / (units * (1.0 - side * rules.maintenance)))
            price = side * min(side * start, level)
        purse = leave(j, k, price, LIQUIDATION_EXIT, panel, rules, purse, books)
    return purse


@compiled
def leave(
    j: int, k: int, price: float, reason: int, panel: Panel, rules: Rules, purse: Purse, books: Books
) -> Purse:
    """Close symbol k whole at a price."""
    own = rules_of(k, rules, books)
    account = load(k, purse, books.table)
    row = int(books.table[k, ROW])
    bar = Bar(panel.time[j], price, price, price, price, books.table[k, VOLUME], price, 0.0, 0.0)
    ledger = ready(k, purse, books)
    account = close_rarely(
        row, price, 1.0, reason, True, bar, own, account, books.trades, books.orders, ledger
    )
    account = after_exit(reason, own, account)
    return saved(k, account, purse, books)


@outlined
def ruin(j: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
    """End the account: close everything at the marks, and trade no more."""
    for k in range(len(books.table)):
        if books.table[k, UNITS] != 0.0:
            purse = leave(j, k, books.table[k, MARK], BANKRUPT_EXIT, panel, rules, purse, books)
    return Purse(
        purse.cash,
        BANKRUPT,
        purse.traded,
        purse.closed,
        purse.wins,
        purse.fills,
        purse.value,
        purse.notional,
        purse.held,
    )
