"""What is searched, and what is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from simengine.types import FloatArray, IntArray, LabelArray

if TYPE_CHECKING:
    from simengine.data.windows import WindowSet

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Query:
    """A search for the nearest windows of some windows.

    Parameters
    ----------
    windows : WindowSet
        n windows; no two of them end at the same bar.
    bases : int64 array, shape (b,)
        Rows whose neighbours are wanted, each once.
    kinds : int8 array, shape (n,)
        Only rows of the same kind are neighbours; -1 takes a row out of the search.
    k : int
        Neighbours of each base.
    exclusion : int
        Windows of one symbol that end less than this many bars apart are no neighbours. At least 1.
    """

    windows: WindowSet
    bases: IntArray
    kinds: LabelArray
    k: int
    exclusion: int


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest windows.

    Parameters
    ----------
    rows : int64 array, shape (b, k)
        Nearest rows, nearest first; the lower row first when two are equally far.
    distances : float64 array, shape (b, k)
        Squared Euclidean distances over the whole window.
    info : mapping
        How they were found: ``method``, ``step``, ``tile``, ``chunks``, ``estimate_mb`` and
        ``rescanned``, the bases whose nearest were settled by a scan of all windows.
    """

    rows: IntArray
    distances: FloatArray
    info: Mapping[str, object]


class Keep(Protocol):
    """Where the state of a search survives a kill."""

    def load(self) -> dict[str, Array] | None:
        """Return what `save` was given last, or None."""

    def save(self, arrays: Mapping[str, Array]) -> None:
        """Keep ``arrays`` in place of what was kept before."""


def available(windows: WindowSet, kinds: LabelArray, exclusion: int) -> IntArray:
    """Return how many windows of its own kind each row may have as neighbours, shape (n,).

    Parameters
    ----------
    windows : WindowSet
        n windows.
    kinds : int8 array, shape (n,)
        Kind of each row.
    exclusion : int
        Bars, as in `Query`.
    """
    counts = np.zeros(len(windows), dtype=np.int64)
    for kind in np.unique(kinds).tolist():
        rows = np.flatnonzero(kinds == kind)
        counts[rows] = len(rows)
        for group in np.unique(windows.groups[rows]).tolist():
            own = rows[windows.groups[rows] == group]
            ends = windows.ends[own].astype(np.int64)
            ordered = np.sort(ends)
            after = np.searchsorted(ordered, ends + exclusion, side="left")
            before = np.searchsorted(ordered, ends - exclusion, side="right")
            counts[own] -= after - before
    return counts
