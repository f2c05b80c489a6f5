"""The single run with a rule of the user's, called at the close of every bar."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel import view
from simengine.backtest.kernel.booking import side_of
from simengine.backtest.kernel.checks import TARGET_FAULT, first_bad_bar, first_bad_target
from simengine.backtest.kernel.compiling import borrowed, compiled, outlined
from simengine.backtest.kernel.layout import TRADING, UNFILLABLE, Account, Bar, Market, Position, Rules
from simengine.backtest.kernel.single import (
    Outcome,
    bar_at,
    cut,
    is_quiet,
    kept,
    new_account,
    watched,
    whole,
)
from simengine.backtest.kernel.step import step
from simengine.backtest.kernel.sums import add_part, start_sums

ANSWER_FAULT = 101
LEVEL_FAULT = 102
FLAT_FAULT = 103
"""A rule may not answer beyond the largest target, nor set a level that is no price, nor one of nothing."""


@compiled
def show(i: int, close: float, account: Account, seen: NDArray[np.float64]) -> None:
    """Write the account at the close of bar i for the rule to read."""
    position = account.position
    units = position.units
    equity = account.cash + units * close
    for k in range(view.VIEW_SIZE):
        seen[k] = np.nan
    seen[view.CASH] = account.cash
    seen[view.EQUITY] = equity
    seen[view.UNITS] = units
    seen[view.EXPOSURE] = units * close / equity if equity > 0.0 else 0.0
    seen[view.ENTRY_BAR] = -1.0
    seen[view.BARS_HELD] = 0.0
    seen[view.PNL] = 0.0
    seen[view.TARGET] = account.target
    seen[view.TRADES] = account.closed
    if units != 0.0:
        side = side_of(units)
        seen[view.ENTRY_PRICE] = position.average
        seen[view.ENTRY_BAR] = position.entry_bar
        seen[view.BARS_HELD] = i - position.entry_bar
        seen[view.BEST] = side * position.best
        seen[view.WORST] = side * position.worst
        seen[view.PNL] = position.flow + units * close
        if position.stop > -np.inf:
            seen[view.STOP] = side * position.stop
        if position.goal < np.inf:
            seen[view.GOAL] = side * position.goal


@compiled
def moved(before: float, after: float) -> bool:
    """Tell whether a level is another one; NaN is none."""
    return after != before and (after == after or before == before)


@compiled
def level_fault(after: float, units: float) -> int:
    """Return what is wrong with a level that the rule has left, or 0."""
    if after != after:
        return 0
    if units == 0.0:
        return FLAT_FAULT
    return 0 if 0.0 < after < np.inf else LEVEL_FAULT


@compiled
def with_levels(stop: float, goal: float, account: Account) -> Account:
    """Return the account with another stop and goal, given as prices; NaN is none."""
    position = account.position
    side = side_of(position.units)
    return Account(
        account.cash,
        account.target,
        account.status,
        account.room,
        account.traded,
        account.closed,
        account.wins,
        Position(
            position.units,
            position.average,
            side * stop if stop == stop else -np.inf,
            side * goal if goal == goal else np.inf,
            position.best,
            position.worst,
            position.flow,
            position.entry_bar,
        ),
        account.work,
    )


@outlined
def one_bar(
    i: int,
    stated: float,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void],
    orders: NDArray[np.void],
    ledger: NDArray[np.float64],
) -> Account:
    """Carry the account through bar i, out of line, which keeps the loop short and quick to compile."""
    return step(i, stated, bar, rules, account, trades, orders, ledger)


@compiled
def run(
    targets: NDArray[np.float64],
    most: float,
    market: Market,
    rules: Rules,
    own: tuple[Rules, Rules, Rules],
    cash: float,
    start: float,
    trades: NDArray[np.void],
    orders: NDArray[np.void],
    ledger: NDArray[np.float64],
    equity: NDArray[np.float64],
    value: NDArray[np.float64],
    decided: NDArray[np.float64],
    memory: NDArray[np.float64],
    rule: Callable[..., float],
) -> Outcome:
    """Check, trade and sum up all bars, and ask the rule for the next target at the close of each.

    ``own``: the rules for a position whose stop, whose goal, and of which both were moved. ``decided``
    takes the answers. The rule is called through its address, so that another rule needs no other driver.
    """
    market, rules = kept(market), whole(rules)
    both, stop_only, goal_only = whole(own[2]), whole(own[0]), whole(own[1])
    targets, equity, value = borrowed(targets), borrowed(equity), borrowed(value)
    trades, orders, ledger = borrowed(trades), borrowed(orders), borrowed(ledger)
    decided, memory = borrowed(decided), borrowed(memory)
    owned = np.empty(view.VIEW_SIZE)
    seen = borrowed(owned)
    account = new_account(cash, start)
    sums = start_sums(cash)
    equity[0] = cash
    value[0] = 0.0
    n = len(market.close)
    bad, fault = first_bad_bar(market, rules)
    if fault != 0:
        return Outcome(account, sums, bad, fault)
    bad = first_bad_target(most, targets)
    if bad >= 0:
        return Outcome(account, sums, bad, TARGET_FAULT)
    later, earlier = cut(1, n, market), cut(0, n - 1, market)
    own_stop = False
    own_goal = False
    for i in range(n):
        if i > 0:
            bar = bar_at(i - 1, later, earlier, rules)
            closed = account.closed
            if is_quiet(decided[i - 1], bar, rules, account):
                account = watched(bar, account)
            else:
                now = rules
                if own_stop:
                    now = both if own_goal else stop_only
                elif own_goal:
                    now = goal_only
                account = one_bar(i, decided[i - 1], bar, now, account, trades, orders, ledger)
            if account.closed != closed:
                own_stop = False
                own_goal = False
            worth = account.position.units * bar.close
            value[i] = worth
            equity[i] = account.cash + worth
            if account.status == UNFILLABLE:
                return Outcome(account, sums, i, 0)
        decided[i] = np.nan
        if account.status != TRADING:
            continue
        show(i, market.close[i], account, seen)
        stop = seen[view.STOP]
        goal = seen[view.GOAL]
        stated = rule(
            i,
            targets[i],
            market.open[: i + 1],
            market.high[: i + 1],
            market.low[: i + 1],
            market.close[: i + 1],
            market.volume[: i + 1],
            seen,
            memory,
        )
        decided[i] = stated
        if abs(stated) > most:
            return Outcome(account, sums, i, ANSWER_FAULT)
        for level in (seen[view.STOP], seen[view.GOAL]):
            fault = level_fault(level, account.position.units)
            if fault != 0:
                decided[i] = level
                return Outcome(account, sums, i, fault)
        moves_stop = moved(stop, seen[view.STOP])
        moves_goal = moved(goal, seen[view.GOAL])
        if moves_stop or moves_goal:
            account = with_levels(seen[view.STOP], seen[view.GOAL], account)
            own_stop = own_stop or moves_stop
            own_goal = own_goal or moves_goal
    sums = add_part(1, equity[: n - 1], equity[1:], value[1:], np.empty((2, n - 1)), sums)
    return Outcome(account, sums, n, 0)
