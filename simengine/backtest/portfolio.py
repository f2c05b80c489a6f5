"""The portfolio of several sleeves: the sum of accounts that know nothing of each other."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.inputs import frozen
from simengine.backtest.result import BacktestResult
from simengine.types import FloatArray, IntArray


def combine(sleeves: list[BacktestResult]) -> BacktestResult:
    """Add the sleeves up on the union of their times.

    A sleeve is constant between its own bars, before its first and after its last.
    """
    from simengine.backtest.kernel import layout
    from simengine.backtest.kernel.sums import sums_of

    union = np.unique(np.concatenate([s.timestamp for s in sleeves]))
    equity = _sum([_held(s.timestamp, s.equity, union, float(s.equity[0])) for s in sleeves])
    gross = _sum([_held(s.timestamp, s.gross_value, union, 0.0) for s in sleeves])
    trades = _merge([s.trades for s in sleeves])
    ledger = np.sum([s.ledger for s in sleeves], axis=0)
    ledger[layout.BEST_RETURN] = max(s.ledger[layout.BEST_RETURN] for s in sleeves)
    ledger[layout.WORST_RETURN] = min(s.ledger[layout.WORST_RETURN] for s in sleeves)
    return BacktestResult(
        timestamp=union,
        equity=equity,
        value=_sum([_held(s.timestamp, s.value, union, 0.0) for s in sleeves]),
        trades=trades[np.argsort(trades["exit_time"], kind="stable")],
        open_trades=_merge([s.open_trades for s in sleeves]),
        symbols=tuple(s.symbols[0] for s in sleeves),
        sums=sums_of(frozen(equity, np.float64), frozen(gross, np.float64)),
        ledger=ledger,
        wins=math.fsum(s.wins for s in sleeves),
        traded=math.fsum(s.traded for s in sleeves),
        fill_convention=sleeves[0].fill_convention,
        bars_per_year=math.nan,
        bankrupt=tuple(name for s in sleeves for name in s.bankrupt),
        written=_merge([s.written for s in sleeves]),
        gross=gross,
        sleeves=tuple(sleeves),
    )


def _sum(arrays: list[FloatArray]) -> FloatArray:
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total


def _held(timestamp: IntArray, values: FloatArray, union: IntArray, before: float) -> FloatArray:
    """Return the values on the union of times: the last known one, ``before`` the first bar."""
    if len(timestamp) == len(union):
        return values
    row = np.searchsorted(timestamp, union, side="right") - 1
    return np.where(row >= 0, values[row], before)


def _merge(parts: list[NDArray[np.void]]) -> NDArray[np.void]:
    merged = np.concatenate(parts)
    merged["symbol"] = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return merged
