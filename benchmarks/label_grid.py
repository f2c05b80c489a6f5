"""Label counts of a threshold grid, pandas beside the kernel: python benchmarks/label_grid.py [--json].

9,120 combinations (19 multipliers x 8 lower x 12 upper limits x 5 horizons) of the labeler adaptive_threshold
on 300,000 bars. The pandas loop computes every combination as one would in a notebook, with returns and
volatility computed once beforehand; the counts of both must be equal. Seconds are CPU time, the kernel's the
least of several calls, those of the series (forward returns, volatility) included, compilation not.

  --every N   pandas counts every N-th combination alone, and its time is scaled up
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
from random_market import make_bars

from simengine.data.label_search import LabelSearch
from simengine.plugin.manager import build_registry
from simengine_plugins.threshold_optimizers.counting import count_labels

BARS = 300_000
LABELER = "adaptive_threshold"
AXES: dict[str, tuple[Any, ...]] = {
    "horizon_bars": (4, 8, 12, 16, 24),
    "multiplier": tuple(round(0.4 + 0.1 * step, 1) for step in range(19)),
    "adaptive_min": (0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01),
    "adaptive_max": (0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15),
}
TARGET = 90.0


def by_pandas(bars, combinations) -> np.ndarray:
    """SELL, HOLD and BUY of every combination, one after another."""
    close = pd.Series(bars.close)
    log_close = np.log(close)
    volatility = log_close.diff().ewm(span=96, min_periods=48).std()
    forward = {
        horizon: np.log(close.shift(-horizon) / close)
        for horizon in dict.fromkeys(c[0] for c in combinations)
    }
    counts = np.zeros((len(combinations), 3), dtype=np.int64)
    for row, (horizon, multiplier, low, high) in enumerate(combinations):
        threshold = (multiplier * volatility * np.sqrt(horizon)).clip(low, high)
        value = forward[horizon]
        known = value.notna() & threshold.notna()
        sell, buy = (value < -threshold).sum(), (value > threshold).sum()
        counts[row] = sell, known.sum() - sell - buy, buy
    return counts


def measure(n_bars: int = BARS, every: int = 1, rounds: int = 5) -> dict[str, Any]:
    """Return CPU seconds of both, their ratio, and whether the counts are the same."""
    bars = make_bars(n_bars)
    registry = build_registry(discover=False)
    options = registry.resolve("labeler", LABELER).options
    task = LabelSearch(
        labeler=LABELER,
        options=options,
        create=lambda changed: registry.create("labeler", {"type": LABELER, **options, **changed}),
        bars={bars.symbol: bars},
        train_end=int(bars.timestamp[-1]) + 1,
        window=60,
        seed=0,
    )
    combinations = list(itertools.product(*AXES.values()))
    wanted = range(len(combinations))

    def kernel() -> np.ndarray:
        return count_labels(task, AXES, wanted, lambda done: None)

    counts = kernel()
    kernel_seconds = min(_seconds(kernel) for _ in range(rounds))
    sample = combinations[::every]
    start = time.process_time()
    expected = by_pandas(bars, sample)
    pandas_seconds = (time.process_time() - start) * len(combinations) / len(sample)
    return {
        "combinations": len(combinations),
        "bars": n_bars,
        "compared": len(sample),
        "same_counts": bool((counts[::every] == expected).all()),
        "pandas_seconds": pandas_seconds,
        "kernel_seconds": kernel_seconds,
        "ratio": pandas_seconds / kernel_seconds,
        "target": TARGET,
    }


def _seconds(call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(every=arguments.every)
    good = found["same_counts"] and found["ratio"] >= TARGET
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        print(
            f"{found['combinations']:,} combinations x {found['bars']:,} bars, {found['compared']:,} compared"
        )
        print(f"  same counts: {found['same_counts']}")
        print(f"  pandas  {found['pandas_seconds']:9.2f} s")
        print(f"  kernel  {found['kernel_seconds']:9.2f} s")
        print(f"  ratio   {found['ratio']:9.0f} x   >= {TARGET:g}   {'met' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
