"""Time of the official PyTorch xLSTM on this processor: python benchmarks/official_torch.py [--json].

Dense(width), an mLSTM and an sLSTM block of four heads, a final normalisation, Dense(3) of the last step:
one training step (cross-entropy, Adam) and one inference of a batch. It needs torch and xlstm 2.0.6, which
may live in an environment of their own: this file imports nothing else, and `measure` can be told which
interpreter to run it with.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NEEDED = ("torch", "xlstm")
THREADS = 2


def missing() -> str | None:
    """Return one line on what has to be installed, None when everything is there."""
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not absent:
        return None
    return f"the official PyTorch xLSTM is left out: {' and '.join(absent)} not installed in {sys.executable}"


def measure(
    batch: int, steps: int, features: int, width: int, *, rounds: int = 5, python: str | None = None
) -> dict[str, Any] | None:
    """Return the seconds of one training step and of one inference, None when something is missing.

    Parameters
    ----------
    batch, steps, features, width : int
        Windows per batch, bars per window, features per bar and width of the residual stream.
    rounds : int
        Runs of each, after one to warm up; the fastest counts.
    python : str, optional
        Interpreter of another environment to measure in; this one by default.

    Returns
    -------
    dict or None
        ``training`` and ``inference`` (wall seconds), ``training_cpu`` and ``inference_cpu`` (CPU seconds of
        all threads), ``threads`` and the ``versions`` of torch and xlstm.
    """
    if python is not None:
        return _measure_elsewhere(python, batch, steps, features, width, rounds)
    if missing():
        return None
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        return _measure_here(batch, steps, features, width, rounds)
    finally:
        torch.set_num_threads(before)


def _measure_here(batch: int, steps: int, features: int, width: int, rounds: int) -> dict[str, Any]:
    from importlib.metadata import version

    import torch

    torch.manual_seed(0)
    model = _model(steps, features, width)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, labels = torch.randn(batch, steps, features), torch.randint(0, 3, (batch,))

    def train() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    def infer() -> None:
        with torch.inference_mode():
            model(x)

    training, training_cpu = _fastest(train, rounds)
    model.eval()
    inference, inference_cpu = _fastest(infer, rounds)
    return {
        "training": training,
        "inference": inference,
        "training_cpu": training_cpu,
        "inference_cpu": inference_cpu,
        "threads": THREADS,
        "versions": {name: version(name) for name in NEEDED},
    }


def _model(steps: int, features: int, width: int) -> Any:
    import torch
    import xlstm

    class LastStep(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, -1]

    stack = xlstm.xLSTMBlockStack(
        xlstm.xLSTMBlockStackConfig(
            mlstm_block=xlstm.mLSTMBlockConfig(),
            slstm_block=xlstm.sLSTMBlockConfig(
                # The other backend, ``cuda``, compiles for a graphics card.
                slstm=xlstm.sLSTMLayerConfig(backend="vanilla", dtype="float32")
            ),
            context_length=steps,
            embedding_dim=width,
            num_blocks=2,
            slstm_at=[1],
        )
    )
    return torch.nn.Sequential(torch.nn.Linear(features, width), stack, LastStep(), torch.nn.Linear(width, 3))


def _fastest(run: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Return the least wall and the least CPU seconds of some rounds."""
    run()
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


def _measure_elsewhere(python: str, *arguments: int) -> dict[str, Any] | None:
    sizes = zip(("--batch", "--steps", "--features", "--width", "--rounds"), arguments, strict=True)
    words = [word for name, value in sizes for word in (name, str(value))]
    command = [python, str(Path(__file__).resolve()), "--json", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise SystemExit(f"{python} cannot be run ({error.strerror}); name a Python interpreter") from error
    if done.returncode:
        print((done.stderr.strip().splitlines() or ["it failed without a message"])[-1], file=sys.stderr)
        return None
    return dict(json.loads(done.stdout))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--features", type=int, default=25)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", help="interpreter of the environment that has torch and xlstm")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    sizes = (options.batch, options.steps, options.features, options.width)
    result = measure(*sizes, rounds=options.rounds, python=options.python)
    if result is None:
        print(missing() or "the official PyTorch xLSTM could not be measured", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(result))
    else:
        for name in ("training", "inference"):
            print(f"{name:<10} {1e3 * result[name]:8.1f} ms  (CPU {1e3 * result[f'{name}_cpu']:.1f} ms)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
