"""The single run beside a bare numba loop with the same accounting: python benchmarks/backtest.py [--json].

Market: a random walk with gaps; signals drawn with the shares SELL 28.3 / HOLD 33.9 / BUY 37.8 %, so
about one trade per three bars; stop-loss 1 %, take-profit 2 %, fees and slippage. The bare loop does
only the accounting of this one case: no checks, no adverse moves, no options. Both run in turn in one
process on the same arrays; the figures are the best of several repetitions in CPU time.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from numba import njit

from simengine.backtest import backtest
from simengine.types import Bars

FEE, SLIPPAGE, STOP, GOAL, CASH = 1e-5, 5e-6, 0.01, 0.02, 1e6


@njit(error_model="numpy")
def bare_loop(o, h, l, c, target, cash, fee, slip, sl, tp):  # noqa: E741
    n = len(c)
    equity = np.empty(n)
    trades = np.empty((n, 8))
    equity[0] = cash
    k = 0
    units = entry = entry_fee = stop = goal = last = 0.0
    entry_bar = 0
    for i in range(1, n):
        s = target[i - 1]
        quote = np.nan
        if s == s and s != last:
            last = s
            quote = o[i]
        opened = False
        for phase in range(2):
            if phase == 1:
                quote = np.nan
                if units > 0.0:
                    if l[i] <= stop:
                        quote = min(o[i], stop)
                    elif h[i] >= goal:
                        quote = max(o[i], goal)
                elif units < 0.0:
                    if h[i] >= stop:
                        quote = max(o[i], stop)
                    elif l[i] <= goal:
                        quote = min(o[i], goal)
            if quote == quote and units != 0.0 and not (phase == 0 and opened):
                price = quote * (1.0 - slip if units > 0.0 else 1.0 + slip)
                cost = abs(units) * price * fee
                cash += units * price - cost
                trades[k, 0] = entry_bar
                trades[k, 1] = i
                trades[k, 2] = units
                trades[k, 3] = entry
                trades[k, 4] = price
                trades[k, 5] = units * (price - entry) - cost - entry_fee
                trades[k, 6] = entry_fee
                trades[k, 7] = cost
                k += 1
                units = 0.0
            if phase == 0 and quote == quote:
                entry = quote * (1.0 + slip * s)
                units = s * cash / (entry * (1.0 + fee))
                entry_fee = abs(units) * entry * fee
                cash -= units * entry + entry_fee
                entry_bar = i
                stop = entry * (1.0 - sl * s)
                goal = entry * (1.0 + tp * s)
                opened = True
        equity[i] = cash + units * c[i]
    return equity, trades[:k]


def make_market(n: int, seed: int = 20240607) -> tuple[Bars, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, n)))
    open_ = np.concatenate([[100.0], close[:-1] * (1 + rng.normal(0, 1e-4, n - 1))])
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 5e-4, n)))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 5e-4, n)))
    volume = rng.integers(1, 1000, n).astype(float)
    bars = Bars("X", np.arange(n) * 60 * 10**9, open_, high, low, close, volume)
    return bars, rng.choice([-1.0, np.nan, 1.0], n, p=[0.283, 0.339, 0.378])


def best_of(repetitions: int, *calls) -> list[float]:
    """Return the least CPU seconds of each call, all run in turn."""
    best = [float("inf")] * len(calls)
    for _ in range(repetitions):
        for k, call in enumerate(calls):
            start = time.process_time()
            call()
            best[k] = min(best[k], time.process_time() - start)
    return best


def measure(n: int, repetitions: int) -> dict[str, float]:
    bars, targets = make_market(n)
    given = {"targets": targets, "cash": CASH, "fee_bps": FEE * 1e4, "slippage_bps": SLIPPAGE * 1e4}
    given |= {"stop_loss": STOP, "take_profit": GOAL}
    arrays = (bars.open, bars.high, bars.low, bars.close, targets)

    def bare():
        return bare_loop(*arrays, CASH, FEE, SLIPPAGE, STOP, GOAL)

    def engine():
        return backtest(bars, **given)

    def with_statistics():
        return backtest(bars, **given).stats

    (equity, trades), result = bare(), engine()
    with_statistics()
    np.testing.assert_allclose(result.equity, equity, rtol=1e-9)
    np.testing.assert_allclose(result.trades["pnl"], trades[:, 5], rtol=1e-6, atol=1e-6 * CASH)
    loop, call, full = best_of(repetitions, bare, engine, with_statistics)
    return {
        "bars": n,
        "trades": len(trades),
        "bare_ms": loop * 1e3,
        "engine_ms": call * 1e3,
        "engine_and_statistics_ms": full * 1e3,
        "engine_ratio": call / loop,
        "engine_and_statistics_ratio": full / loop,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows = [measure(100_000, 50), measure(1_000_000, 10)]
    if options.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['bars']:,} bars, {row['trades']:,} trades")
        print(f"  bare loop                 {row['bare_ms']:8.2f} ms")
        print(f"  backtest()                {row['engine_ms']:8.2f} ms  {row['engine_ratio']:5.2f} x bare")
        print(
            f"  backtest() and statistics {row['engine_and_statistics_ms']:8.2f} ms"
            f"  {row['engine_and_statistics_ratio']:5.2f} x bare"
        )


if __name__ == "__main__":
    main()
