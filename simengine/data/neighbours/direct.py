"""Products of whole windows, some at a time: the cheaper way for few bases or few candidates."""

from __future__ import annotations

import numpy as np

from simengine.data.neighbours.kernels import scan
from simengine.data.neighbours.query import Array
from simengine.data.neighbours.table import Table
from simengine.data.neighbours.task import Work, limits
from simengine.types import Float32Array, IntArray

TILES = (2048, 1024, 512, 256, 128, 64)


class Direct:
    """Some bases of one kind against all candidates of that kind, a tile of gathered windows at a time."""

    name = "direct products"

    def __init__(self, work: Work, tile: int) -> None:
        windows = work.query.windows
        self.step, self.tile = windows.length, tile
        self.features = windows.length * windows.n_features
        self._work = work
        kinds = work.query.kinds[work.query.bases]
        self._parts: list[tuple[int, Array]] = []
        for kind in np.unique(kinds).tolist():
            places = np.flatnonzero(kinds == kind).astype(np.int32)
            self._parts += [(kind, places[start : start + tile]) for start in range(0, len(places), tile)]
        self.chunks = len(self._parts)

    def run(self, chunk: int, table: Table) -> None:
        """Find the candidates of one tile of bases."""
        kind, places = self._parts[chunk]
        work, bases = self._work, self._work.query.bases[places]
        candidates = work.order[work.query.kinds[work.order] == kind]
        count = len(bases)
        norm = np.concatenate([work.norms[bases], work.norms[candidates]])
        limit = np.full(len(norm), -np.inf)
        limit[:count] = limits(work, table, places, self.features)
        row = np.concatenate([bases, candidates]).astype(np.int32)
        base = np.full(len(norm), -1, dtype=np.int32)
        base[:count] = places
        own = self._windows(bases)
        for start in range(0, len(candidates), self.tile):
            others = self._windows(candidates[start : start + self.tile])
            scan(
                own @ others.T,
                (0, count + start),
                (norm, limit, row, base),
                work.rows(),
                table.parts(),
                work.numbers(self.features),
            )

    def _windows(self, rows: IntArray) -> Float32Array:
        batch = self._work.query.windows.gather(rows)
        batch -= self._work.centre
        return batch.reshape(len(rows), -1)


def direct_cost(pairs: int, features: int) -> float:
    """Return the time in ns, about, for so many pairs of windows of so many numbers (one core)."""
    return pairs * (1.0 + 0.025 * features)


def direct_bytes(candidates: int, length: int, features: int, tile: int) -> int:
    """Return the bytes that `Direct` needs at its peak, on top of the table."""
    at_work = tile * (3 * features * 4 + 8 * length) + tile**2 * 4
    return 48 * (candidates + tile) + at_work
