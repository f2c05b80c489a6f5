"""Scores of the exact classifier on the four oracle markets, beside the figures they should have.

Each market is simulated with several seeds. Labels are those of ``volatility_quantile``: the forward log
return over H = 12 bars, divided by the EWM volatility (span 96, at least 48 bars) times sqrt(H), cut at
its 28.3 % and 62.2 % train quantiles. Bars 300 to 200,000 are train, the rest from 200,100 on is test.
The 60-bar classifier sees what a model with a 60-bar window sees; it is scored on every fourth test bar.

    python benchmarks/oracle.py [--seeds 6] [--bars 300000] [--json]

The exit code is 1 when a mean lies further than four standard errors (of itself and of the one draw that
the expected figure is) from the expected figure, or when an ECE exceeds its limit. The expected
figures are for 300,000 bars and the spread is estimated from the seeds, so fewer make it unsure.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
import pandas as pd

from simengine.market import PRESETS, Oracle, build_market, simulate
from simengine.seed import stream

HORIZON = 12
TRAIN_SHARE = 2 / 3
WARMUP, PURGE = 300, 100
OBSERVERS = {"60 bars": 60, "full": None}
EXPECTED = {  # macro-F1, skill, BUY share of the argmax (given for 60 bars only)
    ("easy", "60 bars"): (0.474, 0.0761, 0.47),
    ("medium", "60 bars"): (0.420, 0.0322, 0.50),
    ("realistic", "60 bars"): (0.359, 0.0214, 0.62),
    ("null", "60 bars"): (0.318, 0.0201, 0.68),
    ("easy", "full"): (0.481, 0.0818, None),
    ("medium", "full"): (0.422, 0.0347, None),
    ("realistic", "full"): (0.361, 0.0222, None),
    ("null", "full"): (0.319, 0.0202, None),
}
ROUNDING = (0.0005, 0.00005, 0.005)
ECE_LIMIT, ECE_BARS = 0.015, 300_000  # of a perfect classifier it falls with the root of the sample
METRICS = ("macro_f1", "skill", "buy_share", "ece")


def labelled(close: np.ndarray, n_train: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return train rows, test rows, labels and (n, 2) thresholds of every bar."""
    log_close = pd.Series(np.log(close))
    scale = (log_close.diff().ewm(span=96, min_periods=48).std() * np.sqrt(HORIZON)).to_numpy()
    forward = (log_close.shift(-HORIZON) - log_close).to_numpy()
    rows = np.arange(WARMUP, len(close) - HORIZON)
    train, test = rows[rows < n_train], rows[rows >= n_train + PURGE]
    cuts = np.quantile(forward[train] / scale[train], [0.283, 1 - 0.378])
    thresholds = scale[:, None] * cuts
    labels = np.where(forward <= thresholds[:, 0], 0, np.where(forward > thresholds[:, 1], 2, 1))
    return train, test, labels, thresholds


def scores(labels: np.ndarray, proba: np.ndarray, prior: np.ndarray) -> dict[str, float]:
    """Return the metrics of probabilities (n, 3) on labels (n,)."""
    predicted = proba.argmax(axis=1)
    f1 = []
    for c in range(3):
        hits = np.sum((predicted == c) & (labels == c))
        f1.append(2 * hits / (np.sum(predicted == c) + np.sum(labels == c)))
    nll = -np.mean(np.log(np.maximum(proba[np.arange(len(labels)), labels], 1e-7)))
    top = proba.max(axis=1)
    bins = np.minimum((top * 15).astype(int), 14)
    gap = np.bincount(bins, (predicted == labels) - top, minlength=15)
    return {
        "macro_f1": float(np.mean(f1)),
        "skill": float(1 - nll / -np.mean(np.log(prior[labels]))),
        "buy_share": float(np.mean(predicted == 2)),
        "ece": float(np.abs(gap).sum() / len(labels)),
    }


def one_market(name: str, seed: int, n_bars: int) -> dict[str, dict[str, float]]:
    """Return the metrics of each observer on one simulated market."""
    market = build_market(PRESETS[name])
    bars = simulate(market, n_bars, stream(seed, "oracle_market", 0)).bars
    train, test, labels, thresholds = labelled(bars.close, round(n_bars * TRAIN_SHARE))
    prior = np.bincount(labels[train], minlength=3) / len(train)
    oracle = Oracle(market)
    result = {}
    for observer, history in OBSERVERS.items():
        rows = test if history is None else test[::4]
        lower, upper = thresholds[rows].T
        proba = oracle.class_probabilities(bars, rows, lower, upper, HORIZON, history)
        result[observer] = scores(labels[rows], proba, prior)
    return result


def judge(name: str, observer: str, runs: list[dict[str, float]], n_bars: int) -> dict[str, object]:
    """Return one row of the table: mean, spread and expected value of every metric, and the verdict."""
    row: dict[str, object] = {"market": name, "observer": observer}
    agrees = True
    for i, metric in enumerate(METRICS):
        values = np.array([run[metric] for run in runs])
        row[metric] = float(values.mean())
        row[f"{metric}_sd"] = spread = float(values.std(ddof=1))
        if metric == "ece":
            agrees &= bool(values.mean() <= ECE_LIMIT * np.sqrt(ECE_BARS / n_bars))
            continue
        expected = EXPECTED[name, observer][i]
        row[f"{metric}_expected"] = expected
        if expected is not None:
            error = spread * np.sqrt(1 + 1 / len(values))
            agrees &= bool(abs(values.mean() - expected) <= 4 * error + ROUNDING[i])
    row["agrees"] = agrees
    return row


def table(rows: list[dict[str, object]]) -> str:
    """Return the rows as text; figures are mean ± standard deviation of one seed (expected)."""
    lines = [
        f"{'market':10} {'observer':8} {'macro-F1':>22} {'skill %':>22} {'BUY %':>20} {'ECE':>7}  agrees"
    ]
    for row in rows:
        cells = []
        for metric, factor, digits, width in (
            ("macro_f1", 1, 3, 22),
            ("skill", 100, 2, 22),
            ("buy_share", 100, 1, 20),
        ):
            text = f"{factor * row[metric]:.{digits}f} ± {factor * row[f'{metric}_sd']:.{digits}f}"
            expected = row[f"{metric}_expected"]
            text += " (-)" if expected is None else f" ({factor * expected:.{digits}f})"
            cells.append(f"{text:>{width}}")
        verdict = "yes" if row["agrees"] else "NO"
        lines.append(f"{row['market']:10} {row['observer']:8} {' '.join(cells)} {row['ece']:7.4f}  {verdict}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6, help="markets per preset, at least 2")
    parser.add_argument("--bars", type=int, default=300_000, help="bars per market")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("--seeds must be at least 2: the sampling error is estimated from them")
    started = time.perf_counter()
    rows = []
    for name in PRESETS:
        runs = [one_market(name, seed, options.bars) for seed in range(1, options.seeds + 1)]
        rows += [
            judge(name, observer, [run[observer] for run in runs], options.bars) for observer in OBSERVERS
        ]
        print(f"{name}: done after {time.perf_counter() - started:.0f} s", file=sys.stderr)
    if options.json:
        print(json.dumps({"seeds": options.seeds, "bars": options.bars, "rows": rows}))
    else:
        print(table(rows))
    return 0 if all(row["agrees"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
