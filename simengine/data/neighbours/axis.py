"""Bars laid end to end in blocks, so that every window is a whole number of blocks in a row."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from simengine.data.neighbours.query import Array
from simengine.data.windows import WindowSet
from simengine.types import IntArray


@dataclass(frozen=True, slots=True)
class BlockAxis:
    """The blocks of all windows, run by run.

    A run is a stretch of windows of one symbol that overlap or touch, each a multiple of ``step`` bars
    after the one before. Windows with a stride of 2 have blocks of 2 bars: half as many places, and a
    quarter of the pairs.

    Parameters
    ----------
    step : int
        Bars in a block.
    blocks : int
        Blocks in a window.
    first : int32 array, shape (p,)
        First bar of each block, a row of the matrix.
    row : int32 array, shape (p,)
        Row of the window whose last block this is, -1 where there is none.
    """

    step: int
    blocks: int
    first: Array
    row: Array

    def __len__(self) -> int:
        return len(self.first)


def steps(windows: WindowSet, rows: IntArray) -> list[int]:
    """Return the block lengths that are worth a try: what all ends, most ends, and any ends, share."""
    ends, groups = windows.ends[rows].astype(np.int64), windows.groups[rows]
    gaps = np.diff(ends)[groups[1:] == groups[:-1]]
    gaps = gaps[gaps < windows.length]
    if len(gaps) == 0:
        return [windows.length]
    commonest = int(np.bincount(gaps).argmax())
    shared = int(np.gcd.reduce(gaps))
    return sorted({gcd(shared, windows.length), gcd(commonest, windows.length), 1})


def build_axis(windows: WindowSet, rows: IntArray, step: int) -> BlockAxis:
    """Lay the windows at ``rows``, sorted by their ends, on an axis of blocks of ``step`` bars.

    ``step`` divides the length of a window.
    """
    runs, counts, starts = _runs(windows, rows, step)
    blocks = windows.length // step
    ends = windows.ends[rows].astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)[:-1]])
    run = np.cumsum(runs) - 1
    place = offsets[run] + (ends - (starts[run] + windows.length - 1)) // step + blocks - 1
    total = int(counts.sum())
    first = np.repeat(starts - offsets * step, counts)
    first += np.arange(total) * step
    row = np.full(total, -1, dtype=np.int32)
    row[place] = rows
    return BlockAxis(step, blocks, first.astype(np.int32), row)


def axis_length(windows: WindowSet, rows: IntArray, step: int) -> int:
    """Return the number of places that `build_axis` would make."""
    return int(_runs(windows, rows, step)[1].sum())


def _runs(windows: WindowSet, rows: IntArray, step: int) -> tuple[Array, IntArray, IntArray]:
    """Return which windows begin a run (n,), and of each run its number of blocks and its first bar."""
    ends, groups = windows.ends[rows].astype(np.int64), windows.groups[rows]
    begins = np.ones(len(rows), dtype=np.bool_)
    gaps = np.diff(ends)
    begins[1:] = (groups[1:] != groups[:-1]) | (gaps > windows.length) | (gaps % step != 0)
    heads = np.flatnonzero(begins)
    lasts = np.concatenate([heads[1:] - 1, [len(rows) - 1]])
    starts = ends[heads] - (windows.length - 1)
    counts = (ends[lasts] - ends[heads]) // step + windows.length // step
    return begins, counts, starts
