"""Bare accounting loops: what the machine needs when nothing but the case at hand is computed.

They are the yardstick of `benchmarks/backtest.py` and an independent check of the engine: one unit, one
proportional fee, constant slippage, a stop-loss and a take-profit; no checks, no excursions, no
options. ``side`` holds +1 (buy), -1 (sell) and 0 (keep); the decision of bar i - 1 fills at the open of
bar i.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

CONVENTIONS = ("open_first", "stop_first_drop", "open_first_skip_entry")
OPEN_FIRST, STOP_FIRST_DROP, SKIP_ENTRY = range(3)

TRADE_COLUMNS = (
    "entry_bar",
    "exit_bar",
    "units",
    "entry_price",
    "exit_price",
    "pnl",
    "entry_fee",
    "exit_fee",
)
METRICS = ("final_equity", "max_drawdown", "sharpe", "trades", "win_rate", "fees")
BARS_PER_YEAR = 365.25 * 24 * 60


class Prices(NamedTuple):
    """Arrays of shape (n,), or (n, symbols) for the portfolio."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray


class Plan(NamedTuple):
    """Account and costs; ``stop_loss`` and ``take_profit`` are NaN when off."""

    cash: float
    size: float
    fee: float
    slippage: float
    stop_loss: float
    take_profit: float


def compiled(function):
    return njit(cache=True, error_model="numpy", forceinline=True)(function)


@compiled
def _exit_quote(units, stop, goal, o, high, low):
    """Return the quote at which a position held since an earlier bar leaves, or NaN."""
    if units > 0.0:
        if low <= stop:
            return min(o, stop)
        if high >= goal:
            return max(o, goal)
    elif units < 0.0:
        if high >= stop:
            return max(o, stop)
        if low <= goal:
            return min(o, goal)
    return np.nan


@compiled
def _entry_bar_quote(units, stop, goal, high, low):
    """Return the same in the entry bar, where the open was before the position."""
    if units > 0.0:
        if low <= stop:
            return stop
        if high >= goal:
            return goal
    else:
        if high >= stop:
            return stop
        if low <= goal:
            return goal
    return np.nan


@compiled
def _write(row, entry_bar, exit_bar, units, entry, price, entry_fee, fee):
    row[0] = entry_bar
    row[1] = exit_bar
    row[2] = units
    row[3] = entry
    row[4] = price
    row[5] = units * (price - entry) - fee - entry_fee
    row[6] = entry_fee
    row[7] = fee


@compiled
def run_into(prices, side, plan, convention, equity, trades):
    """Fill ``equity`` (n,) and ``trades`` (n + 1, 8), return the number of closed trades."""
    o, h, l, c = prices  # noqa: E741
    cash, size, fee_rate, slip, stop_loss, take_profit = plan
    units = entry = entry_fee = stop = goal = 0.0
    entry_bar = k = 0
    equity[0] = cash
    for i in range(1, len(c)):
        s = side[i - 1]
        act = s != 0 and units * s <= 0.0
        if convention == STOP_FIRST_DROP:
            quote = _exit_quote(units, stop, goal, o[i], h[i], l[i])
            if quote == quote:
                price = quote * (1.0 - slip if units > 0.0 else 1.0 + slip)
                fee = price * size * fee_rate
                cash += units * price - fee
                _write(trades[k], entry_bar, i, units, entry, price, entry_fee, fee)
                k += 1
                units = 0.0
                act = False
        if act:
            if units != 0.0:
                price = o[i] * (1.0 - slip if units > 0.0 else 1.0 + slip)
                fee = price * size * fee_rate
                cash += units * price - fee
                _write(trades[k], entry_bar, i, units, entry, price, entry_fee, fee)
                k += 1
            units = size * s
            entry = o[i] * (1.0 + slip * s)
            entry_fee = entry * size * fee_rate
            cash -= units * entry + entry_fee
            entry_bar = i
            stop = entry * (1.0 - stop_loss * s)
            goal = entry * (1.0 + take_profit * s)
        if convention != STOP_FIRST_DROP and units != 0.0:
            if entry_bar != i:
                quote = _exit_quote(units, stop, goal, o[i], h[i], l[i])
            elif convention == OPEN_FIRST:
                quote = _entry_bar_quote(units, stop, goal, h[i], l[i])
            else:
                quote = np.nan
            if quote == quote:
                price = quote * (1.0 - slip if units > 0.0 else 1.0 + slip)
                fee = price * size * fee_rate
                cash += units * price - fee
                _write(trades[k], entry_bar, i, units, entry, price, entry_fee, fee)
                k += 1
                units = 0.0
        equity[i] = cash + units * c[i]
    return k


@compiled
def _metrics(prices, buy, sell, threshold, plan, row):
    """Fill ``row`` with `METRICS` of one variant under ``stop_first_drop``; nothing else is kept."""
    o, h, l, c = prices  # noqa: E741
    cash, size, fee_rate, slip, stop_loss, take_profit = plan
    units = entry = entry_fee = stop = goal = 0.0
    fees = sum_returns = sum_squares = worst = 0.0
    trades = wins = 0
    peak = before = cash
    for i in range(1, len(c)):
        s = 0.0
        if buy[i - 1] > threshold and buy[i - 1] >= sell[i - 1]:
            s = 1.0
        elif sell[i - 1] > threshold:
            s = -1.0
        act = s != 0.0 and units * s <= 0.0
        quote = _exit_quote(units, stop, goal, o[i], h[i], l[i])
        stopped = quote == quote
        if stopped:
            act = False
        if stopped or (act and units != 0.0):
            if not stopped:
                quote = o[i]
            price = quote * (1.0 - slip if units > 0.0 else 1.0 + slip)
            fee = price * size * fee_rate
            cash += units * price - fee
            fees += fee
            trades += 1
            wins += units * (price - entry) - fee - entry_fee > 0.0
            units = 0.0
        if act:
            units = size * s
            entry = o[i] * (1.0 + slip * s)
            entry_fee = entry * size * fee_rate
            fees += entry_fee
            cash -= units * entry + entry_fee
            stop = entry * (1.0 - stop_loss * s)
            goal = entry * (1.0 + take_profit * s)
        equity = cash + units * c[i]
        change = equity / before - 1.0
        sum_returns += change
        sum_squares += change * change
        before = equity
        if equity > peak:
            peak = equity
        elif 1.0 - equity / peak > worst:
            worst = 1.0 - equity / peak
    n = len(c) - 1
    mean = sum_returns / n
    variance = (sum_squares - n * mean * mean) / (n - 1)
    row[0] = before
    row[1] = worst
    row[2] = mean / np.sqrt(variance) * np.sqrt(BARS_PER_YEAR) if variance > 0.0 else 0.0
    row[3] = trades
    row[4] = wins / trades if trades > 0 else np.nan
    row[5] = fees


@compiled
def run_sweep(prices, buy, sell, variants, plan, out):
    """Fill ``out`` (variants, 6); ``variants`` (variants, 3): threshold, stop-loss, take-profit.

    A variant buys when P(BUY) is above the threshold and at least P(SELL), else sells when P(SELL) is
    above the threshold.
    """
    cash, size, fee_rate, slip, _, _ = plan
    for k in range(len(variants)):
        own = Plan(cash, size, fee_rate, slip, variants[k, 1], variants[k, 2])
        _metrics(prices, buy, sell, variants[k, 0], own, out[k])


@compiled
def run_portfolio(prices, side, plan, equity):
    """Fill ``equity`` (n,) of one cash account over the columns of ``side`` under ``stop_first_drop``."""
    o, h, l, c = prices  # noqa: E741
    cash, size, fee_rate, slip, stop_loss, take_profit = plan
    n, symbols = c.shape
    held = np.zeros(symbols)
    stops = np.zeros(symbols)
    goals = np.zeros(symbols)
    equity[0] = cash
    for i in range(1, n):
        value = 0.0
        for k in range(symbols):
            units = held[k]
            s = side[i - 1, k]
            act = s != 0 and units * s <= 0.0
            quote = _exit_quote(units, stops[k], goals[k], o[i, k], h[i, k], l[i, k])
            if quote == quote:
                price = quote * (1.0 - slip if units > 0.0 else 1.0 + slip)
                cash += units * price - price * size * fee_rate
                units = 0.0
                act = False
            if act:
                if units != 0.0:
                    price = o[i, k] * (1.0 - slip if units > 0.0 else 1.0 + slip)
                    cash += units * price - price * size * fee_rate
                units = size * s
                entry = o[i, k] * (1.0 + slip * s)
                cash -= units * entry + entry * size * fee_rate
                stops[k] = entry * (1.0 - stop_loss * s)
                goals[k] = entry * (1.0 + take_profit * s)
            held[k] = units
            value += units * c[i, k]
        equity[i] = cash + value
