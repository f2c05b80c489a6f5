"""The xLSTM's speed on this processor: python benchmarks/model.py [--quick] [--torch PYTHON] [--json].

One training step (loss, gradient, Adam with clipping, through the input pipeline of a training) and one
inference of a batch of 256 windows of 60 x 25, by

  Keras LSTM(64) x 2            the measure of everything else, plain or with XLA, whichever is faster
  xLSTM                         embedding 64, 4 heads, an mLSTM and an sLSTM block: with native kernels, which
                                the model component takes on a CPU, and as TensorFlow operations, also by XLA
  official PyTorch xLSTM        the same widths, on two threads or one, whichever is faster; needs torch and
                                xlstm, here or in the environment of --torch

In every round each takes its turn, one call to warm up and three of which the fastest counts. Ratios are
medians over the rounds of what was measured next to each other, in wall time and in CPU time of all threads;
times are the least of all rounds, and so is the ratio under ``of least``. Then the
share of the processor's peak (`model_flops.py`), the first call, and a whole epoch of 281,060 windows. A goal
that is missed is printed as such; the exit code is 0.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import model_candidates as candidates
import model_flops
import numpy as np
import official_torch
from model_candidates import BATCH, EPOCH, LSTM, LSTM_XLA, NATIVE, Candidate, Sample
from model_official import OFFICIAL, official
from model_official import THREADS as OFFICIAL_THREADS

GOALS = {"training": 1.5, "inference": 1.2}
OFFICIAL_GOAL, EPOCH_GOAL = 0.25, 150.0
WINDOWS = 20_000
QUICK_STEPS = 100
BUSY = 0.5
"""Load average at the start above which a note says that the machine is not quiet."""


@dataclass
class Result:
    """One network: least times, medians of its ratios to the measure, and what follows from them."""

    name: str
    milliseconds: dict[str, float]
    relative: dict[str, float]
    relative_of_least: dict[str, float]
    windows_per_second: dict[str, float]
    share_of_peak: dict[str, float]
    first_call: dict[str, float]


@dataclass
class Report:
    """Everything that is printed."""

    threads: int
    rounds: int
    measure: dict[str, str] = field(default_factory=dict)
    peak_gflops: float = 0.0
    megaflops_per_window: dict[str, float] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    native_first_call: dict[str, dict[str, float]] = field(default_factory=dict)
    epoch_cpu_seconds: float = 0.0
    figures: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def figure(self, what: str, value: float, unit: str, at_most: float) -> None:
        """Add a figure and whether it is where it should be."""
        self.figures.append(
            {"what": what, "value": value, "unit": unit, "target": at_most, "met": value <= at_most}
        )


def race(takers: list[Candidate], rounds: int, threads: int) -> tuple[dict[str, list[Sample]], float]:
    """Return the bursts of every round by name, and the peak seen between them.

    Every other round goes backwards: what drifts over a round then helps nobody.
    """
    found: dict[str, list[Sample]] = {taker.name: [] for taker in takers}
    peak = 0.0
    for number in range(rounds):
        for taker in takers if number % 2 == 0 else reversed(takers):
            found[taker.name].append(taker.burst())
        peak = max(peak, model_flops.peak(threads))
    return found, peak


def median_ratio(ours: list[Sample], theirs: list[Sample], what: str) -> float:
    return statistics.median(a[what] / b[what] for a, b in zip(ours, theirs, strict=True))


def faster(samples: dict[str, list[Sample]], names: Iterable[str], what: str) -> str:
    """Return the name of the fastest of some variants."""
    return min(names, key=lambda name: statistics.median(s[what] for s in samples[name]))


def result_of(
    taker: Candidate, samples: dict[str, list[Sample]], measure: dict[str, str], forward: float, peak: float
) -> Result:
    """Sum up the rounds of one network; ``forward`` are its operations per window."""
    own = samples[taker.name]
    names = [what for key in GOALS for what in (key, f"{key}_cpu")]
    base = {what: samples[measure[what.removesuffix("_cpu")]] for what in names}
    least, base_least = (
        {what: min(sample[what] for sample in rounds[what]) for what in names}
        for rounds in (dict.fromkeys(names, own), base)
    )
    operations = {"training": 3 * forward, "inference": forward}
    return Result(
        taker.name,
        {what: 1e3 * seconds for what, seconds in least.items()},
        {what: median_ratio(own, base[what], what) for what in names},
        {what: least[what] / base_least[what] for what in names},
        {what: BATCH / least[what] for what in GOALS},
        {what: BATCH * operations[what] / least[what] / peak for what in GOALS},
        taker.first_call,
    )


def operations() -> dict[str, int]:
    """Return the operations of one window forward, of the LSTM and of the xLSTM."""
    from simengine.model.classifier import ClassifierOptions

    chosen = ClassifierOptions(**candidates.options())
    return {
        "lstm": model_flops.lstm(candidates.FEATURES, candidates.LENGTH, candidates.WIDTH, 2),
        "xlstm": model_flops.classifier(chosen, candidates.FEATURES, candidates.LENGTH),
    }


def start_libraries() -> None:
    """Let TensorFlow and XLA start, so that the first network is not charged for it."""
    import tensorflow as tf

    tf.function(lambda x: x @ x, jit_compile=True)(tf.ones((8, 8)))


def add_speed(report: Report, torch: str | None) -> None:
    """Time all networks against one another."""
    start_libraries()
    train = candidates.windows(WINDOWS)
    takers = [candidates.candidate(name, train) for name in candidates.MODELS]
    sizes = (BATCH, candidates.LENGTH, candidates.FEATURES, candidates.WIDTH)
    bursts = official(sizes, candidates.BURST, torch)
    if isinstance(bursts, str):
        report.notes.append(bursts)
    else:
        takers += [Candidate(name, burst) for name, burst in bursts.items()]
        if report.threads != official_torch.THREADS:
            report.notes.append(f"{OFFICIAL} runs on {official_torch.THREADS} threads")
    samples, peak = race(takers, report.rounds, report.threads)
    report.measure = {what: faster(samples, (LSTM, LSTM_XLA), what) for what in GOALS}
    report.peak_gflops = peak / 1e9
    forward = operations()
    report.megaflops_per_window = {name: count / 1e6 for name, count in forward.items()}
    for taker in takers:
        kind = "lstm" if taker.name in (LSTM, LSTM_XLA) else "xlstm"
        report.results.append(result_of(taker, samples, report.measure, forward[kind], peak))
    ours = next(result for result in report.results if result.name == NATIVE)
    for what, goal in GOALS.items():
        report.figure(f"{what} / Keras LSTM(64) x 2", ours.relative[what], "x", goal)
    if OFFICIAL in samples:
        for what in GOALS:
            name = faster(samples, OFFICIAL_THREADS, what)
            ratio = median_ratio(samples[NATIVE], samples[name], what)
            report.figure(f"{what} / {name}", ratio, "x", OFFICIAL_GOAL)


def add_first_calls(report: Report) -> None:
    """Time the first calls of the native kernels in new processes: compiled there, then found on disk."""
    command = [sys.executable, __file__, "--first-call"]
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cold", "warm"):
            done = subprocess.run(
                command, capture_output=True, text=True, check=False,
                env={**os.environ, "NUMBA_CACHE_DIR": cache},
            )  # fmt: skip
            if done.returncode:
                raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
            report.native_first_call[name] = json.loads(done.stdout.splitlines()[-1])


def add_epoch(report: Report, quick: bool) -> None:
    """Time an epoch with the native kernels: every step of it, or the first ones."""
    feed = candidates.feed_of(candidates.xlstm("native"), candidates.windows(EPOCH), jit=False)
    batches = feed.batches(1)
    weights = np.ones(3)
    feed.step(batches[0], weights, 1e-3)
    start, cpu = time.perf_counter(), time.process_time()
    taken = feed.batches(1)[: QUICK_STEPS if quick else None]
    for batch in taken:
        feed.step(batch, weights, 1e-3)
    steps = len(taken)
    seconds = (time.perf_counter() - start) * len(batches) / steps
    report.epoch_cpu_seconds = (time.process_time() - cpu) * len(batches) / steps
    how = f"extrapolated from {steps} of {len(batches):,} steps" if quick else f"{steps:,} steps"
    report.figure(f"an epoch of {EPOCH:,} windows ({how})", seconds, "s", EPOCH_GOAL)


def table(report: Report) -> list[str]:
    """Return the lines of the table of networks."""
    lines = []
    for what in GOALS:
        head = f"{what}, relative to {report.measure[what]}"
        columns = ("ms", "CPU ms", "relative", "of least", "by CPU", "windows/s", "of peak", "first call")
        lines += ["", head, f"{'':<26}" + "".join(f"{column:>11}" for column in columns)]
        for row in report.results:
            first = row.first_call.get(what)
            lines.append(
                f"{row.name:<26}{row.milliseconds[what]:11.1f}{row.milliseconds[f'{what}_cpu']:11.1f}"
                f"{row.relative[what]:11.2f}{row.relative_of_least[what]:11.2f}"
                f"{row.relative[f'{what}_cpu']:11.2f}"
                f"{row.windows_per_second[what]:11,.0f}{row.share_of_peak[what]:11.1%}"
                + (f"{first:9.1f} s" if first is not None else "")
            )
    return lines


def text(report: Report) -> str:
    """Return the report for people."""
    flops = report.megaflops_per_window
    lines = [
        f"batch {BATCH} of {candidates.LENGTH} x {candidates.FEATURES}, {report.threads} threads, "
        f"{report.rounds} rounds; peak {report.peak_gflops:,.0f} GFLOP/s; forward products of a window: "
        f"LSTM {flops['lstm']:.2f}, xLSTM {flops['xlstm']:.2f} MFLOP",
        *report.notes,
        *table(report),
        "",
    ]
    for name, seconds in report.native_first_call.items():
        lines.append(
            f"first calls of the native kernels, {name} cache: "
            + ", ".join(f"{what} {value:.1f} s" for what, value in seconds.items())
        )
    for found in report.figures:
        verdict = "met" if found["met"] else "MISSED"
        value = f"{found['value']:.2f} {found['unit']}"
        lines.append(f"{found['what']:<64}{value:>10}  <= {found['target']:<6g}{verdict}")
    lines.append(f"that epoch took {report.epoch_cpu_seconds:.0f} s of CPU time")
    return "\n".join(lines)


def first_call() -> dict[str, float]:
    start_libraries()
    return candidates.candidate(NATIVE, candidates.windows(2 * BATCH)).first_call


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"3 rounds, {QUICK_STEPS} steps of the epoch")
    parser.add_argument("--rounds", type=int, help="rounds of all networks (15; 3 when quick)")
    parser.add_argument("--torch", metavar="PYTHON", help="interpreter that has torch and xlstm")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--first-call", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.rounds is not None and chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # every network is a graph of its own: retracing
    from simengine.train.determinism import make_deterministic

    make_deterministic()  # as every training does
    if chosen.first_call:
        print(json.dumps(first_call()))
        return
    report = Report(candidates.threads(), chosen.rounds or (3 if chosen.quick else 15))
    load = os.getloadavg()[0]
    if load > BUSY:
        report.notes.append(
            f"other processes are running (load average {load:.1f}): wall times, the peak and shares of it "
            "mean little, ratios by CPU more; measure again on a quiet machine"
        )
    add_speed(report, chosen.torch)
    add_first_calls(report)
    add_epoch(report, chosen.quick)
    print(json.dumps(asdict(report)) if chosen.json else text(report))


if __name__ == "__main__":
    main()
