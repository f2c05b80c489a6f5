"""Orders: when a target becomes one, and how it is worked at the open and inside the bar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel.booking import buy_in, idle, sell_out, side_of
from simengine.backtest.kernel.compiling import compiled
from simengine.backtest.kernel.exits import close_position, with_status, with_work
from simengine.backtest.kernel.layout import (
    CANCELLED,
    EXPIRED,
    FITS,
    FRACTION,
    MARGIN_LIMITED,
    NOT_SENT,
    NOTHING,
    SIGNAL_EXIT,
    TRADING,
    UNFILLABLE,
    UNSURE,
    Account,
    Bar,
    Rules,
    Work,
)
from simengine.backtest.kernel.prices import fee_rate, fill_price, to_lot, to_tick
from simengine.backtest.kernel.sizing import DUST, Means, order_units, wanted_units


@compiled
def wants_order(stated: float, others: float, bar: Bar, rules: Rules, account: Account) -> bool:
    """Tell whether a stated target (NaN: none) gives an order at the open.

    ``others`` is the value of the account's other positions.
    """
    given = stated == stated
    if rules.band != rules.band:
        return given and stated != account.target
    target = stated if given else account.target
    units = account.position.units
    if target != target:
        return False
    if target == 0.0:
        return units != 0.0 or account.work.target != 0.0
    if rules.band == 0.0:
        return rules.resizes or target * units <= 0.0
    value = units * bar.open
    wanted = target * rules.size
    return abs(value / (account.cash + others + value) - wanted) > rules.band


@compiled
def order_for(i: int, bar: Bar, rules: Rules, account: Account) -> Account:
    """Give the account the working order of its last stated target, instead of any other."""
    target = account.target * rules.size
    units = account.position.units
    closing = units != 0.0 and target * units <= 0.0
    limit = np.nan
    until = i
    if rules.offset == rules.offset and target != 0.0:
        side = side_of(target)
        limit = bar.before * (1.0 - side * rules.offset)
        if rules.tick > 0.0:
            limit = to_tick(limit, -side, rules.tick)
        until = i + rules.limit_bars - 1
    return with_work(Work(closing, SIGNAL_EXIT, target, np.nan, limit, until), account)


@compiled
def work_closing(
    i: int,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Close at the open what the working order closes first."""
    work = account.work
    if not work.closing:
        return account
    account = close_position(
        i, bar.open, 1.0, work.reason, False, bar, rules, account, trades, orders, ledger
    )
    target = work.target
    closing = rules.cap < np.inf and account.position.units != 0.0
    if closing and target != 0.0 and not rules.carry:
        count(CANCELLED, ledger)
        target = 0.0
    return with_work(Work(closing, work.reason, target, np.nan, work.limit, work.until), account)


@compiled
def work_opening(
    i: int,
    value: float,
    notional: float,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Trade at the open towards the target of the working order.

    ``value`` and ``notional`` are those of the account's other positions.
    """
    work = account.work
    if work.closing or work.target == 0.0 or account.status != TRADING:
        return account
    side = side_of(work.target)
    quote = bar.open
    at_limit = work.limit == work.limit
    if at_limit and account.position.units != 0.0 and not _waits(i, rules, work):
        way = way_of(quote, value, notional, rules, account)
        if way == 0.0:
            return with_work(idle(), account)
        if way < 0.0:
            at_limit = False
            account = with_work(
                Work(False, work.reason, work.target, work.wanted, np.nan, work.until), account
            )
    if at_limit and side * quote > side * work.limit:
        return account
    return trade_towards(i, quote, at_limit, value, notional, bar, rules, account, trades, orders, ledger)


@compiled
def way_of(quote: float, value: float, notional: float, rules: Rules, account: Account) -> float:
    """Return 1 when the working order opens or increases at a quote, -1 when it reduces, else 0."""
    units = account.position.units
    wanted = account.work.wanted
    if units == 0.0:
        return 1.0
    if wanted != wanted:
        means = Means(account.cash, units, value, notional, account.traded, np.nan)
        rate = fee_rate(account.traded, rules)
        wanted = wanted_units(account.work.target, quote, rate, means, rules)
    more = abs(wanted) - abs(units)
    if abs(more) <= DUST * max(abs(wanted), abs(units)):
        return 0.0
    return 1.0 if more > 0.0 else -1.0


@compiled
def reduces(i: int, value: float, notional: float, bar: Bar, rules: Rules, account: Account) -> bool:
    """Tell whether the working order makes the position smaller; such orders go to the market."""
    work = account.work
    if account.position.units == 0.0 or work.closing or work.target == 0.0 or _waits(i, rules, work):
        return False
    return way_of(bar.open, value, notional, rules, account) < 0.0


@compiled
def _waits(i: int, rules: Rules, work: Work) -> bool:
    """Tell whether a limit was found to open or increase before: at its first open, or by a fill."""
    if work.limit != work.limit:
        return False
    return i > work.until - rules.limit_bars + 1 or work.wanted == work.wanted


@compiled
def work_limit(
    i: int,
    value: float,
    notional: float,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Fill a pending limit that the range of the bar touches."""
    work = account.work
    if work.closing or work.target == 0.0 or work.limit != work.limit:
        return account
    side = side_of(work.target)
    extreme = bar.low if side > 0.0 else bar.high
    # A limit that the open was beyond has had its fill there.
    if side * bar.open <= side * work.limit or side * extreme > side * work.limit:
        return account
    return trade_towards(i, work.limit, True, value, notional, bar, rules, account, trades, orders, ledger)


@compiled
def trade_towards(
    i: int,
    quote: float,
    at_limit: bool,
    value: float,
    notional: float,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Fill what the volume lets through of the opening leg; size it first if it is not sized yet."""
    work = account.work
    units = account.position.units
    least = max(rules.fixed_fee, rules.minimum_fee, NOTHING * account.traded)
    equity = account.cash + value + units * quote
    if rules.unit == FRACTION and not rules.watches and equity <= least:
        count(NOT_SENT, ledger)
        return with_work(idle(), account)
    sized = rules.cap < np.inf and work.wanted == work.wanted
    if rules.cap < np.inf:
        way = 1.0 if at_limit else way_of(quote, value, notional, rules, account)
        if way == 0.0:
            return with_work(idle(), account)
        if rules.unit != FRACTION and way > 0.0 and equity <= least:
            count(NOT_SENT, ledger)
            return with_work(idle(), account)
        if account.room <= 0.0:
            return _unfinished(False, rules, account, ledger)
    means = Means(account.cash, units, value, notional, account.traded, work.wanted if sized else np.nan)
    asked, cut, price = order_units(work.target, quote, at_limit, account.room, bar.volume, means, rules)
    if rules.impact > 0.0 and asked != asked:
        return with_status(UNFILLABLE, account)
    delta = asked if sized and not cut else to_lot(asked, rules.lot)
    if cut and rules.watches:
        account = with_status(UNSURE, account)
    if not rules.watches:
        if _is_broke(asked, cut, quote, price, means, rules):
            count(NOT_SENT, ledger)
            return with_work(idle(), account)
        if cut:
            count(MARGIN_LIMITED, ledger)
        small = not sized and rules.minimum > 0.0 and abs(delta) * price < rules.minimum
        if delta == 0.0 or small:
            if asked != 0.0 and not sized:
                count(NOT_SENT, ledger)
            return with_work(idle(), account)
    part = delta
    if rules.cap < np.inf and abs(delta) > account.room * FITS:
        part = to_lot(account.room if delta > 0.0 else -account.room, rules.lot)
    if rules.cap < np.inf and part == 0.0:
        return _unfinished(False, rules, with_wanted(units + delta, account), ledger)
    price = quote
    if not at_limit:
        price = fill_price(quote, part, bar.volume, 1.0, rules)
        if (rules.impact > 0.0 or rules.tick > 0.0) and not price > 0.0:
            return with_status(UNFILLABLE, account)
    if rules.resizes and part * units < 0.0:
        account = sell_out(
            i,
            quote,
            price,
            part,
            SIGNAL_EXIT,
            0.0,
            part == -units,
            bar,
            rules,
            account,
            trades,
            orders,
            ledger,
        )
    else:
        account = buy_in(i, quote, price, part, bar, rules, account, trades, orders, ledger)
    if rules.cap == np.inf or part == delta:
        return with_work(idle(), account)
    return _unfinished(True, rules, with_wanted(units + delta, account), ledger)


@compiled
def _is_broke(asked: float, cut: bool, quote: float, price: float, means: Means, rules: Rules) -> bool:
    """Tell whether equity does not cover the fee, so that the order cannot be sent.

    Then a fraction of equity asks for nothing to be left, and any other size is cut.
    """
    if rules.unit == FRACTION:
        return means.units + asked == 0.0 and not cut
    if not cut:
        return False
    at = min(means.units * quote, means.units * price)
    least = max(rules.fixed_fee, rules.minimum_fee, NOTHING * means.traded)
    return means.cash + means.value + at <= least


@compiled
def with_wanted(wanted: float, account: Account) -> Account:
    """Return the account with the working order sized."""
    work = account.work
    return with_work(Work(work.closing, work.reason, work.target, wanted, work.limit, work.until), account)


@compiled
def _unfinished(filled: bool, rules: Rules, account: Account, ledger: NDArray[np.float64] | None) -> Account:
    """Carry what the volume did not let through to the next bar, or cancel it.

    A limit of which nothing was ``filled`` waits on, as it does when the price stays away.
    """
    waits = not filled and account.work.limit == account.work.limit
    if rules.carry or waits:
        return account
    count(CANCELLED, ledger)
    return with_work(idle(), account)


@compiled
def expire(i: int, account: Account, ledger: NDArray[np.float64] | None) -> Account:
    """Drop a limit that was valid for the last time in bar i."""
    work = account.work
    if work.target == 0.0 or work.limit != work.limit or i < work.until:
        return account
    count(EXPIRED, ledger)
    return with_work(Work(work.closing, work.reason, 0.0, np.nan, np.nan, 0), account)


@compiled
def count(what: int, ledger: NDArray[np.float64] | None) -> None:
    """Count an order that did not happen as asked."""
    if ledger is not None:
        ledger[what] += 1.0
