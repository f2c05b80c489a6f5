"""From the rows that may be bases to synthetic rows: draw, find neighbours, mix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simengine import PerClass
from simengine.data.neighbours.query import Keep, Neighbours, Query, available
from simengine.data.synthetic import SmoteTask, Synthetic
from simengine.errors import ConfigError, DataError
from simengine.log import event, get_logger
from simengine.seed import stream
from simengine.types import CLASS_NAMES, N_CLASSES, IntArray, LabelArray, Signal
from simengine_plugins.smote.memory import MB, peak_memory
from simengine_plugins.smote.scratch import Scratch, identity
from simengine_plugins.smote.wanted import wanted_rows

logger = get_logger("simengine.smote")

_DONE = "synthetic"
_RESULT_BYTES = 96  # a synthetic row: its triple, the triple on its way to the disk, and the draws
_HASH_BYTES = 64  # a train row: masks, rows by class

Pools = Callable[["Filling"], Mapping[int, IntArray]]
"""Rows of each wanted class that may be bases."""


@dataclass(slots=True)
class Filling:
    """One synthesis.

    Parameters
    ----------
    task : SmoteTask
        What is asked for.
    who : str
        For messages, ``"smote <component>"``.
    k : int
        Neighbours of each base.
    exclusion : int
        Bars, resolved.
    budget_mb : int
        As configured.
    wanted : int64 array, shape (3,)
        Synthetic rows of each class.
    scratch : Scratch
        Where parts are kept.
    report : dict
        What the log will say.
    """

    task: SmoteTask
    who: str
    k: int
    exclusion: int
    budget_mb: int
    wanted: IntArray
    scratch: Scratch
    report: dict[str, object]

    @property
    def classes(self) -> list[int]:
        """Classes that get rows."""
        return np.flatnonzero(self.wanted).tolist()

    def nearest(self, bases: IntArray, kinds: LabelArray, k: int, part: str) -> Neighbours:
        """Return the k nearest of some bases.

        Raises
        ------
        ConfigError
            The memory budget is too small.
        """
        from simengine.data.neighbours.search import BudgetError, nearest

        train = self.task.train
        fixed = _RESULT_BYTES * int(self.wanted.sum()) + _HASH_BYTES * len(train)
        keep: Keep | None = None if self.scratch.folder is None else self.scratch.part(part)
        query = Query(train, bases, kinds, k, self.exclusion)
        try:
            found = nearest(query, self.budget_mb * MB - fixed, progress=self.task.progress, keep=keep)
        except BudgetError as error:
            least = error.least_mb + -(-fixed // MB)
            raise ConfigError(
                f"{self.who}: memory_budget_mb {self.budget_mb} is too small for {len(train):,} train rows; "
                f"the least that works is {least}"
            ) from None
        estimate: Any = found.info["estimate_mb"]
        most: Any = self.report.get("memory_estimate_mb", 0.0)
        self.report["memory_estimate_mb"] = round(max(most, estimate + fixed / MB), 1)
        self.report[part] = {key: value for key, value in found.info.items() if key != "estimate_mb"}
        return found

    def check_apart(self, kinds: LabelArray, k: int, option: str) -> None:
        """Refuse classes of which a row has fewer than k rows of its kind apart in time.

        Raises
        ------
        DataError
            With the class, the numbers and the fix.
        """
        train = self.task.train
        counts = available(train, kinds, self.exclusion)
        for label in self.classes:
            rows = np.flatnonzero(train.labels == label)
            worst = int(rows[counts[rows].argmin()])
            least = int(counts[worst])
            if least < k:
                others = "no other row" if least == 0 else f"only {least} other rows"
                smaller = "" if least == 0 else f"{option} <= {least}, "
                whose = "of its class " if option == "k_neighbors" else ""
                raise DataError(
                    f"{self.who}: class {Signal(label).name} has {len(rows):,} train rows, and row {worst} "
                    f"finds {others} {whose}at least {self.exclusion} bars apart, but {option} is {k}; use "
                    f"{smaller}more bars, or a target that leaves {Signal(label).name} as it is"
                )


def fill(
    task: SmoteTask,
    who: str,
    options: Mapping[str, Any],
    pools: Pools,
) -> Synthetic:
    """Make the synthetic rows of a task.

    Parameters
    ----------
    task : SmoteTask
        What is asked for.
    who : str
        For messages.
    options : mapping
        ``target, k_neighbors, exclusion_bars, memory_budget_mb`` and what else the rows depend on.
    pools : callable
        Returns the rows of each wanted class that may be bases.

    Raises
    ------
    DataError, ConfigError
        As `Filling` says.
    """
    # numba is imported for those who use it, and its compiler is not part of the memory that is measured.
    from simengine.data.neighbours.search import compile_kernels

    compile_kernels()
    with peak_memory() as peak:
        counts = np.bincount(task.train.labels, minlength=N_CLASSES).astype(np.int64)
        target = options["target"]
        wanted = wanted_rows(counts, target, who)
        shown = target._asdict() if isinstance(target, PerClass) else target
        scratch = Scratch(task.scratch, identity(task, {"who": who, **options, "target": shown}))
        exclusion = options["exclusion_bars"] or task.train.length
        budget = options["memory_budget_mb"]
        work = Filling(task, who, options["k_neighbors"], exclusion, budget, wanted, scratch, {})
        work.report |= {"rows": _by_class(counts), "made": _by_class(wanted)}
        first, second, mix = _restored(work) or _made(work, pools)
    work.report["memory_peak_mb"] = peak.mb
    return Synthetic(first, second, mix, work.report)


def _made(work: Filling, pools: Pools) -> tuple[Any, Any, Any]:
    labels, k = work.task.train.labels, work.k
    drawn: dict[int, IntArray] = {}
    if work.classes:
        kinds = np.where(np.isin(labels, work.classes), labels, -1).astype(np.int8)
        work.check_apart(kinds, k, "k_neighbors")
        for label, pool in pools(work).items():
            rng = stream(work.task.seed, "smote.bases", label)
            drawn[label] = _drawn(pool, int(work.wanted[label]), rng)
    if not drawn:
        none = np.zeros(0, dtype=np.int64)
        return none, none.copy(), np.zeros(0, dtype=np.float32)
    first = np.concatenate(list(drawn.values()))
    bases, place = np.unique(first, return_inverse=True)
    found = work.nearest(bases, kinds, k, "neighbours").rows
    choice, mix = [], []
    for label, rows in drawn.items():
        rng = stream(work.task.seed, "smote.mix", label)
        choice.append(rng.integers(0, k, len(rows)))
        mix.append(rng.random(len(rows), dtype=np.float32))
    second: IntArray = found[place, np.concatenate(choice)]
    result = (first, second, np.concatenate(mix))
    work.scratch.save(_DONE, dict(zip(("first", "second", "mix"), result, strict=True)))
    for part in ("neighbours", "danger"):
        work.scratch.drop(part)
    return result


def _restored(work: Filling) -> tuple[Any, Any, Any] | None:
    kept = work.scratch.load(_DONE)
    if kept is None:
        return None
    event(logger, "smote_restored", f"{work.who}: its rows are made already")
    work.report["restored"] = True
    return kept["first"], kept["second"], kept["mix"]


def _drawn(pool: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """Return ``count`` rows of a pool, each again only after all were drawn as often."""
    passes, rest = divmod(count, len(pool))
    rows = [rng.permutation(pool) for _ in range(passes)]
    rows.append(rng.permutation(pool)[:rest])
    return np.concatenate(rows)


def _by_class(counts: IntArray) -> dict[str, int]:
    return dict(zip(CLASS_NAMES, counts.tolist(), strict=True))
