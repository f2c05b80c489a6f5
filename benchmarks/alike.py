"""Comparisons of two runs: of the same past, in other units, or by another driver."""

from __future__ import annotations

import numpy as np
from laws import Run, apart
from numpy.typing import NDArray
from small_markets import compiled


@compiled
def prefix_is_kept(cut: int, time: NDArray[np.int64], one: Run, other: Run) -> bool:
    """Tell whether two runs are the same, to the last bit, before the time with number ``cut``."""
    for j in range(cut):
        if one.equity[j] != other.equity[j] or one.value[j] != other.value[j]:
            return False
    until = time[cut]
    ours, theirs = fills_before(until, one.orders), fills_before(until, other.orders)
    if ours != theirs:
        return False
    for f in range(ours):
        a, b = one.orders[f], other.orders[f]
        if a["bar"] != b["bar"] or a["symbol"] != b["symbol"] or a["reason"] != b["reason"]:
            return False
        if a["units"] != b["units"] or a["quote"] != b["quote"] or a["price"] != b["price"]:
            return False
        if a["fee"] != b["fee"]:
            return False
    return True


@compiled
def fills_before(until: int, orders: NDArray[np.void]) -> int:
    count = 0
    while count < len(orders) and orders[count]["time"] < until:
        count += 1
    return count


@compiled
def same_returns(one: Run, other: Run, money: float, exact: bool) -> bool:
    """Tell whether two runs have the same equity and trades once it is in the same unit of money."""
    if len(one.orders) != len(other.orders) or len(one.trades) != len(other.trades):
        return False
    for j in range(len(one.equity)):
        scaled = other.equity[j] / money
        if exact and scaled != one.equity[j]:
            return False
        if apart(scaled, one.equity[j], one.equity[0]):
            return False
    return True


@compiled
def same_trades(one: Run, other: Run) -> bool:
    """Tell whether two runs have the same closed trades to the last bit."""
    if len(one.trades) != len(other.trades):
        return False
    for t in range(len(one.trades)):
        a, b = one.trades[t], other.trades[t]
        if a["entry_bar"] != b["entry_bar"] or a["exit_bar"] != b["exit_bar"]:
            return False
        if a["exit_reason"] != b["exit_reason"] or a["units"] != b["units"] or a["pnl"] != b["pnl"]:
            return False
        if a["entry_price"] != b["entry_price"] or a["exit_price"] != b["exit_price"]:
            return False
        if a["financing"] != b["financing"] or a["mae"] != b["mae"] or a["mfe"] != b["mfe"]:
            return False
    return True
