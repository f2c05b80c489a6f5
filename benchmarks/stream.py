"""Live scoring: the time of one bar, and how far its logits are from the model's.

A classifier of 25 features, 60 bars, embedding 64, 4 heads, blocks mLSTM and sLSTM, all weights moved off
their initial values, scores a random series bar by bar in both modes. Times are CPU seconds of the thread,
the best of several rounds: `update` called from Python, and `run` for many bars at once. Differences are
those of logits to the model on the window of 60 bars that ends at each of 1,000 bars: of `windowed_exact`
sliding over the series, and of `stateful` started anew 60 bars before. Exits with 1 when a bound is broken:
15 us a bar and 1e-5 `stateful`, 1 ms a bar and 1e-5 `windowed_exact`.

    python benchmarks/stream.py [--rounds 20] [--json]
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simengine.model.classifier import XLSTMClassifier
from simengine.model.streaming import Stream, stream
from simengine.model.weights import load_named_weights, named_weights

FEATURES, LENGTH, BARS = 25, 60, 1_000
LIMIT_US = {"stateful": 15.0, "windowed_exact": 1_000.0}
TOLERANCE = 1e-5


def classifier() -> XLSTMClassifier:
    """Return the model, its weights moved by noise so that every gate and every norm does something."""
    model = XLSTMClassifier(FEATURES, LENGTH, embedding=64, heads=4, blocks=("mlstm", "slstm"))
    rng = np.random.default_rng(0)
    weights = named_weights(model)
    moved = {name: array + rng.normal(0.0, 0.1, array.shape) for name, array in weights.items()}
    load_named_weights(model, {name: array.astype(np.float32) for name, array in moved.items()})
    return model


def microseconds(call: Callable[[], Any], bars: int, rounds: int) -> float:
    """Return the CPU time per bar of the fastest round."""
    call()
    times = []
    for _ in range(rounds):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return min(times) / bars * 1e6


def one_by_one(opened: Stream, bars: NDArray[np.float32]) -> None:
    for bar in bars:
        opened.update(bar)


def speed(model: XLSTMClassifier, mode: Any, series: NDArray[np.float32], rounds: int) -> dict[str, float]:
    """Return microseconds per bar, after a full window."""
    opened = stream(model, mode, allow_window_trained=True)
    opened.run(series[:LENGTH])
    some = series[:500] if mode == "stateful" else series[:50]
    return {
        "update_us": microseconds(lambda: one_by_one(opened, some), len(some), rounds),
        "run_us": microseconds(lambda: opened.run(some), len(some), rounds),
    }


def of_windows(model: XLSTMClassifier, series: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the model's logits of every window of the series, (bars, 3)."""
    windows = np.lib.stride_tricks.sliding_window_view(series, LENGTH, axis=0).transpose(0, 2, 1)
    batches = np.array_split(windows, -(-len(windows) // 256))
    return np.concatenate([np.asarray(model(batch)) for batch in batches])


def model_us(model: XLSTMClassifier, rounds: int) -> float:
    """Return the CPU time, of all threads, of one compiled TensorFlow call on one window."""
    import tensorflow as tf

    call = tf.function(model, jit_compile=True)
    window = tf.zeros((1, LENGTH, FEATURES))
    call(window)
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call(window).numpy()
        times.append(time.process_time() - start)
    return min(times) * 1e6


def measure(rounds: int) -> dict[str, Any]:
    """Return all figures."""
    model = classifier()
    series = np.random.default_rng(1).normal(size=(BARS + LENGTH - 1, FEATURES)).astype(np.float32)
    expected = of_windows(model, series)
    exact = stream(model, "windowed_exact").run(series)[LENGTH - 1 :]
    carried = stream(model, "stateful", allow_window_trained=True)
    last = []
    for start in range(BARS):
        carried.reset()
        one_by_one(carried, series[start : start + LENGTH - 1])
        last.append(carried.update(series[start + LENGTH - 1]))
    return {
        "windowed_exact": {
            **speed(model, "windowed_exact", series, rounds),
            "max_difference": float(np.abs(exact - expected).max()),
        },
        "stateful": {
            **speed(model, "stateful", series, rounds),
            "max_difference": float(np.abs(np.array(last) - expected).max()),
        },
        "tensorflow_window_us": model_us(model, rounds),
        "max_logit": float(np.abs(expected).max()),
    }


def failures(figures: dict[str, Any]) -> list[str]:
    """Return what is wrong with the figures, one sentence each."""
    found = []
    for mode, limit in LIMIT_US.items():
        took, difference = figures[mode]["update_us"], figures[mode]["max_difference"]
        if took > limit:
            found.append(f"{mode}: {took:.1f} us a bar exceed {limit:g}")
        if not difference <= TOLERANCE:
            found.append(f"{mode}: logits differ by {difference:.1e}, more than {TOLERANCE:g}")
    return found


def main() -> int:
    """Measure, print a table, and return 1 when a bound is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20, help="rounds of which the fastest counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    figures = measure(options.rounds)
    found = failures(figures)
    if options.json:
        print(json.dumps({**figures, "failures": found}))
    else:
        print(f"{'mode':16}{'update':>12}{'run':>12}{'difference':>14}")
        for mode in LIMIT_US:
            row = figures[mode]
            print(f"{mode:16}{row['update_us']:9.1f} us{row['run_us']:9.1f} us{row['max_difference']:14.1e}")
        print(f"one TensorFlow call on one window: {figures['tensorflow_window_us']:,.0f} us")
        print("\n".join(found) or "all bounds hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
