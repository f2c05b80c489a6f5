"""The official PyTorch xLSTM beside the networks of `model_candidates.py`, here or in its own environment.

Run by `model.py` with the interpreter of another environment, it times the network whenever a line on its
standard input asks for it; nothing else of this project is imported there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import official_torch

OFFICIAL = "official PyTorch xLSTM"
THREADS = {OFFICIAL: official_torch.THREADS, f"{OFFICIAL}, 1 thread": 1}
"""Its variants. On a busy machine threads of PyTorch that wait for one another made it ten times slower
than it is with one thread: the faster is what others are compared with.
"""
LEFT_OUT = "the official PyTorch xLSTM is left out"

Burst = Callable[[], dict[str, Any]]


def official(sizes: tuple[int, int, int, int], burst: int, python: str | None) -> dict[str, Burst] | str:
    """Return what times one burst of each variant of the network, or one line on what is missing.

    Parameters
    ----------
    sizes : tuple of four int
        Batch, steps, features and width of `official_torch.measure`.
    burst : int
        Runs of which the fastest counts.
    python : str, optional
        Interpreter of another environment, whose process stays open and is idle between its turns; by
        default this one.
    """
    if python is None:
        reason = official_torch.missing()
        if reason:
            return f"{reason}; name the Python of an environment that has them: --torch PYTHON"
        return {name: partial(timed, sizes, burst, count) for name, count in THREADS.items()}
    try:
        process = subprocess.Popen(
            [python, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
    except OSError as error:
        return f"{LEFT_OUT}: {python} cannot be run ({error.strerror})"
    try:
        answer = _ask(process, {})
    except EOFError as error:
        return f"{LEFT_OUT}: {error}"
    if answer["missing"]:
        return str(answer["missing"])
    question = {"sizes": sizes, "burst": burst}
    return {name: partial(_ask, process, {**question, "threads": n}) for name, n in THREADS.items()}


def timed(sizes: tuple[int, int, int, int], burst: int, threads: int) -> dict[str, Any]:
    """Time one burst with so many threads."""
    usual, official_torch.THREADS = official_torch.THREADS, threads
    try:
        return official_torch.measure(*sizes, rounds=burst) or {}
    finally:
        official_torch.THREADS = usual


def _ask(process: subprocess.Popen[str], question: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of the other process; EOFError when it is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(question) + "\n")
        answer = process.stdout.readline()
    except BrokenPipeError:
        answer = ""
    if not answer:
        raise EOFError(f"{process.args[0]} ended, its message stands above")
    return dict(json.loads(answer))


def main() -> None:
    for line in sys.stdin:
        question = json.loads(line)
        if question:
            answer = timed(question["sizes"], question["burst"], question["threads"])
        else:
            answer = {"missing": official_torch.missing()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
