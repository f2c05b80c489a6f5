"""Rolling sums and extremes that depend on nothing before their window.

Running-total algorithms carry the rounding error of every earlier bar along, so one absurd price would
tint all later features. Here each window is added up afresh, in the same order: equal windows give equal
bytes, wherever they stand.
"""

from __future__ import annotations

import numpy as np

from simengine.types import FloatArray


def rolling_sum(values: FloatArray, window: int) -> FloatArray:
    """Return the sum over the last ``window`` values, shape (n,); NaN where a value is missing."""
    n = len(values)
    result = np.full(n, np.nan)
    if n >= window:
        total = values[: n - window + 1].copy()
        for shift in range(1, window):
            total += values[shift : n - window + 1 + shift]
        result[window - 1 :] = total
    return result


def rolling_mean(values: FloatArray, window: int) -> FloatArray:
    """Return the mean over the last ``window`` values, shape (n,)."""
    return rolling_sum(values, window) / window


def rolling_max(values: FloatArray, window: int) -> FloatArray:
    """Return the maximum over the last ``window`` values, shape (n,); NaN where a value is missing."""
    n = len(values)
    result = np.full(n, np.nan)
    if n >= window:
        best = values[: n - window + 1].copy()
        for shift in range(1, window):
            np.maximum(best, values[shift : n - window + 1 + shift], out=best)
        result[window - 1 :] = best
    return result


def rolling_min(values: FloatArray, window: int) -> FloatArray:
    """Return the minimum over the last ``window`` values, shape (n,); NaN where a value is missing."""
    return -rolling_max(-values, window)


def lagged(values: FloatArray, lag: int) -> FloatArray:
    """Return the value ``lag`` rows earlier, shape (n,); NaN in the first ``lag`` rows."""
    result = np.full(len(values), np.nan)
    if len(values) > lag:
        result[lag:] = values[: len(values) - lag]
    return result


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return numerator / denominator, with 0 where the denominator is 0."""
    result = np.zeros(len(numerator))
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def contrast(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return (a - b) / (a + b), in [-1, 1] for numbers that are not negative; 0 where both are 0."""
    return ratio(a - b, a + b)
