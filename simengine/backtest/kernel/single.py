"""The single run: one symbol with an account of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel.booking import flat, idle
from simengine.backtest.kernel.checks import TARGET_FAULT, first_bad_bar, first_bad_target
from simengine.backtest.kernel.compiling import borrowed, compiled
from simengine.backtest.kernel.exits import seen
from simengine.backtest.kernel.layout import TRADING, UNFILLABLE, UNITS, Account, Bar, Market, Rules
from simengine.backtest.kernel.orders import wants_order
from simengine.backtest.kernel.step import step
from simengine.backtest.kernel.sums import Sums, add_part, start_sums

NS_PER_YEAR = 365.25 * 86_400 * 1e9
PART = 2048
"""Bars that are checked, traded and summed up in turn, while they are in the processor's cache."""


class Outcome(NamedTuple):
    """What a run came to.

    ``bar``: n, or the bar at which it ended early because of ``fault`` (see `checks`).
    """

    account: Account
    sums: Sums
    bar: int
    fault: int


@compiled
def plain(rules: Rules) -> Rules:
    """Return the rules with everything rare switched off, so that the compiler leaves it out."""
    return Rules(
        size=rules.size,
        unit=rules.unit,
        fees=borrowed(rules.fees),
        fee=rules.fee,
        tiered=False,
        fixed_fee=0.0,
        minimum_fee=0.0,
        slippage=rules.slippage,
        stop_share=rules.stop_share,
        impact=0.0,
        cap=np.inf,
        carry=False,
        stop_loss=rules.stop_loss,
        take_profit=rules.take_profit,
        trailing=rules.trailing,
        max_bars=rules.max_bars,
        margin=rules.margin,
        maintenance=rules.maintenance,
        liquidation_fee=rules.liquidation_fee,
        financed=False,
        borrow=0.0,
        tick=0.0,
        lot=0.0,
        minimum=0.0,
        rounds=False,
        offset=np.nan,
        limit_bars=1,
        band=rules.band,
        convention=rules.convention,
        resizes=rules.resizes,
        straight=True,
        watches=False,
    )


@compiled
def with_rounding(tick: float, lot: float, minimum: float, rules: Rules) -> Rules:
    """Return the rules with another grid of prices and units."""
    return Rules(
        size=rules.size,
        unit=rules.unit,
        fees=borrowed(rules.fees),
        fee=rules.fee,
        tiered=rules.tiered,
        fixed_fee=rules.fixed_fee,
        minimum_fee=rules.minimum_fee,
        slippage=rules.slippage,
        stop_share=rules.stop_share,
        impact=rules.impact,
        cap=rules.cap,
        carry=rules.carry,
        stop_loss=rules.stop_loss,
        take_profit=rules.take_profit,
        trailing=rules.trailing,
        max_bars=rules.max_bars,
        margin=rules.margin,
        maintenance=rules.maintenance,
        liquidation_fee=rules.liquidation_fee,
        financed=rules.financed,
        borrow=rules.borrow,
        tick=tick,
        lot=lot,
        minimum=minimum,
        rounds=rules.rounds,
        offset=rules.offset,
        limit_bars=rules.limit_bars,
        band=rules.band,
        convention=rules.convention,
        resizes=rules.resizes,
        straight=False,
        watches=rules.watches,
    )


@compiled
def whole(rules: Rules) -> Rules:
    """Return the rules as they are, without counting references to the fees."""
    return with_rounding(rules.tick, rules.lot, rules.minimum, rules)


@compiled
def kept(market: Market) -> Market:
    """Return the market without counting references to its arrays."""
    return Market(
        borrowed(market.timestamp),
        borrowed(market.open),
        borrowed(market.high),
        borrowed(market.low),
        borrowed(market.close),
        borrowed(market.volume),
        borrowed(market.funding),
    )


@compiled
def new_account(cash: float, target: float) -> Account:
    """Return a flat account; ``target`` is what counts as stated before the first one."""
    return Account(cash, target, TRADING, np.inf, 0.0, 0.0, 0.0, flat(), idle())


@compiled
def cut(first: int, last: int, market: Market) -> Market:
    """Return the bars from ``first`` up to ``last``.

    Counted from 0 again, so that the compiler knows no index to be negative.
    """
    return Market(
        market.timestamp[first:last],
        market.open[first:last],
        market.high[first:last],
        market.low[first:last],
        market.close[first:last],
        market.volume[first:last],
        market.funding[first:last],
    )


@compiled
def bar_at(j: int, now: Market, past: Market, rules: Rules) -> Bar:
    """Return bar j of ``now``; ``past`` is the same stretch one bar earlier."""
    funding = 0.0
    years = 0.0
    if rules.financed:
        funding = now.funding[j]
        years = (now.timestamp[j] - past.timestamp[j]) / NS_PER_YEAR
    return Bar(
        now.timestamp[j],
        now.open[j],
        now.high[j],
        now.low[j],
        now.close[j],
        now.volume[j],
        past.close[j],
        funding,
        years,
    )


@compiled
def is_quiet(stated: float, bar: Bar, rules: Rules, account: Account) -> bool:
    """Tell whether nothing but the price can move in this bar: most bars, and much cheaper to pass.

    Where it does not know, it says no.
    """
    if rules.financed or rules.cap < np.inf or rules.offset == rules.offset:
        return False
    if rules.trailing < np.inf or rules.max_bars > 0 or account.status != TRADING:
        return False
    units = account.position.units
    if rules.band != rules.band:
        if stated == stated and stated != account.target:
            return False
    elif rules.band == 0.0 and rules.unit == UNITS and units != 0.0:
        # On every bar an order for what is held already: nothing to trade.
        aim = stated if stated == stated else account.target
        if aim * rules.size != units or (stated == stated and stated != account.target):
            return False
    elif wants_order(stated, 0.0, bar, rules, account) or stated == stated:
        return False
    if units == 0.0:
        return True
    adverse = bar.low if units > 0.0 else -bar.high
    favour = bar.high if units > 0.0 else -bar.low
    if adverse <= account.position.stop or favour >= account.position.goal:
        return False
    worst = units * (bar.low if units > 0.0 else bar.high)
    return account.cash + worst > rules.maintenance * abs(worst)


@compiled
def watched(bar: Bar, account: Account) -> Account:
    """Return the account after a position has seen the whole bar."""
    long = account.position.units > 0.0
    return seen(bar.high if long else -bar.low, bar.low if long else -bar.high, account)


@compiled
def drive(
    targets: NDArray[np.float64],
    most: float,
    market: Market,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void],
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64],
    equity: NDArray[np.float64],
    value: NDArray[np.float64],
) -> Outcome:
    """Check, trade and sum up all bars, part by part."""
    n = len(market.close)
    sums = start_sums(account.cash)
    equity[0] = account.cash
    value[0] = 0.0
    scratch = np.empty((2, PART))
    first = 1
    while first < n:
        last = min(first + PART, n)
        # With the bar before, whose target is traded and whose time has to be earlier.
        bad, fault = first_bad_bar(cut(first - 1, last, market), rules)
        told = targets[first - 1 : last - 1]
        if fault == 0:
            bad = first_bad_target(most, told)
            fault = TARGET_FAULT if bad >= 0 else 0
        if fault != 0:
            return Outcome(account, sums, first - 1 + bad, fault)
        now = cut(first, last, market)
        past = cut(first - 1, last - 1, market)
        worth = value[first:last]
        wealth = equity[first:last]
        before = equity[first - 1 : last - 1]
        for j in range(len(told)):
            bar = bar_at(j, now, past, rules)
            if is_quiet(told[j], bar, rules, account):
                account = watched(bar, account)
            else:
                account = step(first + j, told[j], bar, rules, account, trades, orders, ledger)
                if account.status == UNFILLABLE:
                    return Outcome(account, sums, first + j, 0)
            held = account.position.units * bar.close
            worth[j] = held
            wealth[j] = account.cash + held
        sums = add_part(first, before, wealth, worth, scratch, sums)
        first = last
    bad = first_bad_target(most, targets[n - 1 :])
    if bad >= 0:
        return Outcome(account, sums, n - 1, TARGET_FAULT)
    return Outcome(account, sums, n, 0)


@compiled
def run_plain(
    targets: NDArray[np.float64],
    most: float,
    market: Market,
    rules: Rules,
    cash: float,
    start: float,
    trades: NDArray[np.void],
    ledger: NDArray[np.float64],
    equity: NDArray[np.float64],
    value: NDArray[np.float64],
) -> Outcome:
    """Run with the ordinary rules: see `plain`."""
    return drive(
        borrowed(targets),
        most,
        kept(market),
        plain(rules),
        new_account(cash, start),
        borrowed(trades),
        None,
        borrowed(ledger),
        borrowed(equity),
        borrowed(value),
    )


@compiled
def run_whole(
    targets: NDArray[np.float64],
    most: float,
    market: Market,
    rules: Rules,
    cash: float,
    start: float,
    trades: NDArray[np.void],
    orders: NDArray[np.void],
    ledger: NDArray[np.float64],
    equity: NDArray[np.float64],
    value: NDArray[np.float64],
) -> Outcome:
    """Run with all rules, and write the fills to ``orders`` as far as there is room."""
    return drive(
        borrowed(targets),
        most,
        kept(market),
        whole(rules),
        new_account(cash, start),
        borrowed(trades),
        borrowed(orders),
        borrowed(ledger),
        borrowed(equity),
        borrowed(value),
    )
