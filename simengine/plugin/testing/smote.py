"""Contract of makers of synthetic rows."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

from simengine.data.synthetic import SmoteTask, Synthetic
from simengine.data.windows import WindowSet
from simengine.errors import PluginError
from simengine.plugin.testing.case import Case
from simengine.seed import stream

COUNTS = (90, 130, 180)
LENGTH, FEATURES = 8, 4


def check_smote(case: Case) -> None:
    """Pairs of train rows of one class, the same for the same seed, with and without a scratch folder.

    Rows whose windows share a bar are refused, since a mixture of the two is a copy.
    """
    train = _windows(case)
    with case.untouched("synthesize()", train):
        found = _checked(case, train, case.fresh().synthesize(SmoteTask(train, case.seed)))
    case.expect(len(found), f"synthesize() makes no row of classes with {COUNTS} rows")
    message = "two syntheses with the same seed differ"
    case.same(_triples(found), _triples(case.fresh().synthesize(SmoteTask(train, case.seed))), message)
    other = case.fresh().synthesize(SmoteTask(train, case.seed + 1))
    case.expect(_triples(other).tobytes() != _triples(found).tobytes(), "the seed given changes nothing")
    with tempfile.TemporaryDirectory() as folder:
        task = SmoteTask(train, case.seed, Path(folder) / "scratch")
        for run in ("the first", "a second"):
            kept = _checked(case, train, case.fresh().synthesize(task))
            case.same(
                _triples(kept), _triples(found), f"{run} synthesis with a scratch folder gives other rows"
            )


def _checked(case: Case, train: WindowSet, found: object) -> Synthetic:
    if not isinstance(found, Synthetic):
        raise AssertionError(
            f"smote {case.name}: synthesize() must return a Synthetic, received {type(found).__name__}"
        )
    size = len(found.first)
    for name in ("first", "second"):
        case.array(getattr(found, name), name, (size,), np.int64)
    case.array(found.mix, "mix", (size,), np.float32)
    try:
        found.check(train.labels, case.name)
    except PluginError as error:
        raise AssertionError(str(error)) from None
    near = np.abs(train.ends[found.first] - train.ends[found.second]) < train.length
    copies = np.flatnonzero(near & (train.groups[found.first] == train.groups[found.second]))
    case.expect(
        not len(copies), f"pair {copies[:1]} joins two windows that share a bar ({len(copies)} such pairs)"
    )
    try:
        json.dumps(found.report)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"smote {case.name}: the report must be plain data ({error})") from None
    return found


def _triples(found: Synthetic) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.stack([found.first, found.second, found.mix]).astype(np.float64)


def _windows(case: Case) -> WindowSet:
    """Return windows of two symbols, of which the classes differ a little."""
    rng = stream(case.seed, "testing.smote")
    n = sum(COUNTS)
    bars = n + 2 * (LENGTH - 1)
    ends = np.concatenate([np.arange(LENGTH - 1, bars // 2), np.arange(bars // 2 + LENGTH - 1, bars)])
    labels = rng.permutation(np.repeat([0, 1, 2], COUNTS)).astype(np.int8)
    matrix = rng.standard_normal((bars, FEATURES)).astype(np.float32)
    matrix[ends, 0] += 0.5 * labels
    groups = (ends >= bars // 2).astype(np.int16)
    return WindowSet(matrix, ends.astype(np.int32), labels, groups, LENGTH)
