"""The search: choose the method, go through its chunks, settle the nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from simengine.data.neighbours import direct, sliding
from simengine.data.neighbours.axis import axis_length, steps
from simengine.data.neighbours.exact import rescan, settle
from simengine.data.neighbours.query import Keep, Neighbours, Query
from simengine.data.neighbours.table import Table, table_bytes
from simengine.data.neighbours.task import Method, Work, prepare, prepared_bytes, relative_error
from simengine.data.windows import WindowSet
from simengine.log import NoProgress, Progress
from simengine.seed import stream
from simengine.types import FloatArray, IntArray

MB = 2**20
_NEXT = "next"


class BudgetError(Exception):
    """The memory budget is too small; ``least_mb`` is the least that works."""

    def __init__(self, least_mb: int) -> None:
        super().__init__(f"{least_mb} MB")
        self.least_mb = least_mb


@dataclass(frozen=True, slots=True)
class Plan:
    """A way to search.

    Parameters
    ----------
    cost : float
        About so many ns on one core.
    bytes : int
        Upper bound of the memory it allocates.
    make : callable
        Returns the method.
    """

    cost: float
    bytes: int
    make: Callable[[], Method]


def nearest(
    query: Query,
    budget: int,
    *,
    method: str | None = None,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> Neighbours:
    """Find the k nearest windows of every base, by Euclidean distance over the whole window.

    Two methods give the same rows. Both compute products of float32 by matrix multiplication and keep a few
    more candidates than needed; these are ranked by exact distances in float64. Where the rounding of the
    products leaves it open which windows are the nearest, all windows are scanned.

    Parameters
    ----------
    query : Query
        At least one base; each base has k candidates.
    budget : int
        Bytes that may be allocated besides the windows.
    method : str, optional
        ``"sliding sums"`` or ``"direct products"``; by default what is quicker within the budget.
    progress : Progress, optional
        Told about every chunk.
    keep : Keep, optional
        Keeps the state after every chunk; a search that finds one there goes on after its last chunk and
        ends in the same bytes.

    Raises
    ------
    BudgetError
        When no method fits in.
    DataError
        As `task.prepare`.
    """
    fixed = table_bytes(len(query.bases), query.k) + prepared_bytes(
        len(query.windows), len(query.windows.matrix), int(np.count_nonzero(query.kinds >= 0))
    )
    work = prepare(query)
    plans = [plan for plan in _plans(work, fixed) if method in (None, plan[0])]
    fitting = [plan for _, plan in plans if plan.bytes <= budget]
    if not fitting:
        raise BudgetError(-(-min(plan.bytes for _, plan in plans) // MB))
    plan = min(fitting, key=lambda plan: plan.cost)
    chosen = plan.make()
    table = _go_through(chosen, query, progress or NoProgress(), keep)
    rows, distances, rescanned = _settled(work, table, chosen.features)
    info = {
        "method": chosen.name,
        "step": chosen.step,
        "tile": chosen.tile,
        "chunks": chosen.chunks,
        "estimate_mb": round(plan.bytes / MB, 1),
        "rescanned": rescanned,
    }
    return Neighbours(rows, distances, info)


def compile_kernels() -> None:
    """Compile every kernel, or load it from the cache: what a first search would do besides searching."""
    bars, length = 64, 4
    matrix = stream(0, "neighbours.compile").standard_normal((bars, 2)).astype(np.float32)
    ends = np.arange(length - 1, bars, dtype=np.int32)
    kinds, groups = np.zeros(len(ends), dtype=np.int8), np.zeros(len(ends), dtype=np.int16)
    query = Query(WindowSet(matrix, ends, kinds, groups, length), np.arange(len(ends)), kinds, 2, length)
    for method in (sliding.Sliding.name, direct.Direct.name):
        nearest(query, 64 * MB, method=method)
    found = np.zeros(2, dtype=np.int64), np.full(2, np.inf)
    rescan(matrix, length, 0, (ends, kinds, groups), length, *found)


def _plans(work: Work, fixed: int) -> Iterator[tuple[str, Plan]]:
    windows, kinds, bases = work.query.windows, work.query.kinds, work.query.bases
    length, features = windows.length, windows.n_features
    for step in steps(windows, work.order):
        places, numbers = axis_length(windows, work.order, step), step * features
        for tile in sliding.TILES:
            # Each tile begins with the blocks of the windows that reach into it.
            cost = sliding.sliding_cost(places, numbers) * (1 + length / step / tile) ** 2
            size = fixed + sliding.sliding_bytes(places, length // step, numbers, tile)
            yield sliding.Sliding.name, Plan(cost, size, partial(sliding.Sliding, work, step, tile))
    counts = np.bincount(kinds[work.order], minlength=3)
    pairs = int((np.bincount(kinds[bases], minlength=len(counts)) * counts).sum())
    for tile in direct.TILES:
        cost = direct.direct_cost(pairs, length * features) * (1 + 32 / tile)
        size = fixed + direct.direct_bytes(int(counts.max()), length, length * features, tile)
        yield direct.Direct.name, Plan(cost, size, partial(direct.Direct, work, tile))


def _go_through(method: Method, query: Query, progress: Progress, keep: Keep | None) -> Table:
    state = None if keep is None else keep.load()
    table = Table.empty(len(query.bases), query.k) if state is None else Table.of(state)
    done = 0 if state is None else int(state[_NEXT])
    progress.start("smote", method.chunks)
    try:
        progress.advance(done)
        for chunk in range(done, method.chunks):
            method.run(chunk, table)
            if keep is not None:
                keep.save({**table.arrays(), _NEXT: np.asarray(chunk + 1)})
            progress.advance()
    finally:
        progress.stop()
    return table


def _settled(work: Work, table: Table, features: int) -> tuple[IntArray, FloatArray, int]:
    query, windows = work.query, work.query.windows
    reaches = table.reaches(work.norms[query.bases], query.k, relative_error(features))
    shape = (len(query.bases), query.k)
    rows, distances = np.full(shape, np.iinfo(np.int64).max), np.full(shape, np.inf)
    settle(
        windows.matrix, windows.length, windows.ends, query.bases, table.parts(), reaches, (rows, distances)
    )
    unsettled = np.flatnonzero(table.lost <= reaches)
    for base in unsettled.tolist():
        rows[base], distances[base] = np.iinfo(np.int64).max, np.inf
        row = int(query.bases[base])
        rescan(windows.matrix, windows.length, row, work.rows(), query.exclusion, rows[base], distances[base])
    return rows, distances, len(unsettled)
