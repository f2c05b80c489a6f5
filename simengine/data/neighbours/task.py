"""What both methods of a search work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simengine.data.neighbours import kernels
from simengine.data.neighbours.exact import LARGEST, centre_of, energies
from simengine.data.neighbours.query import Array, Query
from simengine.data.neighbours.table import Table
from simengine.data.rolling import rolling_sum
from simengine.errors import DataError
from simengine.types import Float32Array, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Work:
    """A query and what is computed once for it.

    Parameters
    ----------
    query : Query
        What is searched.
    order : int64 array, shape (c,)
        Rows that take part, sorted by their ends.
    centre : float32 array, shape (F,)
        Subtracted from every bar: distances stay, and products lose fewer digits.
    norms : float64 array, shape (n,)
        Squared norms of the centred windows.
    """

    query: Query
    order: IntArray
    centre: Float32Array
    norms: FloatArray

    def rows(self) -> kernels.Rows:
        """Return what the kernels take."""
        return self.query.windows.ends, self.query.kinds, self.query.windows.groups

    def numbers(self, features: int) -> kernels.Numbers:
        """Return what the kernels take, for products of blocks with so many numbers."""
        return self.query.k, self.query.exclusion, relative_error(features)


class Method(Protocol):
    """One way to go through all pairs, in chunks."""

    name: str
    step: int
    tile: int
    chunks: int
    features: int
    """Numbers in a product."""

    def run(self, chunk: int, table: Table) -> None:
        """Offer the candidates of one chunk to the bases in ``table``."""


def relative_error(features: int) -> float:
    """Return the error of an approximate squared distance, as a share of both squared norms together.

    A product of ``features`` float32 numbers errs by at most features x u of the norms, whatever the order
    of its sum, u = 2^-24 (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1);
    centring the bars and storing the distance add some u, and a tenth covers the higher orders.
    """
    return 1.1 * (features + 10) * 2.0**-24


def prepare(query: Query) -> Work:
    """Check the windows, and compute their norms.

    Raises
    ------
    DataError
        Two windows end at one bar, or a window holds a number that is not finite or far too large.
    """
    windows = query.windows
    rows = np.flatnonzero(query.kinds >= 0)
    order = rows[np.argsort(windows.ends[rows], kind="stable")]
    ends = windows.ends[order]
    twice = np.flatnonzero(ends[1:] == ends[:-1])
    if len(twice):
        first, second = order[twice[0]], order[twice[0] + 1]
        raise DataError(
            f"neighbours: windows {first} and {second} end at the same bar {ends[twice[0]]}; keep one of them"
        )
    centre = centre_of(windows.matrix, ends).astype(np.float32)
    sums = rolling_sum(energies(windows.matrix, centre), windows.length)
    norms: FloatArray = sums[windows.ends]
    unusable = order[~(norms[order] < LARGEST**2)]
    if len(unusable):
        raise DataError(
            f"neighbours: window {unusable[0]} (and {len(unusable) - 1:,} more) holds a feature that is NaN, "
            "infinite or above 1e15; scale the features or leave these windows out"
        )
    return Work(query, order, centre, norms)


def prepared_bytes(n_rows: int, n_bars: int, taking_part: int) -> int:
    """Return the bytes that `prepare` needs at its peak."""
    return 24 * n_bars + 9 * n_rows + 40 * taking_part


def base_index(query: Query) -> Array:
    """Return the place of each row among the bases, int32 (n,); -1 where it is none."""
    index = np.full(len(query.windows), -1, dtype=np.int32)
    index[query.bases] = np.arange(len(query.bases), dtype=np.int32)
    return index


def limits(work: Work, table: Table, bases: Array, features: int) -> FloatArray:
    """Return the limits of some bases, given as places in the table: their reach less their norm."""
    norms = work.norms[work.query.bases[bases]]
    part = Table(table.ids[bases], table.distances[bases], table.lost[bases])
    reaches = part.reaches(norms, work.query.k, relative_error(features))
    open_ = reaches >= kernels.UNLIMITED
    return np.where(open_, kernels.UNLIMITED, reaches - norms)
