"""Holes in a series of bars, and which spans of bars cross them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simengine.errors import DataError
from simengine.types import IntArray

BoolArray = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Holes:
    """The holes of one symbol.

    Parameters
    ----------
    short, long : int
        Number of holes up to ``max_gap_ns`` and beyond it; without a limit every hole is short.
    crossed : int64 array, shape (n,)
        Number of long holes before each bar; a span crosses one exactly when this number differs
        between its ends.
    """

    short: int
    long: int
    crossed: IntArray

    def same_side(self, span: int) -> BoolArray:
        """Return whether no long hole lies between bars t and t + span, shape (n,); False past the end."""
        n = len(self.crossed)
        result = np.zeros(n, dtype=np.bool_)
        if span < n:
            result[: n - span] = self.crossed[: n - span] == self.crossed[span:]
        return result

    def unbroken(self, length: int) -> BoolArray:
        """Return whether ``length`` bars end at t and cross no long hole, shape (n,)."""
        reach = length - 1
        result = np.zeros(len(self.crossed), dtype=np.bool_)
        result[reach:] = self.same_side(reach)[: max(0, len(self.crossed) - reach)]
        return result


def bar_spacing(timestamp: IntArray) -> int:
    """Return the most common distance of neighbouring bars in ns (the smallest on ties, 0 for one bar)."""
    if len(timestamp) < 2:
        return 0
    distances, counts = np.unique(np.diff(timestamp), return_counts=True)
    return int(distances[np.argmax(counts)])


def find_holes(timestamp: IntArray, max_gap_ns: int | None) -> Holes:
    """Find the places where neighbouring bars are further apart than the usual spacing.

    Parameters
    ----------
    timestamp : int64 array, shape (n,)
        Open times in ns, increasing.
    max_gap_ns : int or None
        Longest distance between neighbouring bars that a window or label may span; None for any.

    Raises
    ------
    DataError
        ``max_gap_ns`` is shorter than the usual spacing, so that nothing could be spanned.
    """
    distance = np.diff(timestamp)
    spacing = bar_spacing(timestamp)
    if max_gap_ns is not None and max_gap_ns < spacing:
        raise DataError(
            f"data.max_gap is {max_gap_ns / 1e9:g} s, but the bars are {spacing / 1e9:g} s apart; use at "
            "least the bar spacing"
        )
    hole = distance > spacing
    long = hole & (distance > max_gap_ns) if max_gap_ns is not None else np.zeros_like(hole)
    crossed = np.concatenate([[0], np.cumsum(long)]).astype(np.int64)[: len(timestamp)]
    return Holes(short=int(np.count_nonzero(hole & ~long)), long=int(np.count_nonzero(long)), crossed=crossed)
