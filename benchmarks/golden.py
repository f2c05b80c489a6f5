"""Do the layers equal the official xLSTM? python benchmarks/golden.py DIR [--json].

DIR holds recorded cases (see golden_cases.py). Every case is run in float32 along every path: operation by
operation (``tensorflow``), compiled (``xla``) and by the kernels of simengine.model.native (``native``; where
they cannot compute a layer, the row says that operations did). --case and --path choose some, by comma.
Limits, set by the official implementation's own float32 errors:

  forward   largest difference from the official float64 output: 3 times the official one, or 1e-5 of max |y|
  gradient  of each parameter and of the input: largest difference relative to its largest element, 1e-4, or
            3 times the official one where that is recorded; 3 units of float32 rounding of the case's largest
            gradient always pass. The figure by norm, || difference || / || gradient ||, has no limit
  state     after the last step, from the official start: largest difference relative to the largest element,
            3e-5
  step      last output of the stepwise run: 3 times the official error of that run, or 1e-5 of max |y|

The memory of the mLSTM alone is checked in its three forms. Exit code 1 when a limit is broken or a case is
damaged, 2 when the directory is.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Literal

import numpy as np
from golden_cases import GoldenError, KernelCase, LayerCase, read_case, read_config

FORWARD, OWN_ERRORS = 1e-5, 3.0
GRADIENT = 1e-4
ROUNDING = OWN_ERRORS * 2.0**-23
STATE = 3e-5


@dataclass(frozen=True)
class Path:
    """A way to compute: its name, how operations are run, further options, and whether states are checked."""

    name: str
    mode: Literal["eager", "graph", "xla"] = "graph"
    options: dict[str, Any] = field(default_factory=dict)
    states: bool = True


# The native kernels do not carry states: with one, the layer runs as TensorFlow operations anyway.
PATHS = (Path("tensorflow"), Path("xla", "xla"), Path("native", options={"kernels": "native"}, states=False))


@dataclass(frozen=True)
class Figure:
    """An error beside its limit."""

    error: float
    limit: float
    of: str = ""

    @property
    def within(self) -> bool:
        """Whether the limit holds; NaN breaks it."""
        return bool(self.error <= self.limit)


@dataclass
class Row:
    """What was measured for one case along one path."""

    case: str
    path: str
    official: float
    figures: dict[str, Figure] = field(default_factory=dict)
    norm_wise: float | None = None
    kernels: str = "tensorflow"

    @property
    def passed(self) -> bool:
        """Whether every limit holds."""
        return all(figure.within for figure in self.figures.values())

    @property
    def ratio(self) -> float:
        """Forward error as a multiple of the official one."""
        return self.figures["forward"].error / self.official if self.official else float("inf")

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON can hold it."""
        figures = {
            name: {"error": _plain(figure.error), "limit": figure.limit, "of": figure.of}
            for name, figure in self.figures.items()
        }
        own = {"case": self.case, "path": self.path, "kernels": self.kernels, "passed": self.passed}
        own["official"] = self.official
        return {**own, "ratio": _plain(self.ratio), "gradient_norm_wise": _plain(self.norm_wise), **figures}


def _plain(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def largest(actual: Any, expected: Any) -> float:
    """Return the largest absolute difference."""
    difference = np.abs(np.asarray(actual, np.float64) - np.asarray(expected, np.float64))
    return float(difference.max(initial=0.0))


def relative(actual: Any, expected: Any, floor: float = 0.0) -> float:
    """Return `largest` relative to the largest element, or to ``floor``; of zeros, the difference."""
    scale = max(float(np.abs(expected).max(initial=0.0)), floor)
    return largest(actual, expected) / (scale or 1.0)


def worst(errors: dict[str, float], limit: float) -> Figure:
    """Return the largest of named errors."""
    # NaN is the worst of all; `max` alone would lose it.
    name = max(errors, key=lambda key: np.nan_to_num(errors[key], nan=np.inf))
    return Figure(errors[name], limit, name)


def gradient_figures(
    case: LayerCase, row: Row, dx: Any, gradients: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Add the errors of all gradients to a row."""
    expected, actual = {**expected, "x": case.dx}, {**gradients, "x": dx}
    if missing := expected.keys() ^ actual.keys():
        raise GoldenError(f"{case.name}: gradients on one side only: {', '.join(sorted(missing))}")
    limit = max(GRADIENT, OWN_ERRORS * case.gradient_error)
    floor = ROUNDING / limit * max(float(np.abs(array).max()) for array in expected.values())
    row.figures["gradient"] = worst({k: relative(actual[k], expected[k], floor) for k in expected}, limit)
    norms = {name: float(np.linalg.norm(array)) for name, array in expected.items()}
    row.norm_wise = max(
        float(np.linalg.norm(actual[name] - expected[name])) / (max(norms[name], floor) or 1.0)
        for name in expected
    )


def state_errors(actual: dict[str, Any], expected: dict[str, Any], case: str) -> dict[str, float]:
    """Return the relative error of each state; shapes may differ by axes of length 1."""
    if missing := actual.keys() ^ expected.keys():
        raise GoldenError(f"{case}: states on one side only: {', '.join(sorted(missing))}")
    return {name: relative(actual[name].reshape(expected[name].shape), expected[name]) for name in expected}


def check_layer(case: LayerCase, path: Path) -> Row:
    """Measure a layer, block or stack along one path."""
    import golden_runs as runs

    layer = runs.build(case, **path.options)
    row, size = Row(case.name, path.name, case.error), float(np.abs(case.y).max())
    row.kernels = runs.computed_by(layer)
    y, dx, gradients = runs.forward_and_gradients(layer, case, path.mode)
    limit = max(OWN_ERRORS * case.error, FORWARD * size)
    row.figures["forward"] = Figure(largest(y, case.y64), limit)
    gradient_figures(case, row, dx, gradients, runs.expected_gradients(layer, case))
    if not path.states:
        return row
    last, states = runs.stepwise(layer, case, path.mode)
    whole = state_errors(runs.final_states(layer, case, path.mode), case.states, case.name)
    single = state_errors(states, case.states, case.name)
    row.figures["state"] = worst({name: max(whole[name], single[name]) for name in whole}, STATE)
    limit = max(OWN_ERRORS * case.step_error, FORWARD * size)
    row.figures["step"] = Figure(largest(last, case.y_step_last), limit)
    return row


def check_kernel(case: KernelCase, path: Path) -> list[Row]:
    """Measure the three forms of the mLSTM's memory along one path."""
    import tensorflow as tf
    from golden_runs import as_mode

    from simengine.model import memory

    arrays = [tf.constant(x, tf.float32) for x in (case.q, case.k, case.v, case.input_gate, case.forget_gate)]
    start = memory.zero_state(case.q.shape[:2], case.k.shape[-1], case.v.shape[-1], tf.float32, 0.0)
    size, rows = float(np.abs(case.h64).max()), []
    for name, error in case.errors.items():
        form, _, chunk = name.partition(" ")
        options = {"chunk_size": int(chunk)} if chunk else {}
        run = as_mode(getattr(memory, f"mlstm_{form}"), path.mode)
        hidden, state = run(*arrays, initial_state=start, return_state=True, **options)
        row = Row(f"{case.name} {name}", path.name, error)
        row.figures["forward"] = Figure(largest(hidden, case.h64), max(OWN_ERRORS * error, FORWARD * size))
        pairs = zip(("C", "n", "m"), state, case.state, strict=True)
        row.figures["state"] = worst({key: relative(ours, theirs) for key, ours, theirs in pairs}, STATE)
        rows.append(row)
    return rows


def check(directory: FilePath, name: str, entry: dict[str, Any], paths: list[Path]) -> list[Row]:
    """Return the rows of one case."""
    case = read_case(directory, name, entry)
    if isinstance(case, LayerCase):
        return [check_layer(case, path) for path in paths]
    # The memory alone has no options: other kernels are those of a layer.
    return [row for path in paths if not path.options for row in check_kernel(case, path)]


COLUMNS = ("forward", "limit", "/ official", "gradient", "by norm", "state", "step")
HEADER = f"{'case':<34} {'path':<10} " + " ".join(f"{name:>10}" for name in COLUMNS) + "  verdict"


def as_line(row: Row) -> str:
    """Return a row of the table; what breaks its limit is named at the end."""
    errors = {name: figure.error for name, figure in row.figures.items()}
    values = {**errors, "limit": row.figures["forward"].limit, "by norm": row.norm_wise}
    cells = {name: f"{value:.1e}" for name, value in values.items() if value is not None}
    cells["/ official"] = f"{row.ratio:.2f}"
    broken = [
        f"{name} > {figure.limit:.1e} ({figure.of})" if figure.of else f"{name} > {figure.limit:.1e}"
        for name, figure in row.figures.items()
        if not figure.within
    ]
    verdict = f"DIFFERS: {', '.join(broken)}" if broken else "equal"
    if row.path == "native" and row.kernels != "native":
        verdict += f" (computed by {'both' if row.kernels == 'both' else 'TensorFlow operations'})"
    line = " ".join(f"{cells.get(column, '-'):>10}" for column in COLUMNS)
    return f"{row.case:<34} {row.path:<10} {line}  {verdict}"


def _chosen(text: str | None, known: list[str], what: str) -> list[str]:
    from simengine.errors import unknown_name

    names = known if text is None else text.split(",")
    for name in names:
        if name not in known:
            raise GoldenError(unknown_name(what, name, known))
    return names


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=FilePath, metavar="DIR", help="npz files and config.json")
    parser.add_argument("--case", help="these cases only, by comma")
    parser.add_argument("--path", help=f"these paths only: {', '.join(path.name for path in PATHS)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # every case is a graph of its own: retracing
    by_name = {path.name: path for path in PATHS}
    try:
        config = read_config(options.directory)
        names = _chosen(options.case, list(config), "case")
        paths = [by_name[name] for name in _chosen(options.path, list(by_name), "path")]
    except GoldenError as error:
        print(error, file=sys.stderr)
        return 2
    rows, damaged = [], {}
    if not options.json:
        print(HEADER)
    for name in names:
        try:
            found = check(options.directory, name, config[name], paths)
        except ValueError as error:
            damaged[name] = str(error).splitlines()[0]
            print(f"{name}: {damaged[name]}", file=sys.stderr)
            continue
        rows += found
        if not options.json:
            print("\n".join(map(as_line, found)), flush=True)
    passed = not damaged and all(row.passed for row in rows)
    if options.json:
        print(json.dumps({"passed": passed, "rows": [row.as_json() for row in rows], "damaged": damaged}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
