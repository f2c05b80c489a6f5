"""The near candidates of every base found so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simengine.data.neighbours import kernels
from simengine.data.neighbours.query import Array
from simengine.types import FloatArray

SPARE = 11
"""Candidates kept beyond the k nearest. Between the 5th and the 16th nearest of 11,000 windows of 60 x 25
lie some 13 % of distance, a thousand times the rounding error of a product: rarely are they too few."""


@dataclass(frozen=True, slots=True)
class Table:
    """Sorted candidates by approximate distance.

    Parameters
    ----------
    ids : int32 array, shape (b, k + SPARE)
        Rows; meaningless where the distance is infinite.
    distances : float32 array, shape (b, k + SPARE)
        Approximate squared distances, ascending.
    lost : float32 array, shape (b,)
        Least distance of a candidate that no longer fitted in.
    """

    ids: Array
    distances: Array
    lost: Array

    @classmethod
    def empty(cls, bases: int, k: int) -> Table:
        """Return a table without candidates."""
        capacity = k + SPARE
        return cls(
            np.full((bases, capacity), -1, dtype=np.int32),
            np.full((bases, capacity), np.inf, dtype=np.float32),
            np.full(bases, np.inf, dtype=np.float32),
        )

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Table:
        """Return the table that `arrays` gave."""
        return cls(arrays["ids"], arrays["distances"], arrays["lost"])

    def arrays(self) -> dict[str, Array]:
        """Return its arrays by name."""
        return {"ids": self.ids, "distances": self.distances, "lost": self.lost}

    def parts(self) -> kernels.Table:
        """Return what the kernels take."""
        return self.ids, self.distances, self.lost

    def reaches(self, norms: FloatArray, k: int, error: float) -> FloatArray:
        """Return the distance (b,) beyond which no candidate is among the k nearest."""
        kth = self.distances[:, k - 1].astype(np.float64)
        found: Any = np.where(np.isinf(kth), kernels.UNLIMITED, kth + 2 * error * (3 * norms + 2 * kth))
        return np.asarray(found, dtype=np.float64)


def table_bytes(bases: int, k: int) -> int:
    """Return the bytes of a table, of its copy on the way to the disk, and of the result."""
    one = bases * ((k + SPARE) * 8 + 4)
    return 3 * one + bases * (k * 16 + 64)
