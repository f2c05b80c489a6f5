"""Checks on bars and targets, in the same pass that trades them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel.compiling import compiled
from simengine.backtest.kernel.layout import Market, Rules

TIME_FAULT = 1
PRICE_FAULT = 2
RANGE_FAULT = 3
BODY_FAULT = 4
VOLUME_FAULT = 5
TARGET_FAULT = 6


@compiled
def first_bad_bar(market: Market, rules: Rules) -> tuple[int, int]:
    """Return (row, fault) of the first bar that cannot be traded, (-1, 0) when there is none.

    A volume impact needs a volume from the second bar on, and a cap one that is not negative.
    """
    opens, highs, lows, closes = market.open, market.high, market.low, market.close
    times = market.timestamp
    n = len(closes)
    # Counting the good ones without asking in between lets the processor look at several bars at once.
    good = 0
    for i in range(n):
        o, h, l, c = opens[i], highs[i], lows[i], closes[i]  # noqa: E741
        good += is_good(o, h, l, c)
    if good < n:
        for i in range(n):
            if not is_good(opens[i], highs[i], lows[i], closes[i]):
                return i, bar_fault(opens[i], highs[i], lows[i], closes[i])
    rising = 0
    for i in range(1, n):
        rising += times[i] > times[i - 1]
    if rising < n - 1:
        for i in range(1, n):
            if times[i] <= times[i - 1]:
                return i, TIME_FAULT
    if rules.impact > 0.0 or rules.cap < np.inf:
        for i in range(1, len(closes)):
            v = market.volume[i]
            if not (0.0 <= v < np.inf) or (v == 0.0 and rules.cap == np.inf):
                return i, VOLUME_FAULT
    return -1, 0


@compiled
def is_good(o: float, h: float, l: float, c: float) -> bool:  # noqa: E741
    """Tell whether a bar can be traded; comparisons with NaN are false."""
    return (l > 0.0) & (h < np.inf) & (l <= o) & (o <= h) & (l <= c) & (c <= h)


@compiled
def bar_fault(o: float, h: float, l: float, c: float) -> int:  # noqa: E741
    """Return what is wrong with a bar."""
    if not (min(o, h, l, c) > 0.0 and o + h + l + c < np.inf):
        return PRICE_FAULT
    return RANGE_FAULT if h < l else BODY_FAULT


@compiled
def first_bad_target(most: float, targets: NDArray[np.float64]) -> int:
    """Return the first row whose target is beyond ``most``, or -1."""
    for i in range(len(targets)):
        if abs(targets[i]) > most:
            return i
    return -1


@compiled
def targets_of(signals: NDArray[np.int8], hold: float, targets: NDArray[np.float64]) -> int:
    """Write the target of every signal; return the first row that is no signal, or -1."""
    for i in range(len(signals)):
        signal = signals[i]
        if signal < 0 or signal > 2:
            return i
        targets[i] = hold if signal == 1 else signal - 1.0
    return -1
