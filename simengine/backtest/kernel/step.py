"""The accounting of one bar, for one symbol with an account of its own.

Bar i, in this order; the fill convention moves the range exits before step 2 or leaves the entry bar
out of them:

1. financing of what is held;
2. at the open: the order of the target decided at the close of bar i - 1, else the time stop, else
   what a working order has left;
3. stops, goal and liquidation act on the range of the bar, then a pending limit fills;
4. equity = cash + units x close; nothing left is the end of trading.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel import layout
from simengine.backtest.kernel.booking import idle, side_of
from simengine.backtest.kernel.compiling import compiled, outlined
from simengine.backtest.kernel.exits import (
    close_rarely,
    range_exit,
    seen,
    with_orders,
    with_status,
    with_work,
)
from simengine.backtest.kernel.layout import (
    BANKRUPT,
    BANKRUPT_EXIT,
    NOTHING,
    OPEN_FIRST,
    SIGNAL_EXIT,
    STOP_FIRST_DROP,
    TRADING,
    UNSURE,
    Account,
    Bar,
    Position,
    Rules,
)
from simengine.backtest.kernel.orders import (
    expire,
    order_for,
    wants_order,
    work_closing,
    work_limit,
    work_opening,
)
from simengine.backtest.kernel.plain import time_exit, time_is_up, trade_bar


@outlined
def financed(bar: Bar, rules: Rules, account: Account, ledger: NDArray[np.float64] | None) -> Account:
    """Charge funding and borrow cost on what was held when the bar opened."""
    held = account.position
    value = held.units * bar.open
    borrowed = -value if held.units < 0.0 else max(-account.cash, 0.0)
    funding = bar.funding * value
    borrow = rules.borrow * bar.years * borrowed
    if ledger is not None:
        ledger[layout.TRADE_FINANCING] += funding + borrow
        ledger[layout.FUNDING] += funding
        ledger[layout.BORROW] += borrow
    return Account(
        account.cash - (funding + borrow),
        account.target,
        account.status,
        account.room,
        account.traded,
        account.closed,
        account.wins,
        Position(
            held.units,
            held.average,
            held.stop,
            held.goal,
            held.best,
            held.worst,
            held.flow - (funding + borrow),
            held.entry_bar,
        ),
        account.work,
    )


@compiled
def outdated(stated: float, rules: Rules, account: Account) -> bool:
    """Tell whether a working order is for another target than the one stated now, which needs no order."""
    work = account.work
    if rules.band != rules.band or stated != stated or work.reason != SIGNAL_EXIT:
        return False
    return (work.closing or work.target != 0.0) and work.target != stated * rules.size


@compiled
def at_open(
    i: int,
    stated: float,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Trade at the open: the new order, the time stop, or the rest of a working order."""
    if leaving(rules, account) and stated * account.position.units > 0.0:
        stated = np.nan
    before = account
    ordered = wants_order(stated, 0.0, bar, rules, account)
    if stated == stated:
        account = with_orders(stated, account.status, account.room, account.work, account)
    if ordered:
        account = order_for(i, bar, rules, account)
    elif outdated(stated, rules, account):
        account = with_work(idle(), account)
    if time_is_up(i, rules, account) and not account.work.closing:
        return time_exit(i, bar, rules, before, trades, orders, ledger)
    account = work_closing(i, bar, rules, account, trades, orders, ledger)
    return work_opening(i, 0.0, 0.0, bar, rules, account, trades, orders, ledger)


@outlined
def limit_in_range(
    i: int,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Fill a pending limit inside the bar, and let stops and liquidation act on what follows.

    The price went on to the adverse end of the bar; whether the other end came later is not known.
    """
    held = account.position.units
    limit = account.work.limit
    account = work_limit(i, 0.0, 0.0, bar, rules, account, trades, orders, ledger)
    if account.position.units != held:
        levels = rules.convention == OPEN_FIRST
        account, done = range_exit(i, limit, levels, False, True, bar, rules, account, trades, orders, ledger)
        if rules.cap < np.inf and done and account.position.units != 0.0:
            account, _ = range_exit(i, limit, False, False, True, bar, rules, account, trades, orders, ledger)
    units = account.position.units
    if units == 0.0:
        return account
    adverse = bar.low if units > 0.0 else -bar.high
    favour = bar.high if units > 0.0 else -bar.low
    return seen(side_of(units) * bar.close if held == 0.0 else favour, adverse, account)


@compiled
def step(
    i: int,
    stated: float,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Carry the account from the close of bar i - 1 to the close of bar i.

    Parameters
    ----------
    i : int
        Bar to trade, at least 1.
    stated : float
        Target decided at the close of bar i - 1; NaN keeps the last one.
    bar, rules
        Bar i and the rules.
    account : Account
        At the close of bar i - 1.
    trades, orders : structured arrays or None
        Closed trades are written from row ``account.closed`` on (needs room for `CLOSES_PER_BAR` and
        one that stays open), fills from row ``ledger[FILLS]`` on while there is room.
    ledger : float64 array or None
        From `new_ledger`; needed with ``trades`` or ``orders``.

    Returns
    -------
    Account
        At the close of bar i. ``status`` is `UNFILLABLE` when an order is too large for the volume of
        the bar, `BANKRUPT` when nothing is left.
    """
    if account.status != TRADING:
        return account
    if rules.straight:
        account = with_orders(account.target, account.status, np.inf, idle(), account)
        account = trade_bar(i, stated, bar, rules, account, trades, orders, ledger)
    else:
        room = rules.cap * bar.volume if rules.cap < np.inf else np.inf
        # Without a cap and without limits no order outlives its bar.
        lasting = rules.cap < np.inf or rules.offset == rules.offset
        work = account.work if lasting else idle()
        account = with_orders(account.target, account.status, room, work, account)
        if rules.financed and account.position.units != 0.0:
            account = financed(bar, rules, account, ledger)
        account = _trade_bar(i, stated, bar, rules, account, trades, orders, ledger)
    left = account.cash + account.position.units * bar.close
    if left <= NOTHING * account.traded and account.status == TRADING:
        if rules.watches:
            return with_status(UNSURE, account)
        account = bankrupt(i, bar, rules, account, trades, orders, ledger)
    if rules.offset == rules.offset and account.status == TRADING:
        account = expire(i, account, ledger)
    return account


@compiled
def _trade_bar(
    i: int,
    stated: float,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Let orders and exits act on bar i, in the order of the fill convention, whatever the rules."""
    fired = False
    stops_first = rules.convention == STOP_FIRST_DROP
    if stops_first and account.position.units != 0.0:
        levels = not leaving(rules, account)
        account, fired = range_exit(
            i, bar.open, levels, levels, True, bar, rules, account, trades, orders, ledger
        )
    if not fired:
        account = at_open(i, stated, bar, rules, account, trades, orders, ledger)
        entered = account.position.entry_bar == i
        levels = not stops_first and (rules.convention == OPEN_FIRST or not entered)
        levels = levels and not leaving(rules, account)
        if account.position.units != 0.0:
            account, fired = range_exit(
                i, bar.open, levels, levels, True, bar, rules, account, trades, orders, ledger
            )
    if rules.cap < np.inf and fired and account.position.units != 0.0:
        account, _ = range_exit(i, bar.open, False, False, True, bar, rules, account, trades, orders, ledger)
    if rules.offset == rules.offset and not fired:
        account = limit_in_range(i, bar, rules, account, trades, orders, ledger)
    elif not fired or rules.cap < np.inf:
        units = account.position.units
        account = seen(bar.high if units > 0.0 else -bar.low, bar.low if units > 0.0 else -bar.high, account)
    return account


@compiled
def leaving(rules: Rules, account: Account) -> bool:
    """Tell whether an exit that no order asked for is still being worked off."""
    if rules.cap == np.inf:
        return False
    return account.work.closing and account.work.reason != SIGNAL_EXIT


@outlined
def bankrupt(
    i: int,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """End the account: close what is held at the close, and trade no more."""
    if account.position.units != 0.0:
        account = close_rarely(
            i, bar.close, 1.0, BANKRUPT_EXIT, True, bar, rules, account, trades, orders, ledger
        )
    return with_work(idle(), with_status(BANKRUPT, account))
