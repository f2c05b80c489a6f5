"""One account over several symbols.

The panel holds the bars of all symbols at the union of their times, one row per time; a symbol without
a bar at a time is not traded then and counts at its last close. At every time, in this order:

1. financing of what is held;
2. stops act first where the convention says so; then the new orders are taken and time stops looked at;
3. what closes or reduces is traded, in the order of the symbols; then what opens or increases, which is
   sized with the equity of the whole account and limited by its buying power;
4. stops and goals act on the range of the bar, then pending limits fill;
5. the whole account is liquidated when it cannot carry its positions at their adverse extremes;
6. equity = cash + sum of units x close.

With one symbol this is `step`, number for number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel import layout
from simengine.backtest.kernel.booking import higher, idle, lower, side_of
from simengine.backtest.kernel.compiling import borrowed, compiled, outlined
from simengine.backtest.kernel.exits import (
    after_exit,
    close_rarely,
    range_exit,
    seen,
    with_orders,
    with_work,
)
from simengine.backtest.kernel.layout import (
    BANKRUPT,
    BANKRUPT_EXIT,
    LIQUIDATION_EXIT,
    OPEN_FIRST,
    OPEN_FIRST_SKIP_ENTRY,
    STOP_FIRST_DROP,
    TRADING,
    UNFILLABLE,
    Account,
    Bar,
    Position,
    Rules,
    Work,
)
from simengine.backtest.kernel.orders import (
    expire,
    order_for,
    reduces,
    wants_order,
    work_closing,
    work_limit,
    work_opening,
)
from simengine.backtest.kernel.single import NS_PER_YEAR, plain, whole, with_rounding
from simengine.backtest.kernel.step import leaving, time_exit, time_is_up

# Columns of the table of symbols. First the position ...
UNITS, AVERAGE, STOP, GOAL, BEST, WORST, FLOW, ENTRY_BAR = range(8)
# ... then the working order and the last stated target ...
CLOSING, REASON, TARGET, WANTED, LIMIT, UNTIL, STATED = range(8, 15)
# ... then the bar: price it is marked at, where its path began, what its volume lets through.
MARK, START, ROOM, VOLUME = range(15, 19)
COLUMNS = 19

class Panel(NamedTuple):
    """Bars of S symbols at T times: arrays of shape (T, S), and times of shape (T,).

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

    ``value`` and ``notional``: sum of units x mark, and of its absolute values, over all symbols.
    """

    cash: float
    status: float
    traded: float
    closed: float
    wins: float
    fills: float
    value: float
    notional: float


class Books(NamedTuple):
    """Where it is written: ``table`` (S, COLUMNS), ``ledgers`` (S, LEDGER_SIZE), trades and orders.

    ``rounding`` (S, 3): tick, lot and minimum notional. ``last_row`` (S,): last bar seen. ``queue``
    (2, S): scratch.
    """

    table: NDArray[np.float64]
    ledgers: NDArray[np.float64]
    trades: NDArray[np.void]
    orders: NDArray[np.void]
    rounding: NDArray[np.float64]
    last_row: NDArray[np.int64]
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
def save(
    k: int, account: Account, value: float, notional: float, purse: Purse, books: Books
) -> Purse:
    """Write symbol k's part back, and name the rows it has written; return what is in common."""
    row = borrowed(books.table[k])
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
        account.cash, account.status, account.traded, account.closed, account.wins, fills, value, notional
    )


@compiled
def saved(k: int, account: Account, purse: Purse, books: Books) -> Purse:
    """Do what `save` does, out of the values at the marks."""
    mark = books.table[k, MARK]
    before = books.table[k, UNITS] * mark
    now = account.position.units * mark
    value = purse.value - before + now
    notional = purse.notional - abs(before) + abs(now)
    return save(k, account, value, notional, purse, books)


@compiled
def bar_of(j: int, k: int, panel: Panel, rules: Rules) -> Bar:
    """Return symbol k's bar at time j."""
    funding = 0.0
    years = 0.0
    if rules.financed:
        funding = panel.funding[j, k]
        years = panel.years[j, k]
    volume = 0.0
    if rules.impact > 0.0 or rules.cap < np.inf:
        volume = panel.volume[j, k]
    return Bar(
        panel.time[j],
        panel.open[j, k],
        panel.high[j, k],
        panel.low[j, k],
        panel.close[j, k],
        volume,
        panel.before[j, k],
        funding,
        years,
    )


@compiled
def rules_of(k: int, rules: Rules, books: Books) -> Rules:
    """Return the rules with symbol k's own tick, lot and minimum."""
    if not rules.rounds:
        return rules
    return with_rounding(
        books.rounding[k, 0], books.rounding[k, 1], books.rounding[k, 2], rules
    )


@compiled
def ready(k: int, purse: Purse, books: Books) -> NDArray[np.float64]:
    """Return symbol k's ledger, which goes on with the account's count of fills."""
    ledger = borrowed(books.ledgers[k])
    ledger[layout.FILLS] = purse.fills
    return ledger


@compiled
def mark_open(j: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
    """Mark every symbol that has a bar at its open, and sum the account up."""
    table = borrowed(books.table)
    value = 0.0
    notional = 0.0
    for k in range(len(table)):
        if panel.row[j, k] >= 0:
            table[k, MARK] = panel.open[j, k]
            table[k, START] = panel.open[j, k]
            if rules.cap < np.inf:
                table[k, VOLUME] = panel.volume[j, k]
                table[k, ROOM] = rules.cap * panel.volume[j, k]
            elif rules.impact > 0.0:
                table[k, VOLUME] = panel.volume[j, k]
        worth = table[k, UNITS] * table[k, MARK]
        value += worth
        notional += abs(worth)
    return Purse(
        purse.cash,
        purse.status,
        purse.traded,
        purse.closed,
        purse.wins,
        purse.fills,
        value,
        notional,
    )


@outlined
def finance_all(
    j: int, panel: Panel, rules: Rules, purse: Purse, books: Books
) -> Purse:
    """Charge funding and the loan of units per symbol, and the loan of cash once, split over the longs."""
    table = books.table
    owed = -purse.cash if purse.cash < 0.0 else 0.0
    longs = 0.0
    for k in range(len(table)):
        if table[k, UNITS] > 0.0:
            longs += table[k, UNITS] * table[k, MARK]
    elapsed = (panel.time[j] - panel.time[j - 1]) / NS_PER_YEAR
    cash = purse.cash
    for k in range(len(table)):
        units = table[k, UNITS]
        worth = units * table[k, MARK]
        funding = 0.0
        borrow = 0.0
        if units != 0.0 and panel.row[j, k] >= 0:
            funding = panel.funding[j, k] * worth
            if units < 0.0:
                borrow = rules.borrow * panel.years[j, k] * -worth
        if units > 0.0 and owed > 0.0:
            borrow += rules.borrow * elapsed * (owed * (worth / longs))
        paid = funding + borrow
        cash -= paid
        table[k, FLOW] -= paid
        books.ledgers[k, layout.TRADE_FINANCING] += paid
        books.ledgers[k, layout.FUNDING] += funding
        books.ledgers[k, layout.BORROW] += borrow
    return Purse(
        cash,
        purse.status,
        purse.traded,
        purse.closed,
        purse.wins,
        purse.fills,
        purse.value,
        purse.notional,
    )


@compiled
def acts(j: int, k: int, panel: Panel, rules: Rules, table: NDArray[np.float64]) -> bool:
    """Tell whether anything can happen to symbol k at this open."""
    stated = panel.target[j, k]
    if rules.band == rules.band:
        return True
    if stated == stated and stated != table[k, STATED]:
        return True
    if rules.convention == STOP_FIRST_DROP and table[k, UNITS] != 0.0:
        return True
    if rules.max_bars > 0 and table[k, UNITS] != 0.0:
        return True
    lasting = rules.cap < np.inf or rules.offset == rules.offset
    return lasting and (table[k, CLOSING] != 0.0 or table[k, TARGET] != 0.0)


@compiled
def take_orders(
    j: int, panel: Panel, rules: Rules, purse: Purse, books: Books
) -> tuple[Purse, int]:
    """Let stops act first where they do, take the new orders; queue the symbols with something to trade."""
    table = borrowed(books.table)
    queue = borrowed(books.queue)
    # What is an order is decided for all symbols before any of them trades.
    waiting = 0
    for k in range(len(table)):
        if panel.row[j, k] >= 1 and acts(j, k, panel, rules, table):
            account = load(k, purse, table)
            bar = bar_of(j, k, panel, rules)
            others = purse.value - table[k, UNITS] * table[k, MARK]
            ordered = wants_order(panel.target[j, k], others, bar, rules, account)
            queue[0, waiting] = k
            queue[1, waiting] = 1 if ordered else 0
            waiting += 1
    queued = 0
    for q in range(waiting):
        k = queue[0, q]
        own = rules_of(k, rules, books)
        account = load(k, purse, table)
        bar = bar_of(j, k, panel, rules)
        ledger = ready(k, purse, books)
        ordered = queue[1, q] == 1
        row = int(panel.row[j, k])
        keep = True
        if rules.convention == STOP_FIRST_DROP and account.position.units != 0.0:
            levels = not leaving(own, account)
            only = purse.notional == abs(table[k, UNITS] * table[k, MARK])
            account, fired = range_exit(
                row, bar.open, levels, levels, only, bar, own, account, books.trades, books.orders, ledger
            )
            keep = not fired
        if keep:
            account = taken(row, panel.target[j, k], ordered, bar, own, account, books, ledger)
            queue[0, queued] = k
            queued += 1
        purse = saved(k, account, purse, books)
    return purse, queued


@compiled
def taken(
    i: int,
    stated: float,
    ordered: bool,
    bar: Bar,
    rules: Rules,
    account: Account,
    books: Books,
    ledger: NDArray[np.float64],
) -> Account:
    """Take note of a target and its order, or let the time stop act instead."""
    before = account
    if stated == stated:
        account = with_orders(stated, account.status, account.room, account.work, account)
    if ordered:
        account = order_for(i, bar, rules, account)
    if time_is_up(i, rules, account) and not account.work.closing:
        return time_exit(i, bar, rules, before, books.trades, books.orders, ledger)
    return account


@compiled
def trade_open(
    j: int, queued: int, panel: Panel, rules: Rules, purse: Purse, books: Books
) -> Purse:
    """Trade at the open: first what closes or reduces, then what opens or increases."""
    table = borrowed(books.table)
    queue = borrowed(books.queue)
    rest = 0
    for q in range(queued):
        k = queue[0, q]
        own = rules_of(k, rules, books)
        account = load(k, purse, table)
        bar = bar_of(j, k, panel, rules)
        ledger = ready(k, purse, books)
        row = int(panel.row[j, k])
        account = work_closing(row, bar, own, account, books.trades, books.orders, ledger)
        mark = table[k, MARK]
        held = table[k, UNITS] * mark
        value = purse.value - held
        notional = purse.notional - abs(held)
        if reduces(row, value, notional, bar, own, account):
            account = work_opening(
                row, value, notional, bar, own, account, books.trades, books.orders, ledger
            )
        elif account.work.target != 0.0 and not account.work.closing:
            queue[0, rest] = k
            rest += 1
        purse = saved(k, account, purse, books)
    for q in range(rest):
        k = queue[0, q]
        own = rules_of(k, rules, books)
        account = load(k, purse, table)
        bar = bar_of(j, k, panel, rules)
        ledger = ready(k, purse, books)
        held = table[k, UNITS] * table[k, MARK]
        value = purse.value - held
        notional = purse.notional - abs(held)
        if reduces(int(panel.row[j, k]), value, notional, bar, own, account):
            account = with_work(idle(), account)
        account = work_opening(
            int(panel.row[j, k]), value, notional, bar, own, account, books.trades, books.orders, ledger
        )
        purse = saved(k, account, purse, books)
    return purse


@compiled
def in_range(j: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
    """Let stops and goals act on the range of every bar, then pending limits."""
    table = borrowed(books.table)
    for k in range(len(table)):
        if panel.row[j, k] < 1:
            continue
        units = table[k, UNITS]
        if units == 0.0 and not rules.offset == rules.offset:
            continue
        long = units > 0.0
        adverse = panel.low[j, k] if long else -panel.high[j, k]
        favour = panel.high[j, k] if long else -panel.low[j, k]
        if quiet(k, adverse, favour, rules, table):
            table[k, BEST] = higher(table[k, BEST], favour)
            table[k, WORST] = lower(table[k, WORST], adverse)
            continue
        own = rules_of(k, rules, books)
        account = load(k, purse, table)
        bar = bar_of(j, k, panel, rules)
        ledger = ready(k, purse, books)
        row = int(panel.row[j, k])
        fired = False
        if units != 0.0:
            entered = account.position.entry_bar == row
            levels = rules.convention == OPEN_FIRST or (
                rules.convention == OPEN_FIRST_SKIP_ENTRY and not entered
            )
            levels = levels and not leaving(own, account)
            only = purse.notional == abs(units * table[k, MARK])
            account, fired = range_exit(
                row, bar.open, levels, levels, only, bar, own, account, books.trades, books.orders, ledger
            )
            if not fired or rules.cap < np.inf:
                account = seen(favour, adverse, account)
        if rules.offset == rules.offset and not fired:
            held = account.position.units
            limit = account.work.limit
            worth = held * table[k, MARK]
            account = work_limit(
                row,
                purse.value - worth,
                purse.notional - abs(worth),
                bar,
                own,
                account,
                books.trades,
                books.orders,
                ledger,
            )
            if account.position.units != held:
                purse = saved(k, account, purse, books)
                table[k, START] = limit
                only = purse.notional == abs(account.position.units * table[k, MARK])
                account, fired = range_exit(
                    row,
                    limit,
                    rules.convention == OPEN_FIRST,
                    False,
                    only,
                    bar,
                    own,
                    account,
                    books.trades,
                    books.orders,
                    ledger,
                )
                if not fired:
                    now = account.position.units
                    account = seen(
                        side_of(now) * bar.close, bar.low if now > 0.0 else -bar.high, account
                    )
        purse = saved(k, account, purse, books)
    return purse


@compiled
def quiet(
    k: int, adverse: float, favour: float, rules: Rules, table: NDArray[np.float64]
) -> bool:
    """Tell whether the range of the bar touches nothing of symbol k's position."""
    if rules.offset == rules.offset or rules.trailing < np.inf or rules.cap < np.inf:
        return False
    return adverse > table[k, STOP] and favour < table[k, GOAL]


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
    if panel.row[j, k] < 0:
        return table[k, MARK]
    return panel.low[j, k] if table[k, UNITS] > 0.0 else panel.high[j, k]


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
            price = table[k, START] if panel.row[j, k] >= 0 else table[k, MARK]
            first += units * price - rules.maintenance * abs(units) * price
    way = max(0.0, first / (first - worst)) if first > 0.0 else 0.0
    cash = purse.cash
    for k in range(len(table)):
        units = table[k, UNITS]
        if units == 0.0:
            continue
        start = table[k, START] if panel.row[j, k] >= 0 else table[k, MARK]
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
    row = int(panel.row[j, k])
    if row < 0:
        row = int(books.last_row[k])
    bar = Bar(panel.time[j], price, price, price, price, books.table[k, VOLUME], price, 0.0, 0.0)
    ledger = ready(k, purse, books)
    account = close_rarely(
        row, price, 1.0, reason, True, bar, own, account, books.trades, books.orders, ledger
    )
    account = after_exit(reason, own, account)
    return saved(k, account, purse, books)


@compiled
def at_close(
    j: int, panel: Panel, rules: Rules, purse: Purse, books: Books
) -> tuple[Purse, float, float]:
    """Mark every symbol at its close; return the purse, the value of what is held and its gross value."""
    table = borrowed(books.table)
    value = 0.0
    gross = 0.0
    for k in range(len(table)):
        if panel.row[j, k] >= 0:
            table[k, MARK] = panel.close[j, k]
            books.last_row[k] = panel.row[j, k]
        worth = table[k, UNITS] * table[k, MARK]
        value += worth
        gross += abs(worth)
    return purse, value, gross


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
    )


@outlined
def expire_all(j: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
    """Drop the limits that were valid for the last time."""
    for k in range(len(books.table)):
        if panel.row[j, k] >= 0:
            ledger = ready(k, purse, books)
            account = expire(int(panel.row[j, k]), load(k, purse, books.table), ledger)
            purse = saved(k, account, purse, books)
    return purse


@compiled
def carry_on(
    first: bool,
    panel: Panel,
    rules: Rules,
    purse: Purse,
    books: Books,
    equity: NDArray[np.float64],
    value: NDArray[np.float64],
    gross: NDArray[np.float64],
) -> tuple[Purse, int]:
    """Trade the times of a panel, writing equity, value and gross value at each; return where it ended."""
    for j in range(len(panel.time)):
        if purse.status == TRADING:
            purse = mark_open(j, panel, rules, purse, books)
            if rules.financed and not (first and j == 0):
                purse = finance_all(j, panel, rules, purse, books)
            purse, queued = take_orders(j, panel, rules, purse, books)
            purse = trade_open(j, queued, panel, rules, purse, books)
            purse = in_range(j, panel, rules, purse, books)
            purse = liquidate(j, panel, rules, purse, books)
        purse, value[j], gross[j] = at_close(j, panel, rules, purse, books)
        if purse.status == UNFILLABLE:
            return purse, j
        if purse.status == TRADING and purse.cash + value[j] <= 0.0:
            purse = ruin(j, panel, rules, purse, books)
            value[j] = 0.0
            gross[j] = 0.0
        if purse.status == TRADING and rules.offset == rules.offset:
            purse = expire_all(j, panel, rules, purse, books)
        equity[j] = purse.cash + value[j]
    return purse, len(panel.time)


@compiled
def run_plain(
    first: bool,
    panel: Panel,
    rules: Rules,
    purse: Purse,
    books: Books,
    equity: NDArray[np.float64],
    value: NDArray[np.float64],
    gross: NDArray[np.float64],
) -> tuple[Purse, int]:
    """Carry on with the ordinary rules: see `single.plain`."""
    return carry_on(first, kept(panel), plain(rules), purse, kept_books(books), equity, value, gross)


@compiled
def run_whole(
    first: bool,
    panel: Panel,
    rules: Rules,
    purse: Purse,
    books: Books,
    equity: NDArray[np.float64],
    value: NDArray[np.float64],
    gross: NDArray[np.float64],
) -> tuple[Purse, int]:
    """Carry on with all rules."""
    return carry_on(first, kept(panel), whole(rules), purse, kept_books(books), equity, value, gross)


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
        borrowed(books.last_row),
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
