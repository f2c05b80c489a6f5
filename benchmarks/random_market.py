"""The market and the signals on which engines are timed and compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simengine.types import Bars, Signal

SEED = 20240607
MINUTE = 60 * 10**9
START = 1_577_836_800 * 10**9  # 2020-01-01
VOLATILITY = 1e-3  # of one bar; gaps have a tenth of it, wicks half
SHARES = (0.283, 0.339, 0.378)  # SELL, HOLD, BUY: about one trade per three bars


def make_bars(n: int, seed: int = SEED, symbol: str = "X") -> Bars:
    """A random walk of n one-minute bars from 100, with gaps between a close and the next open."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, VOLATILITY, n)))
    open_ = np.concatenate([[100.0], close[:-1] * (1 + rng.normal(0, VOLATILITY / 10, n - 1))])
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, VOLATILITY / 2, n)))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, VOLATILITY / 2, n)))
    volume = rng.integers(1, 1000, n).astype(float)
    return Bars(symbol, START + np.arange(n) * MINUTE, open_, high, low, close, volume)


def make_signals(n: int, seed: int = SEED + 1) -> NDArray[np.int8]:
    """Independent signals; the first is HOLD, because backtesting.py never sees the first bar."""
    signals = np.random.default_rng(seed).choice(len(SHARES), n, p=SHARES).astype(np.int8)
    signals[0] = Signal.HOLD
    return signals


def make_probabilities(n: int, seed: int = SEED + 2) -> NDArray[np.float64]:
    """Probabilities of SELL, HOLD, BUY, shape (n, 3): a softmax of normal draws."""
    score = np.exp(np.random.default_rng(seed).normal(0, 1, (n, 3)))
    return score / score.sum(axis=1, keepdims=True)


def as_side(signals: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return +1 for BUY, -1 for SELL, 0 for HOLD."""
    return (signals - Signal.HOLD).astype(np.int8)


def forward_filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the last number at each row, NaN before the first."""
    row = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
    return np.where(row >= 0, values[row], np.nan)
