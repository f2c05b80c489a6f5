"""All pairs of places by sliding sums: the cheaper way when many bases have many candidates."""

from __future__ import annotations

import numpy as np

from simengine.data.neighbours.axis import BlockAxis, build_axis
from simengine.data.neighbours.kernels import slide
from simengine.data.neighbours.query import Array
from simengine.data.neighbours.table import Table
from simengine.data.neighbours.task import Work, base_index, limits
from simengine.types import Float32Array

TILES = (1024, 512, 256, 128, 64)
_CHUNKS = 32


class Sliding:
    """Tiles of the products of all blocks with all blocks, each pair once.

    Tiles near the diagonal come first: windows that are near in time are often alike, and early near
    candidates keep later ones out.
    """

    name = "sliding sums"

    def __init__(self, work: Work, step: int, tile: int) -> None:
        self.step, self.tile = step, tile
        self._work = work
        self._axis: BlockAxis = build_axis(work.query.windows, work.order, step)
        self.features = step * work.query.windows.n_features
        row = self._axis.row
        self._base = np.full(len(row), -1, dtype=np.int32)
        self._base[row >= 0] = base_index(work.query)[row[row >= 0]]
        self._norm = np.full(len(row), np.inf)
        self._norm[row >= 0] = work.norms[row[row >= 0]]
        self._limit = np.full(len(row), -np.inf)
        self._pairs = self._useful_pairs()
        self.chunks = min(_CHUNKS, self._pairs.shape[1])
        self._known: Table | None = None

    def run(self, chunk: int, table: Table) -> None:
        """Go through a share of the tiles."""
        if self._known is not table:
            places = np.flatnonzero(self._base >= 0)
            self._limit[places] = limits(self._work, table, self._base[places], self.features)
            self._known = table
        bounds = np.linspace(0, self._pairs.shape[1], self.chunks + 1).astype(np.int64)
        for first, second in self._pairs[:, bounds[chunk] : bounds[chunk + 1]].T.tolist():
            self._run_tile(self._start(first), self._start(second), table)

    def _run_tile(self, first: int, second: int, table: Table) -> None:
        rows = self._blocks(first)
        columns = rows if first == second else self._blocks(second)
        axis = self._axis
        slide(
            rows @ columns.T,
            axis.blocks,
            (first, second),
            np.empty((2, len(columns))),
            (self._norm, self._limit, axis.row, self._base),
            self._work.rows(),
            table.parts(),
            self._work.numbers(self.features),
        )

    def _start(self, tile: int) -> int:
        # No window ends before a whole window of blocks has passed.
        return self._axis.blocks - 1 + tile * self.tile

    def _blocks(self, start: int) -> Float32Array:
        """Return the centred blocks of a tile and of the windows that begin before it."""
        axis, windows = self._axis, self._work.query.windows
        first = axis.first[start - axis.blocks + 1 : start + self.tile]
        bars = first[:, None] + np.arange(self.step, dtype=np.int32)
        blocks = windows.matrix[bars]
        blocks -= self._work.centre
        return blocks.reshape(len(first), -1)

    def _useful_pairs(self) -> Array:
        """Return pairs of tiles (2, m), nearest first, of which one has bases and the other candidates."""
        lead = self._axis.blocks - 1
        count = -(-(len(self._axis) - lead) // self.tile)
        tile = (np.arange(len(self._axis)) - lead) // self.tile
        bases = np.bincount(tile[self._base >= 0], minlength=count) > 0
        candidates = np.bincount(tile[self._axis.row >= 0], minlength=count) > 0
        first, second = np.triu_indices(count)
        useful = bases[first] & candidates[second] | bases[second] & candidates[first]
        first, second = first[useful].astype(np.int32), second[useful].astype(np.int32)
        nearest = np.argsort(second - first, kind="stable")
        return np.stack([first[nearest], second[nearest]])


def sliding_cost(places: int, features: int) -> float:
    """Return the time in ns, about, for so many places and products of so many numbers (one core)."""
    return 0.5 * places**2 * (1.3 + 0.04 * features)


def sliding_bytes(places: int, blocks: int, features: int, tile: int) -> int:
    """Return the bytes that `Sliding` needs at its peak, on top of the table."""
    height = tile + blocks - 1
    tiles = places // tile + 1
    at_work = height * (2 * features * 4 + features * 4 + 16) + height**2 * 4
    return 64 * places + 40 * tiles**2 + at_work
