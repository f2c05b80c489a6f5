"""Series of bars cut into lanes that run side by side, for models that carry state over bars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simengine.data.windows import WindowSet
from simengine.errors import DataError
from simengine.types import UNDEFINED, IntArray

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Int32Array = np.ndarray[tuple[int, ...], np.dtype[np.int32]]


@dataclass(frozen=True, slots=True)
class LaneStep:
    """What one step of stateful training sees: the next bars of every lane.

    Parameters
    ----------
    rows : int32 array, shape (B, chunk)
        Rows of the feature matrix.
    labels : int32 array, shape (B, chunk)
        0 where the bar does not count.
    counts : bool array, shape (B, chunk)
        Whether the bar counts in the loss.
    fresh : bool array, shape (B,)
        Whether the lane starts anew before this step instead of carrying its state on.
    """

    rows: Int32Array
    labels: Int32Array
    counts: BoolArray
    fresh: BoolArray


@dataclass(frozen=True, slots=True)
class Series:
    """The unbroken series of a set of windows.

    Parameters
    ----------
    first, last : int64 arrays, shape (S,)
        Rows of the first and the last window end of each series.
    labels : int8 array, shape (n_bars,)
        The label of the window that ends at each row, -1 where none does.
    length : int
        Bars per window.
    """

    first: IntArray
    last: IntArray
    labels: np.ndarray[tuple[int], np.dtype[np.int8]]
    length: int

    @classmethod
    def of(cls, windows: WindowSet) -> Series:
        """Find the series of labelled windows.

        Raises
        ------
        DataError
            When two windows end at the same bar, or one begins before its series.
        """
        ends, starts = windows.ends.astype(np.int64), windows.series_starts()
        if len(np.unique(ends)) < len(ends):
            raise DataError("stateful training takes every bar once, but two train windows end at one bar")
        if (starts > ends - (windows.length - 1)).any():
            raise DataError("windows: a window begins before the series (starts) that it lies in")
        order = np.argsort(ends)
        starts, ends = starts[order], ends[order]
        begins = np.flatnonzero(np.diff(starts, prepend=-1))
        labels = np.full(len(windows.matrix), UNDEFINED, np.int8)
        labels[windows.ends] = windows.labels
        return cls(ends[begins], ends[np.append(begins[1:], len(ends)) - 1], labels, windows.length)

    def pieces(self, n: int, phase: int) -> list[list[tuple[int, int]]]:
        """Cut the bars from first to last end of all series into ``n`` lanes of equal length or fewer.

        The bars of all series in a row are a ring; lane 0 begins ``phase`` bars after its beginning.

        Returns
        -------
        list of list of (int, int)
            For each lane the spans of rows (first, last, both included), each within one series.
        """
        stops = np.cumsum(self.last - self.first + 1)
        total = int(stops[-1])
        size = -(-total // n)
        lanes = []
        for begin in range(0, total, size):
            low, high = begin + phase, min(begin + size, total) + phase
            spans = self._spans(low, min(high, total), stops) if low < total else []
            if high > total:
                spans += self._spans(max(low - total, 0), high - total, stops)
            lanes.append(spans)
        return lanes

    def _spans(self, low: int, high: int, stops: IntArray) -> list[tuple[int, int]]:
        """Return the spans of positions ``low`` to ``high`` (exclusive) on the ring of `pieces`."""
        spans = []
        while low < high:
            series = int(np.searchsorted(stops, low, side="right"))
            shift = int(self.last[series] - stops[series] + 1)
            stop = min(high, int(stops[series]))
            spans.append((low + shift, stop - 1 + shift))
            low = stop
        return spans


class Lanes:
    """The steps of an epoch of stateful training.

    The bars between the first and the last window end of every series are divided among ``n`` lanes of
    equal length. A lane that begins in the middle of a series, or goes on to the next one, first runs
    over the ``length - 1`` bars before from a fresh state: they do not count, and the first bar that does
    has seen one whole window. Every window end counts once an epoch, whatever ``chunk`` is.

    Parameters
    ----------
    windows : WindowSet
        Labelled windows.
    n : int
        Lanes; fewer when there are not as many chunks of bars.
    chunk : int
        Bars per step.

    Attributes
    ----------
    n, size : int
        Number of lanes, and counted bars (with or without a label) of each.
    """

    def __init__(self, windows: WindowSet, n: int, chunk: int) -> None:
        self.series, self.chunk = Series.of(windows), chunk
        bars = int((self.series.last - self.series.first + 1).sum())
        self.size = -(-bars // min(n, -(-bars // chunk)))
        self.n = -(-bars // self.size)

    def steps(self, phase: int = 0) -> list[LaneStep]:
        """Return the steps of an epoch whose first lane begins ``phase`` bars (below ``size``) later."""
        lanes = [self._lane(spans) for spans in self.series.pieces(self.n, phase)]
        n_steps = max(len(fresh) for _, _, fresh in lanes)
        rows, counts, fresh = (
            np.stack(columns)
            for columns in zip(*(_filled(lane, n_steps, self.chunk) for lane in lanes), strict=True)
        )
        labels = np.where(counts, self.series.labels[rows], 0)
        return [
            LaneStep(
                rows[:, part].astype(np.int32), labels[:, part].astype(np.int32), counts[:, part], fresh[:, k]
            )
            for k, part in enumerate(_parts(n_steps, self.chunk))
        ]

    def _lane(self, spans: list[tuple[int, int]]) -> tuple[IntArray, BoolArray, BoolArray]:
        """Return rows, which of them count, and which chunks start anew; whole chunks for each span."""
        rows, counts, fresh = [], [], []
        for first, last in spans:
            begin = first - (self.series.length - 1)
            n_chunks = -(-(last - begin + 1) // self.chunk)
            track = np.arange(begin, begin + n_chunks * self.chunk)
            # Filled up with the last bar: no row beyond the series is read.
            inside = np.minimum(track, last)
            rows.append(inside)
            counts.append((track >= first) & (track <= last) & (self.series.labels[inside] != UNDEFINED))
            fresh.append(np.arange(n_chunks) == 0)
        return np.concatenate(rows), np.concatenate(counts), np.concatenate(fresh)


def _filled(
    lane: tuple[IntArray, BoolArray, BoolArray], n_steps: int, chunk: int
) -> tuple[IntArray, BoolArray, BoolArray]:
    """Return a lane made ``n_steps`` long by repeating its last bar, which does not count there."""
    rows, counts, fresh = lane
    more = n_steps - len(fresh)
    return (
        np.pad(rows, (0, more * chunk), mode="edge"),
        np.pad(counts, (0, more * chunk)),
        np.pad(fresh, (0, more)),
    )


def _parts(n_steps: int, chunk: int) -> Iterator[slice]:
    for step in range(n_steps):
        yield slice(step * chunk, (step + 1) * chunk)
