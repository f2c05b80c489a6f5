"""Whether the xLSTM stays finite at extreme gates and inputs: python benchmarks/stability.py [--seeds 1000].

Every seed draws all weights of a layer or block anew, and a batch of sequences. Gate biases are +40 or -40:
input and forget gate of the four heads have all four pairs of signs, the units of an sLSTM, whose cell and
output gates are biased too, signs of their own. Gates also follow the inputs, some of which are 100 times
larger than the others, larger from the middle of the sequence on, or all 0. Counted are the outputs and the
gradients, by inputs and by all weights, of a random sum of the outputs that are not finite numbers, in
float32. A block normalises its inputs, so that only its bare layer meets their size. Exits with 1 when there
is any.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from simengine.model.block import MLSTMBlock, SLSTMBlock
from simengine.model.large import MLSTMLarge, MLSTMLargeBlock
from simengine.model.mlstm import MLSTM
from simengine.model.options import LargeOptions, MLSTMOptions, SLSTMOptions
from simengine.model.slstm import SLSTM

Kernels = Literal["native", "tensorflow", "xla"]
Array = NDArray[np.float32]

WIDTH, HEADS, LENGTH = 16, 4, 60
BIAS, LARGE = 40.0, 100.0
ROWS = 9
"""Sequences of a batch: more than the native kernels take at once, so that some of their lanes are empty."""


@dataclass
class Case:
    """One layer or block by one kind of kernels, and what was found."""

    kind: Literal["mlstm", "slstm", "mlstm_large"]
    part: Literal["layer", "block"]
    kernels: Kernels
    seeds: int = 0
    numbers: int = 0
    forward: int = 0
    gradient: int = 0
    failed: list[int] = field(default_factory=list)
    largest_output: float = 0.0
    largest_gradient: float = 0.0

    def add(self, seed: int, y: Array, gradient: Array) -> None:
        """Count what one seed gave."""
        outside = [int((~np.isfinite(array)).sum()) for array in (y, gradient)]
        self.seeds += 1
        self.numbers += y.size + gradient.size
        self.forward += outside[0]
        self.gradient += outside[1]
        if any(outside):
            self.failed.append(seed)
        self.largest_output = max(self.largest_output, _largest(y))
        self.largest_gradient = max(self.largest_gradient, _largest(gradient))

    def __str__(self) -> str:
        failed = f"  seeds {', '.join(map(str, self.failed[:5]))}" if self.failed else ""
        return (
            f"{self.kind:<13}{self.part:<7}{self.kernels:<12}{self.seeds:7,}{self.numbers:14,}"
            f"{self.forward:10,}{self.gradient:10,}{self.largest_output:12.1e}{self.largest_gradient:12.1e}{failed}"
        )


HEADER = (
    f"{'kind':<13}{'part':<7}{'kernels':<12}{'seeds':>7}{'numbers':>14}"
    f"{'forward':>10}{'gradient':>10}{'max |y|':>12}{'max |dL|':>12}"
)


def _largest(array: Array) -> float:
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))


def cases() -> list[Case]:
    """Return all combinations that there are."""
    every: tuple[Kernels, ...] = ("native", "tensorflow", "xla")
    return [
        Case(kind, part, kernels)
        for kind in ("mlstm", "slstm", "mlstm_large")
        for part in ("layer", "block")
        for kernels in (every if kind != "mlstm_large" else every[1:])
    ]


def build(case: Case) -> Any:
    """Return the layer or block of a case."""
    native: dict[str, Any] = {"kernels": "native" if case.kernels == "native" else "tensorflow"}
    kinds: dict[str, tuple[Any, Any, Any]] = {
        "mlstm": (MLSTM, MLSTMBlock, MLSTMOptions(heads=HEADS, use_bias=True, **native)),
        "slstm": (SLSTM, SLSTMBlock, SLSTMOptions(heads=HEADS, **native)),
        "mlstm_large": (MLSTMLarge, MLSTMLargeBlock, LargeOptions(heads=HEADS, use_bias=True)),
    }
    layer, block, options = kinds[case.kind]
    made = (layer if case.part == "layer" else block)(options, dtype="float32")
    made.build((None, LENGTH, WIDTH))
    return made


class Trial:
    """A layer or block whose weights are drawn anew for each seed, compiled once.

    Parameters
    ----------
    layer : SequenceLayer
        Built; its own initial weights are where all draws start from.
    jit : bool
        Whether XLA compiles it.
    """

    def __init__(self, layer: Any, *, jit: bool) -> None:
        self.layer = layer
        self.variables = layer.trainable_variables
        self.start = [variable.numpy() for variable in self.variables]
        self.function = tf.function(self._forward_and_gradient, jit_compile=jit)

    def run(self, seed: int) -> tuple[Array, Array]:
        """Return the outputs (B, S, D) of a seed, and its gradients one after another."""
        rng = np.random.default_rng(seed)
        for variable, start in zip(self.variables, self.start, strict=True):
            variable.assign(drawn(variable, start, rng))
        x = inputs(rng)
        y, gradient = self.function(x, rng.normal(size=x.shape).astype(np.float32))
        return y.numpy(), gradient.numpy()

    def _forward_and_gradient(self, x: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = self.layer(x)
            total = tf.reduce_sum(y * weights)
        found = tape.gradient(total, [x, *(variable.value for variable in self.variables)])
        return y, tf.concat([tf.reshape(gradient, [-1]) for gradient in found], 0)


def drawn(variable: Any, start: Array, rng: np.random.Generator) -> Array:
    """Return new values of a weight: the extreme ones of gate biases, and noise around those of the rest."""
    shape = tuple(variable.shape)
    if variable.name in ("input_gate_bias", "forget_gate_bias"):
        signs = {"input_gate_bias": [1, 1, -1, -1], "forget_gate_bias": [1, -1, 1, -1]}[variable.name]
        return np.asarray(BIAS * np.array(signs), np.float32)
    if variable.name == "bias" and shape == (HEADS, 4 * WIDTH // HEADS):  # of the gates of an sLSTM
        return np.asarray(BIAS * rng.choice([-1, 1], shape), np.float32)
    size = shape[-2] ** -0.5 if len(shape) > 1 else 0.3
    return np.asarray(start + size * rng.normal(size=shape), np.float32)


def inputs(rng: np.random.Generator) -> Array:
    """Return a batch (ROWS, LENGTH, WIDTH) of sequences of several sizes."""
    x = rng.normal(size=(ROWS, LENGTH, WIDTH))
    x[2:6] *= LARGE
    x[6, LENGTH // 2 :] *= LARGE
    x[7, : LENGTH // 2] *= LARGE
    x[8] = 0.0
    return x.astype(np.float32)


def examine(case: Case, seeds: range) -> Case:
    """Run a case with some seeds."""
    trial = Trial(build(case), jit=case.kernels == "xla")
    for seed in seeds:
        case.add(seed, *trial.run(seed))
    return case


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1_000, help="seeds of every layer and kind of kernels")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error("--seeds must be at least 1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # every case is a graph of its own: retracing
    start, found = time.perf_counter(), []
    if not options.json:
        print(HEADER)
    for case in cases():
        found.append(examine(case, range(options.seeds)))
        if not options.json:
            print(case, flush=True)
    bad = sum(case.forward + case.gradient for case in found)
    seconds = time.perf_counter() - start
    if options.json:
        print(json.dumps({"passed": not bad, "seconds": seconds, "cases": [asdict(case) for case in found]}))
    else:
        verdict = f"{bad:,} numbers are NaN or infinite" if bad else "all numbers are finite"
        print(f"{verdict} ({seconds:.0f} s)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
