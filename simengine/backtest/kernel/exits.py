"""Exits inside a bar: stop-loss, trailing stop, take-profit and liquidation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel.booking import higher, idle, lower, sell_out, side_of
from simengine.backtest.kernel.compiling import compiled, outlined
from simengine.backtest.kernel.layout import (
    FITS,
    LIQUIDATION_EXIT,
    SIGNAL_EXIT,
    STOP_LOSS_EXIT,
    TAKE_PROFIT_EXIT,
    TRAILING_STOP_EXIT,
    UNFILLABLE,
    UNSURE,
    Account,
    Bar,
    Position,
    Rules,
    Work,
)
from simengine.backtest.kernel.prices import fill_price, to_lot


@compiled
def with_orders(target: float, status: float, room: float, work: Work, account: Account) -> Account:
    """Return the account with another stated target, status, room and working order."""
    return Account(
        account.cash,
        target,
        status,
        room,
        account.traded,
        account.closed,
        account.wins,
        account.position,
        work,
    )


@compiled
def with_status(status: float, account: Account) -> Account:
    """Return the account in another status."""
    return with_orders(account.target, status, account.room, account.work, account)


@compiled
def with_work(work: Work, account: Account) -> Account:
    """Return the account with another working order."""
    return with_orders(account.target, account.status, account.room, work, account)


@compiled
def close_position(
    i: int,
    quote: float,
    share: float,
    reason: int,
    whole: bool,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Trade away what is held, as far as the volume lets through unless ``whole``."""
    units = account.position.units
    delta = -units
    closes = whole or rules.cap == np.inf
    if not closes:
        closes = abs(units) <= account.room * FITS
        if not closes:
            delta = to_lot(-account.room if units > 0.0 else account.room, rules.lot)
        if delta == 0.0:
            return account
    price = fill_price(quote, delta, bar.volume, share, rules)
    if (rules.impact > 0.0 or rules.tick > 0.0) and not price > 0.0:
        return with_status(UNFILLABLE, account)
    extra = 0.0
    if rules.liquidation_fee > 0.0 and reason == LIQUIDATION_EXIT:
        extra = rules.liquidation_fee
    return sell_out(
        i, quote, price, delta, reason, extra, closes, bar, rules, account, trades, orders, ledger
    )


@outlined
def close_rarely(
    i: int,
    quote: float,
    share: float,
    reason: int,
    whole: bool,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Do what `close_position` does, out of line."""
    return close_position(i, quote, share, reason, whole, bar, rules, account, trades, orders, ledger)


@compiled
def after_exit(reason: int, rules: Rules, account: Account) -> Account:
    """Return the account after an exit that no order asked for.

    What the volume did not let through goes on at the next open. Where targets are acted on again and
    again, the stated one is forgotten: otherwise the next bar would enter anew.
    """
    work = idle()
    if rules.cap < np.inf and account.position.units != 0.0:
        work = Work(True, reason, 0.0, np.nan, np.nan, 0)
    target = account.target
    if rules.band == rules.band:
        target = np.nan
    return with_orders(target, account.status, account.room, work, account)


@compiled
def trailing_level(position: Position, rules: Rules) -> float:
    """Return the signed level of the trailing stop, from the best price of earlier bars."""
    side = side_of(position.units)
    best = higher(position.best, side * position.average)
    return side * (side * best * (1.0 - side * rules.trailing))


@compiled
def liquidation_level(cash: float, units: float, rules: Rules) -> float:
    """Return the signed price at which equity equals the maintenance margin.

    cash + units x price = maintenance x |units| x price, solved for the price.
    """
    side = side_of(units)
    return side * (-cash / (units * (1.0 - side * rules.maintenance)))


@compiled
def range_exit(
    i: int,
    origin: float,
    levels: bool,
    goals: bool,
    liquidates: bool,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> tuple[Account, bool]:
    """Let stops, goal and liquidation act on the range of bar i; return whether one did.

    ``origin`` is where the price comes from: the open, or the limit at which the position was opened
    inside the bar. A level that it has passed fills there. ``levels`` and ``goals`` say whether stops
    and goal count; liquidation counts unless several positions share the account.
    """
    position = account.position
    units = position.units
    side = side_of(units)
    adverse = bar.low if units > 0.0 else -bar.high
    favour = bar.high if units > 0.0 else -bar.low
    start = side * origin
    share = rules.stop_share
    whole = False
    reason = SIGNAL_EXIT
    level = -np.inf
    if levels:
        level = position.stop
        reason = STOP_LOSS_EXIT
        if rules.trailing < np.inf:
            trail = trailing_level(position, rules)
            if trail > level:
                level = trail
                reason = TRAILING_STOP_EXIT
    hit = adverse <= level
    if liquidates:
        notional = abs(units) * (side * adverse)
        if account.cash + side * notional < rules.maintenance * notional:
            if rules.watches:
                account = with_status(UNSURE, account)
            else:
                border = liquidation_level(account.cash, units, rules)
                if not hit or border > level:
                    hit = True
                    level = border
                    reason = LIQUIDATION_EXIT
                    share = 1.0
                    whole = True
    quote = start if start < level else level
    if not hit and goals and favour >= position.goal:
        hit = True
        reason = TAKE_PROFIT_EXIT
        quote = start if start > position.goal else position.goal
    if not hit:
        return account, False
    account = close_position(
        i, side * quote, share, reason, whole, bar, rules, account, trades, orders, ledger
    )
    return after_exit(reason, rules, account), True


@compiled
def seen(best: float, worst: float, account: Account) -> Account:
    """Return the account after a position has seen these signed extremes."""
    held = account.position
    position = Position(
        held.units,
        held.average,
        held.stop,
        held.goal,
        higher(held.best, best),
        lower(held.worst, worst),
        held.flow,
        held.entry_bar,
    )
    return Account(
        account.cash,
        account.target,
        account.status,
        account.room,
        account.traded,
        account.closed,
        account.wins,
        position,
        account.work,
    )
