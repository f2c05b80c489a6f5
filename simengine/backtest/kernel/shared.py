"""One account over several symbols.

The panel holds the bars of all symbols at the union of their times, one column per time; a symbol without
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

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel import layout
from simengine.backtest.kernel.booking import higher, idle, lower, side_of
from simengine.backtest.kernel.compiling import borrowed, compiled, outlined
from simengine.backtest.kernel.exits import (
    close_position,
    range_exit,
    with_orders,
    with_work,
)
from simengine.backtest.kernel.layout import (
    NOTHING,
    OPEN_FIRST,
    OPEN_FIRST_SKIP_ENTRY,
    SIGNAL_EXIT,
    STOP_FIRST_DROP,
    TRADING,
    UNFILLABLE,
    Account,
    Bar,
    Rules,
)
from simengine.backtest.kernel.layout import UNITS as UNITS_SIZED
from simengine.backtest.kernel.orders import (
    expire,
    order_for,
    reduces,
    wants_order,
    work_closing,
    work_limit,
    work_opening,
)
from simengine.backtest.kernel.panel import (
    BEST,
    CLOSING,
    FLOW,
    FRESH,
    GOAL,
    MARK,
    ROOM,
    ROW,
    START,
    STATED,
    STOP,
    TARGET,
    UNITS,
    VOLUME,
    WORST,
    Books,
    Panel,
    Purse,
    bar_of,
    kept,
    kept_books,
    load,
    ready,
    rules_of,
    saved,
)
from simengine.backtest.kernel.plain import enter, time_exit, time_is_up, with_target
from simengine.backtest.kernel.ruin import liquidate, ruin
from simengine.backtest.kernel.single import NS_PER_YEAR, plain, whole
from simengine.backtest.kernel.step import leaving, outdated

# What is known of a symbol in the queue: it has an order, stops may touch it, it has something to trade.
ORDERED = 1
TOUCHED = 2
ACTS = 4


@compiled
def mark_open(j: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
    """Mark every symbol that has a bar at its open, and sum the account up."""
    table = borrowed(books.table)
    value = 0.0
    notional = 0.0
    held = 0
    for k in range(len(table)):
        if panel.row[k, j] >= 0:
            table[k, MARK] = panel.open[k, j]
            table[k, START] = panel.open[k, j]
            table[k, ROW] = panel.row[k, j]
            table[k, FRESH] = 0.0
            if rules.cap < np.inf:
                table[k, VOLUME] = panel.volume[k, j]
                table[k, ROOM] = rules.cap * panel.volume[k, j]
            elif rules.impact > 0.0:
                table[k, VOLUME] = panel.volume[k, j]
        worth = table[k, UNITS] * table[k, MARK]
        value += worth
        notional += abs(worth)
        if worth != 0.0:
            held += 1
    return Purse(
        purse.cash,
        purse.status,
        purse.traded,
        purse.closed,
        purse.wins,
        purse.fills,
        value,
        notional,
        held,
    )


@outlined
def finance_all(j: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
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
        if units != 0.0 and panel.row[k, j] >= 0:
            funding = panel.funding[k, j] * worth
            if units < 0.0:
                borrow = rules.borrow * panel.years[k, j] * -worth
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
        purse.held,
    )


@compiled
def acts(j: int, k: int, panel: Panel, rules: Rules, table: NDArray[np.float64]) -> bool:
    """Tell whether symbol k may have something to trade at this open; where it does not know, yes."""
    stated = panel.target[k, j]
    units = table[k, UNITS]
    if rules.max_bars > 0 and units != 0.0:
        return True
    if (rules.cap < np.inf or rules.offset == rules.offset) and (
        table[k, CLOSING] != 0.0 or table[k, TARGET] != 0.0
    ):
        return True
    if rules.band != rules.band:
        return bool(stated == stated and stated != table[k, STATED])
    if rules.band == 0.0 and rules.unit == UNITS_SIZED:
        # On every bar an order for what is held already: nothing to trade.
        target = stated if stated == stated else table[k, STATED]
        return bool(target == target and (target * rules.size != units or target != table[k, STATED]))
    return True


@compiled
def take_orders(j: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> tuple[Purse, int]:
    """Decide what is an order, and let stops act first where they do; queue what has something to trade.

    What is an order is decided for all symbols before any of them trades.
    """
    table = borrowed(books.table)
    queue = borrowed(books.queue)
    queued = 0
    for k in range(len(table)):
        if panel.row[k, j] < 1:
            continue
        act = acts(j, k, panel, rules, table)
        first = rules.convention == STOP_FIRST_DROP and table[k, UNITS] != 0.0
        if first:
            long = table[k, UNITS] > 0.0
            adverse = panel.low[k, j] if long else -panel.high[k, j]
            favour = panel.high[k, j] if long else -panel.low[k, j]
            first = not quiet(k, adverse, favour, purse, rules, table)
        if not act and not first:
            continue
        ordered = False
        if act:
            account = load(k, purse, table)
            others = purse.value - table[k, UNITS] * table[k, MARK]
            stated = heard(panel.target[k, j], rules, account)
            ordered = wants_order(stated, others, bar_of(j, k, panel, rules), rules, account)
        queue[0, queued] = k
        queue[1, queued] = (ORDERED if ordered else 0) + (TOUCHED if first else 0) + (ACTS if act else 0)
        queued += 1
    if rules.convention == STOP_FIRST_DROP:
        return stops_first(j, queued, panel, rules, purse, books)
    return purse, queued


@compiled
def stops_first(
    j: int, queued: int, panel: Panel, rules: Rules, purse: Purse, books: Books
) -> tuple[Purse, int]:
    """Let stops act on the queued symbols that they may touch; keep those that may trade afterwards."""
    table = borrowed(books.table)
    queue = borrowed(books.queue)
    kept = 0
    for q in range(queued):
        k = queue[0, q]
        flags = queue[1, q]
        fired = False
        if flags & TOUCHED != 0:
            own = rules_of(k, rules, books)
            account = load(k, purse, table)
            bar = bar_of(j, k, panel, rules)
            levels = not leaving(own, account)
            account, fired = range_exit(
                int(panel.row[k, j]),
                bar.open,
                levels,
                levels,
                purse.held == 1,
                bar,
                own,
                account,
                books.trades,
                books.orders,
                ready(k, purse, books),
            )
            purse = saved(k, account, purse, books)
        if flags & ACTS != 0 and not fired:
            queue[0, kept] = k
            queue[1, kept] = flags
            kept += 1
    return purse, kept


@compiled
def heard(stated: float, rules: Rules, account: Account) -> float:
    """Return a stated target, or NaN for one of the same side while an exit is still being worked off."""
    if leaving(rules, account) and stated * account.position.units > 0.0:
        return np.nan
    return stated


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
    elif outdated(stated, rules, account):
        account = with_work(idle(), account)
    if time_is_up(i, rules, account) and not account.work.closing:
        return time_exit(i, bar, rules, before, books.trades, books.orders, ledger)
    return account


@outlined
def close_or_reduce(
    j: int, k: int, ordered: bool, panel: Panel, rules: Rules, purse: Purse, books: Books
) -> tuple[Purse, bool]:
    """Take symbol k's order, trade what closes or reduces; return whether something is left to open."""
    table = borrowed(books.table)
    own = rules_of(k, rules, books)
    account = load(k, purse, table)
    bar = bar_of(j, k, panel, rules)
    ledger = ready(k, purse, books)
    row = int(panel.row[k, j])
    stated = heard(panel.target[k, j], own, account)
    account = taken(row, stated, ordered, bar, own, account, books, ledger)
    account = work_closing(row, bar, own, account, books.trades, books.orders, ledger)
    held = table[k, UNITS] * table[k, MARK]
    value = purse.value - held
    notional = purse.notional - abs(held)
    waits = False
    if reduces(row, value, notional, bar, own, account):
        account = work_opening(row, value, notional, bar, own, account, books.trades, books.orders, ledger)
    elif account.work.target != 0.0 and not account.work.closing:
        waits = True
    return saved(k, account, purse, books), waits


@outlined
def open_or_increase(j: int, k: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
    """Trade what symbol k's order opens or increases; one that would reduce by now lapses."""
    table = borrowed(books.table)
    own = rules_of(k, rules, books)
    account = load(k, purse, table)
    bar = bar_of(j, k, panel, rules)
    ledger = ready(k, purse, books)
    row = int(panel.row[k, j])
    held = table[k, UNITS] * table[k, MARK]
    value = purse.value - held
    notional = purse.notional - abs(held)
    if reduces(row, value, notional, bar, own, account):
        account = with_work(idle(), account)
    account = work_opening(row, value, notional, bar, own, account, books.trades, books.orders, ledger)
    return saved(k, account, purse, books)


@compiled
def trade_open(j: int, queued: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
    """Trade at the open: first what closes or reduces, then what opens or increases."""
    queue = borrowed(books.queue)
    rest = 0
    for q in range(queued):
        k = queue[0, q]
        ordered = queue[1, q] & ORDERED != 0
        if rules.straight and not _is_resize(j, k, ordered, panel, rules, books):
            purse, waits = close_straight(j, k, ordered, panel, rules, purse, books)
        else:
            purse, waits = close_or_reduce(j, k, ordered, panel, rules, purse, books)
        if waits:
            queue[0, rest] = k
            rest += 1
    for q in range(rest):
        k = queue[0, q]
        if rules.straight and books.table[k, UNITS] == 0.0:
            purse = enter_straight(j, k, panel, rules, purse, books)
        else:
            purse = open_or_increase(j, k, panel, rules, purse, books)
    return purse


@compiled
def _is_resize(j: int, k: int, ordered: bool, panel: Panel, rules: Rules, books: Books) -> bool:
    """Tell whether symbol k has an order on the side that it holds."""
    stated = panel.target[k, j]
    target = stated if stated == stated else books.table[k, STATED]
    return ordered and target * rules.size * books.table[k, UNITS] > 0.0


@compiled
def close_straight(
    j: int, k: int, ordered: bool, panel: Panel, rules: Rules, purse: Purse, books: Books
) -> tuple[Purse, bool]:
    """Do what `close_or_reduce` does for the ordinary rules, where no order outlives its bar."""
    account = load(k, purse, books.table)
    bar = bar_of(j, k, panel, rules)
    ledger = ready(k, purse, books)
    row = int(panel.row[k, j])
    stated = panel.target[k, j]
    target = stated if stated == stated else account.target
    if ordered and account.position.units != 0.0:
        account = close_position(
            row, bar.open, 1.0, SIGNAL_EXIT, True, bar, rules, account, books.trades, books.orders, ledger
        )
    account = with_target(target, account)
    if not ordered and time_is_up(row, rules, account):
        account = time_exit(row, bar, rules, account, books.trades, books.orders, ledger)
    return saved(k, account, purse, books), ordered and target != 0.0


@compiled
def enter_straight(j: int, k: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
    """Do what `open_or_increase` does for the ordinary rules and a symbol that is not held."""
    account = load(k, purse, books.table)
    account = enter(
        int(panel.row[k, j]),
        account.target * rules.size,
        purse.value,
        purse.notional,
        bar_of(j, k, panel, rules),
        rules,
        account,
        books.trades,
        books.orders,
        ready(k, purse, books),
    )
    return saved(k, account, purse, books)


@compiled
def in_range(j: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
    """Let stops and goals act on the range of every bar, then pending limits."""
    table = borrowed(books.table)
    for k in range(len(table)):
        if panel.row[k, j] < 1:
            continue
        units = table[k, UNITS]
        if units == 0.0 and rules.offset != rules.offset:
            continue
        long = units > 0.0
        adverse = panel.low[k, j] if long else -panel.high[k, j]
        favour = panel.high[k, j] if long else -panel.low[k, j]
        if quiet(k, adverse, favour, purse, rules, table):
            continue
        own = rules_of(k, rules, books)
        account = load(k, purse, table)
        bar = bar_of(j, k, panel, rules)
        ledger = ready(k, purse, books)
        row = int(panel.row[k, j])
        fired = False
        # Where stops are not looked at, liquidation waits for the other symbols: see `liquidate`.
        entered = account.position.entry_bar == row
        looked_at = rules.convention == OPEN_FIRST or (
            rules.convention == OPEN_FIRST_SKIP_ENTRY and not entered
        )
        if units != 0.0 and looked_at:
            levels = not leaving(own, account)
            only = purse.held == 1
            account, fired = range_exit(
                row, bar.open, levels, levels, only, bar, own, account, books.trades, books.orders, ledger
            )
            if rules.cap < np.inf and fired and account.position.units != 0.0:
                account, _ = range_exit(
                    row, bar.open, False, False, only, bar, own, account, books.trades, books.orders, ledger
                )
        if rules.offset == rules.offset and not fired:
            purse = saved(k, account, purse, books)
            account = limit_fill(j, k, bar, own, purse, books)
        purse = saved(k, account, purse, books)
    return purse


@outlined
def limit_fill(j: int, k: int, bar: Bar, rules: Rules, purse: Purse, books: Books) -> Account:
    """Fill symbol k's pending limit inside the bar, as `step.limit_in_range` does."""
    table = books.table
    account = load(k, purse, table)
    ledger = ready(k, purse, books)
    row = int(table[k, ROW])
    held = account.position.units
    limit = account.work.limit
    worth = held * table[k, MARK]
    value = purse.value - worth
    notional = purse.notional - abs(worth)
    account = work_limit(row, value, notional, bar, rules, account, books.trades, books.orders, ledger)
    if account.position.units != held:
        table[k, START] = limit
    # Where stops are not looked at, liquidation waits for the other symbols: see `liquidate`.
    if account.position.units != held and rules.convention == OPEN_FIRST:
        only = purse.held == (0 if held == 0.0 else 1)
        account, done = range_exit(
            row, limit, True, False, only, bar, rules, account, books.trades, books.orders, ledger
        )
        if rules.cap < np.inf and done and account.position.units != 0.0:
            account, _ = range_exit(
                row, limit, False, False, only, bar, rules, account, books.trades, books.orders, ledger
            )
    if held == 0.0:
        table[k, FRESH] = 1.0
    return account


@compiled
def quiet(
    k: int, adverse: float, favour: float, purse: Purse, rules: Rules, table: NDArray[np.float64]
) -> bool:
    """Tell whether the range of the bar touches nothing of symbol k's position."""
    if rules.offset == rules.offset or rules.trailing < np.inf or rules.cap < np.inf:
        return False
    if adverse <= table[k, STOP] or favour >= table[k, GOAL]:
        return False
    # A single position is liquidated by its own level; several are looked at together.
    worst = abs(table[k, UNITS] * adverse)
    side = side_of(table[k, UNITS])
    return purse.held > 1 or purse.cash + side * worst >= rules.maintenance * worst


@compiled
def at_close(j: int, panel: Panel, table: NDArray[np.float64]) -> tuple[float, float]:
    """Let every position see its bar and mark it at the close; return value and gross value of all."""
    value = 0.0
    gross = 0.0
    for k in range(len(table)):
        units = table[k, UNITS]
        if panel.row[k, j] >= 0:
            table[k, MARK] = panel.close[k, j]
            if units != 0.0:
                long = units > 0.0
                favour = panel.high[k, j] if long else -panel.low[k, j]
                if table[k, FRESH] != 0.0:
                    favour = panel.close[k, j] if long else -panel.close[k, j]
                table[k, BEST] = higher(table[k, BEST], favour)
                table[k, WORST] = lower(table[k, WORST], panel.low[k, j] if long else -panel.high[k, j])
        worth = units * table[k, MARK]
        value += worth
        gross += abs(worth)
    return value, gross


@outlined
def expire_all(j: int, panel: Panel, rules: Rules, purse: Purse, books: Books) -> Purse:
    """Drop the limits that were valid for the last time."""
    for k in range(len(books.table)):
        if panel.row[k, j] >= 0:
            ledger = ready(k, purse, books)
            account = expire(int(panel.row[k, j]), load(k, purse, books.table), ledger)
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
        value[j], gross[j] = at_close(j, panel, borrowed(books.table))
        if purse.status == UNFILLABLE:
            return purse, j
        if purse.status == TRADING and purse.cash + value[j] <= NOTHING * purse.traded:
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
