"""Compiled passes over whole series: the first faulty row of an input, and the moments of returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel import Market, compiled

TIME_FAULT = 1
PRICE_FAULT = 2
RANGE_FAULT = 3
BODY_FAULT = 4


class Moments(NamedTuple):
    """Sums over the one-bar returns of an equity curve.

    ``mean``; ``m2``, ``m3``, ``m4``: central moments (divided by n); ``downside``: mean of the squared
    negative returns; ``drawdown``: largest fall from a peak as a fraction of it; ``drawdown_bars``:
    most bars from a peak to the bar that reaches it again (or the end).
    """

    mean: float
    m2: float
    m3: float
    m4: float
    downside: float
    drawdown: float
    drawdown_bars: int


@compiled
def first_bad_bar(market: Market) -> tuple[int, int]:
    """Return (row, fault) of the first bar that cannot be traded, (-1, 0) when there is none."""
    for i in range(len(market.close)):
        o, h, l, c = market.open[i], market.high[i], market.low[i], market.close[i]  # noqa: E741
        if i > 0 and market.timestamp[i] <= market.timestamp[i - 1]:
            return i, TIME_FAULT
        # Sums and comparisons with NaN are false, so one test covers NaN, infinity, 0 and below.
        if not (min(o, h, l, c) > 0.0 and o + h + l + c < np.inf):
            return i, PRICE_FAULT
        if h < l:
            return i, RANGE_FAULT
        if o > h or o < l or c > h or c < l:
            return i, BODY_FAULT
    return -1, 0


@compiled
def first_without_volume(volume: NDArray[np.float64]) -> int:
    """Return the first row from 1 on whose volume is not a finite number above 0, or -1."""
    for i in range(1, len(volume)):
        if not 0.0 < volume[i] < np.inf:
            return i
    return -1


@compiled
def first_bad_target(targets: NDArray[np.float64]) -> int:
    """Return the first row that is neither NaN nor in [-1, 1], or -1."""
    for i in range(len(targets)):
        if abs(targets[i]) > 1.0:
            return i
    return -1


@compiled
def first_bad_signal(signals: NDArray[np.int64]) -> int:
    """Return the first row that is none of -1, 0, 1, 2, or -1."""
    for i in range(len(signals)):
        if signals[i] < -1 or signals[i] > 2:
            return i
    return -1


@compiled
def value_return(equity: NDArray[np.float64], i: int) -> float:
    """Return the one-bar return at row i, 0 after a close with equity of 0 or less."""
    before = equity[i - 1]
    return equity[i] / before - 1.0 if before > 0.0 else 0.0


@compiled
def moments(equity: NDArray[np.float64]) -> Moments:
    """Return the moments of the n - 1 returns of an equity curve of n >= 2 closes.

    The return after a close with equity of 0 or less (bankrupt) counts as 0.
    """
    n = len(equity)
    total = 0.0
    downside = 0.0
    peak = equity[0]
    peak_bar = 0
    drawdown = 0.0
    drawdown_bars = 0
    for i in range(1, n):
        value = equity[i]
        r = value_return(equity, i)
        total += r
        if r < 0.0:
            downside += r * r
        if value >= peak:
            if i - peak_bar > 1:
                drawdown_bars = max(drawdown_bars, i - peak_bar)
            peak = value
            peak_bar = i
        else:
            drawdown = max(drawdown, 1.0 - value / peak)
    if peak_bar < n - 1:
        drawdown_bars = max(drawdown_bars, n - 1 - peak_bar)
    mean = total / (n - 1)
    m2 = 0.0
    m3 = 0.0
    m4 = 0.0
    for i in range(1, n):
        r = value_return(equity, i) - mean
        square = r * r
        m2 += square
        m3 += square * r
        m4 += square * square
    k = n - 1
    return Moments(mean, m2 / k, m3 / k, m4 / k, downside / k, drawdown, drawdown_bars)


class TradeSums(NamedTuple):
    """Sums and extremes over closed trades; the fields are those of `TRADE_DTYPE`."""

    wins: int
    longs: int
    bars_held: int
    gains: float
    losses: float
    returns: float
    best: float
    worst: float
    mae: float
    mfe: float


@compiled
def sum_trades(trades: NDArray[np.void]) -> TradeSums:
    """Return the sums over at least one trade, in one pass."""
    wins = longs = bars_held = 0
    gains = losses = returns = mae = mfe = 0.0
    best = -np.inf
    worst = np.inf
    for k in range(len(trades)):
        trade = trades[k]
        pnl = trade["pnl"]
        if pnl > 0.0:
            wins += 1
            gains += pnl
        else:
            losses -= pnl
        if trade["side"] > 0:
            longs += 1
        bars_held += trade["bars_held"]
        r = trade["return"]
        returns += r
        best = max(best, r)
        worst = min(worst, r)
        mae += trade["mae"]
        mfe += trade["mfe"]
    return TradeSums(wins, longs, bars_held, gains, losses, returns, best, worst, mae, mfe)


@compiled
def stamp(trades: NDArray[np.void], timestamp: NDArray[np.int64]) -> None:
    """Write the entry and exit times of trades that know their bars."""
    for k in range(len(trades)):
        trade = trades[k]
        trade["entry_time"] = timestamp[trade["entry_bar"]]
        trade["exit_time"] = timestamp[trade["exit_bar"]]
