"""What it costs to feed windows to a network: python benchmarks/feeding.py [--windows N] [--json].

An epoch of 281,060 random windows of 60 bars x 25 features in batches of 256. Two ways to hand them over, to
a network that looks at one bar of them:

  gathered       ends of windows, gathered in the graph from the series of bars
  materialised   all windows as one array, through tf.data with a full shuffle, as Keras would be fed

and an epoch of the training's own input pipeline with the training step of that network, by what picks the
rows: natural, class_quota, class_quota with a fifth of each batch replaced by mined rows, natural with a
quarter of all rows synthetic. Each case runs in a process of its own on one thread and reports CPU seconds of
the fastest of three epochs (of one, materialised), those before it, in which the graph is made, and the peak
memory of the process, libraries included. The materialised array takes about 6 GB and is left out where the
system has less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from memory import peak, reset_peak
from model_candidates import BATCH, EPOCH, FEATURES, LENGTH, windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import keras

    from simengine.data.synthetic import SmoteTask, Synthetic
    from simengine.data.windows import WindowSet

GATHERED, MATERIALISED = "gathered", "materialised"
PICKED = ("natural", "class_quota", "class_quota, mined", "natural, synthetic")
CASES = (GATHERED, MATERIALISED, *PICKED)
MINED, SYNTHETIC = 0.2, 0.25
ROUNDS = 3
THREADS = {
    **dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"),
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
ROOM = 4.2
"""Times the array of all windows that the materialised case needs."""

Row = dict[str, Any]


def figures(count: int = EPOCH, cases: Iterable[str] = CASES) -> list[Row]:
    """Return one row of figures for each case."""
    found = []
    for case in cases:
        if case == MATERIALISED and not _has_room(count):
            continue
        command = [sys.executable, __file__, "--case", case, "--windows", str(count)]
        done = subprocess.run(
            command, env={**os.environ, **THREADS}, check=True, stdout=subprocess.PIPE, text=True
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
        print(line(found[-1]), file=sys.stderr, flush=True)
    return found


def one_case(case: str, count: int) -> Row:
    """Return the figures of one case, measured in this process."""
    from simengine.train.determinism import make_deterministic

    make_deterministic()  # as every training does
    network, train = last_bar(), windows(count)
    before = time.process_time()
    base = reset_peak()
    prepare = {GATHERED: gathered, MATERIALISED: materialised}.get(case)
    epoch = prepare(network, train) if prepare else picked(case, network, train)
    prepared = time.process_time() - before
    seconds = []
    for _ in range(1 if case == MATERIALISED else ROUNDS):
        start = time.process_time()
        batches = epoch()
        seconds.append(time.process_time() - start)
    return {
        "case": case,
        "windows": count,
        "batches": batches,
        "prepare_seconds": prepared,
        "seconds": min(seconds),
        "peak_mb": peak(),
        "peak_above_start_mb": peak() - base,
    }


def last_bar() -> keras.Model:
    """Return the least of a network: a linear layer on the last bar."""
    import keras

    parts = [keras.Input((LENGTH, FEATURES)), keras.layers.Cropping1D((LENGTH - 1, 0))]
    return keras.Sequential([*parts, keras.layers.Flatten(), keras.layers.Dense(3)])


def gathered(network: keras.Model, train: WindowSet) -> Callable[[], int]:
    """Return an epoch of shuffled window ends, gathered in the graph."""
    import tensorflow as tf

    from simengine.train.step import logits_of_ends

    function = logits_of_ends(network, LENGTH, FEATURES)
    matrix = tf.constant(train.matrix)
    function(matrix, train.ends[:BATCH])

    def epoch() -> int:
        ends = train.ends[np.random.default_rng(0).permutation(len(train))]
        for start in range(0, len(ends), BATCH):
            function(matrix, ends[start : start + BATCH])
        return -(-len(ends) // BATCH)

    return epoch


def materialised(network: keras.Model, train: WindowSet) -> Callable[[], int]:
    """Return an epoch over all windows as one array; making it is part of the epoch."""
    import tensorflow as tf

    from simengine.train.step import logits_of_batch

    function = logits_of_batch(network, LENGTH, FEATURES)
    function(train.gather(slice(0, BATCH)))

    def epoch() -> int:
        array = train.gather(slice(None))
        data = tf.data.Dataset.from_tensor_slices((array, train.labels))
        batches = 0
        for batch, _ in data.shuffle(len(array), seed=0).batch(BATCH):
            function(batch)
            batches += 1
        return batches

    return epoch


class Pairs:
    """Synthetic rows between random rows of a class, found in no time."""

    def synthesize(self, task: SmoteTask) -> Synthetic:
        """Return the pairs."""
        from simengine.data.synthetic import Synthetic

        rng, labels = np.random.default_rng(1), task.train.labels
        made = int(len(labels) * SYNTHETIC / (1 - SYNTHETIC))
        first = rng.integers(0, len(labels), made)
        second = np.empty_like(first)
        for label in range(3):
            mine = labels[first] == label
            second[mine] = rng.choice(np.flatnonzero(labels == label), int(mine.sum()))
        return Synthetic(first, second, rng.random(made, dtype=np.float32), {})


def picked(case: str, network: keras.Model, train: WindowSet) -> Callable[[], int]:
    """Return an epoch of the training's input pipeline and its step."""
    from simengine.train.context import TrainContext
    from simengine.train.feed import WindowFeed
    from simengine.train.optimizer import Update
    from simengine.train.options import FitOptions
    from simengine_plugins.balancers.class_quota import ClassQuota
    from simengine_plugins.balancers.natural import Natural
    from simengine_plugins.losses.cross_entropy import CrossEntropy
    from simengine_plugins.miners.top_loss import TopLoss

    balancer = ClassQuota() if case.startswith("class_quota") else Natural()
    mined = TopLoss(start=MINED, end=MINED) if "mined" in case else None
    smote = Pairs() if "synthetic" in case else None
    context = TrainContext(
        balancer, None, CrossEntropy(), 0, 2, BATCH, 1e-3, clip_norm=1.0, miner=mined, smote=smote
    )
    feed, weights = WindowFeed(network, train, context), np.ones(3)
    feed.compile(Update(network, context, FitOptions()), jit=False)
    feed.step(feed.batches(1)[0], weights, 1e-3)
    if feed.mining is not None:
        rng, n = np.random.default_rng(2), len(train)
        uniform = np.full((n, 3), -np.log(3.0))
        feed.mining.select(train.labels, uniform, rng.random(n), 1)

    def epoch() -> int:
        batches = feed.batches(2)
        for batch in batches:
            feed.step(batch, weights, 1e-3)
        return len(batches)

    return epoch


def _has_room(count: int) -> bool:
    """Return whether the system has the memory for the materialised case, as far as it tells."""
    told = Path("/proc/meminfo")
    if not told.is_file():
        return True
    lines = told.read_text().splitlines()
    free = next(int(text.split()[1]) for text in lines if text.startswith("MemAvailable:")) * 1024
    needed = ROOM * count * LENGTH * FEATURES * 4
    if free < needed:
        print(f"materialised: left out, {needed / 1e9:.1f} GB are not free", file=sys.stderr)
    return free >= needed


def line(row: Row) -> str:
    """Return the figures of a case as text."""
    return (
        f"{row['case']:<22}{row['windows']:>9,}{row['batches']:>8,}{row['prepare_seconds']:>11.2f}"
        f"{row['seconds']:>9.2f}{1e3 * row['seconds'] / row['batches']:>10.2f}"
        f"{row['peak_mb']:>10,.0f}{row['peak_above_start_mb']:>14,.0f}"
    )


HEAD = (
    f"{'case':<22}{'windows':>9}{'batches':>8}{'prepare s':>11}{'epoch s':>9}{'ms/batch':>10}"
    f"{'peak MB':>10}{'above start':>14}"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, default=EPOCH)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(one_case(options.case, options.windows)))
        return
    found = figures(options.windows)
    print(json.dumps(found, indent=2) if options.json else "\n".join([HEAD, *map(line, found)]))


if __name__ == "__main__":
    main()
