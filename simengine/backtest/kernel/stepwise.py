"""The accounting one bar at a time, for a driver outside of the kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel.compiling import borrowed, compiled
from simengine.backtest.kernel.layout import Account, Market, Rules
from simengine.backtest.kernel.single import bar_at, cut, kept, new_account, whole
from simengine.backtest.kernel.step import step


@compiled
def begin(cash: float, start: float) -> Account:
    """Return the account at the close of bar 0."""
    return new_account(cash, start)


@compiled
def advance(
    i: int,
    stated: float,
    market: Market,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void],
    ledger: NDArray[np.float64],
    equity: NDArray[np.float64],
    value: NDArray[np.float64],
) -> Account:
    """Carry the account through bar i, and write its close to ``equity`` and ``value``."""
    market, rules = kept(market), whole(rules)
    bar = bar_at(0, cut(i, i + 1, market), cut(i - 1, i, market), rules)
    account = step(i, stated, bar, rules, account, borrowed(trades), None, borrowed(ledger))
    worth = account.position.units * bar.close
    value[i] = worth
    equity[i] = account.cash + worth
    return account
