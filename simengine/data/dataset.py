"""`Dataset`: one scaled feature matrix over all symbols, and the windows of each segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simengine.data.gaps import BoolArray
from simengine.data.need import Need
from simengine.data.rows import Rows, join_symbols
from simengine.data.scale import Scaler
from simengine.data.split import SEGMENTS, Segment, SplitTimes, SymbolSegments, purge_bars, segments
from simengine.data.windows import WindowSet
from simengine.errors import DataError
from simengine.types import UNDEFINED, Bars, Float32Array, IntArray, LabelArray

if TYPE_CHECKING:
    from simengine.plugin.kinds import Features, Labeler


@dataclass(frozen=True, slots=True)
class Dataset:
    """Features, labels and segments of all symbols, one symbol after another.

    Row ``offsets[i] + t`` is bar t of ``symbols[i]``.

    Parameters
    ----------
    bars : mapping of str to Bars
        The bars by symbol, in the order of ``symbols``.
    offsets : int64 array, shape (S + 1,)
        First row of each symbol; the last entry is the number of rows.
    timestamp : int64 array, shape (n_bars,)
        Open times, ns UTC.
    matrix : float32 array, shape (n_bars, F)
        Scaled features; NaN where a feature is in its warm-up.
    labels : int8 array, shape (n_bars,)
        -1 where a bar has no label, or where the label would span a long hole.
    full : bool array, shape (n_bars,)
        Whether a full window ends here: after the warm-up, within one symbol, across no long hole.
    length, horizon_bars : int
        Bars per window, and the horizon of the labels.
    scaler : Scaler
        What ``matrix`` was scaled with.
    segments : tuple of SymbolSegments
        Row ranges of each symbol, counted from its own first bar; empty without a split.
    counts : mapping of str to int
        Holes found and the windows and labels lost to long ones, for the manifest.
    """

    bars: Mapping[str, Bars]
    offsets: IntArray
    timestamp: IntArray
    matrix: Float32Array
    labels: LabelArray
    full: BoolArray
    length: int
    horizon_bars: int
    scaler: Scaler
    segments: tuple[SymbolSegments, ...]
    counts: Mapping[str, int]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names in the order of the rows; a window's group is an index into them."""
        return tuple(self.bars)

    def windows(self, segment: Segment, *, stride: int = 1, labelled: bool = True) -> WindowSet:
        """Return the windows that end in a segment.

        Parameters
        ----------
        segment : {"train", "val", "test"}
            Purged and after its embargo.
        stride : int
            Take every stride-th window of each symbol.
        labelled : bool
            Leave out windows without a label; False for the backtest, which trades on all of them.
        """
        if not self.segments:
            raise DataError("dataset: there is no split; build it with times, or use `between`")
        spans = [ranges.rows(segment) for ranges in self.segments]
        return self._select(spans, stride, labelled)

    def between(self, start: int, stop: int | None = None, *, labelled: bool = False) -> WindowSet:
        """Return the windows whose last bar opened from ``start`` on and before ``stop`` (ns UTC)."""
        spans = []
        for bars in self.bars.values():
            first = int(np.searchsorted(bars.timestamp, start, side="left"))
            last = len(bars) if stop is None else int(np.searchsorted(bars.timestamp, stop, side="left"))
            spans.append((first, max(first, last)))
        return self._select(spans, 1, labelled)

    def times(self, windows: WindowSet) -> IntArray:
        """Return the open time of the last bar of each window, ns UTC."""
        return self.timestamp[windows.ends]

    def rows(self, windows: WindowSet) -> IntArray:
        """Return the last bar of each window as a row of its own symbol's bars."""
        return windows.ends.astype(np.int64) - self.offsets[windows.groups]

    def _select(self, spans: Sequence[tuple[int, int]], stride: int, labelled: bool) -> WindowSet:
        allowed = self.full & (self.labels != UNDEFINED) if labelled else self.full
        ends, groups, starts = [], [], []
        for group, (start, stop) in enumerate(spans):
            first, after = self.offsets[group : group + 2].tolist()
            found = start + np.flatnonzero(allowed[first + start : first + stop])[::stride]
            starts.append(first + self._series_starts(slice(first, after))[found])
            ends.append(first + found)
            groups.append(np.full(len(found), group))
        end = np.concatenate(ends).astype(np.int32)
        return WindowSet(
            self.matrix,
            end,
            self.labels[end],
            np.concatenate(groups).astype(np.int16),
            self.length,
            np.concatenate(starts).astype(np.int32),
        )

    def _series_starts(self, symbol: slice) -> IntArray:
        """Return, for every bar of a symbol that ends a full window, the first bar of its series.

        Neighbouring full windows overlap, so that a run of them crosses no long hole.
        """
        full = self.full[symbol]
        begins = full & ~np.concatenate([[False], full[:-1]])
        last_begin = np.maximum.accumulate(np.where(begins, np.arange(len(full)), 0))
        starts: IntArray = last_begin - (self.length - 1)
        return starts


def build_dataset(
    bars_by_symbol: Mapping[str, Bars],
    features: Features,
    labeler: Labeler,
    *,
    window: int,
    times: SplitTimes | None = None,
    embargo_bars: int = 0,
    max_gap_ns: int | None = None,
    scaler: Scaler | None = None,
) -> Dataset:
    """Compute features, labels, segments and the scaled matrix.

    Parameters
    ----------
    bars_by_symbol : mapping of str to Bars
        Validated bars.
    features : Features
        Computed per symbol.
    labeler : Labeler
        Already fitted.
    window : int
        Bars per window.
    times : SplitTimes, optional
        Borders of the split; without them there are no segments and ``scaler`` must be given.
    embargo_bars : int
        Bars left out at the start of val and of test.
    max_gap_ns : int, optional
        Windows and labels may not span a longer hole; None allows any.
    scaler : Scaler, optional
        A fitted one; otherwise it is learnt from the purged train rows of all symbols together.

    Raises
    ------
    DataError
        There are too few bars for a segment, or a feature is NaN or infinite after its warm-up.
    PluginError
        The features or the labeler break their contract.
    """
    if times is None and scaler is None:
        raise DataError("dataset: give times (to learn a scaler on train) or a fitted scaler")
    if scaler is not None and scaler.names != tuple(features.names):
        raise DataError(
            f"scaler: it was fitted on {scaler.names}, but the features are {tuple(features.names)}"
        )
    if times is not None:
        Need(features.warmup, window, labeler.horizon_bars, embargo_bars).check(bars_by_symbol, times)
    rows = join_symbols(bars_by_symbol, features, labeler, window=window, max_gap_ns=max_gap_ns)
    ranges: tuple[SymbolSegments, ...] = ()
    if times is not None:
        purge = purge_bars(window, labeler.horizon_bars)
        ranges = tuple(
            segments(bars.timestamp, times, purge=purge, embargo_bars=embargo_bars)
            for bars in bars_by_symbol.values()
        )
    if scaler is None:
        scaler = Scaler.fit(_train_rows(rows, ranges, features.warmup), tuple(features.names))
    dataset = Dataset(
        bars=dict(bars_by_symbol),
        offsets=rows.offsets,
        timestamp=np.concatenate([bars.timestamp for bars in bars_by_symbol.values()]),
        matrix=scaler.transform(rows.matrix, out=rows.matrix),
        labels=rows.labels,
        full=rows.full,
        length=window,
        horizon_bars=labeler.horizon_bars,
        scaler=scaler,
        segments=ranges,
        counts=rows.counts,
    )
    _check_not_empty(dataset, features.warmup)
    return dataset


def _train_rows(rows: Rows, ranges: Sequence[SymbolSegments], warmup: int) -> Float32Array:
    parts = [
        rows.matrix[first + min(warmup, found.train[1]) : first + found.train[1]]
        for first, found in zip(rows.offsets[:-1].tolist(), ranges, strict=True)
    ]
    return np.concatenate(parts)


def _check_not_empty(dataset: Dataset, warmup: int) -> None:
    windows, labels = (dataset.counts[f"{what}_lost_to_holes"] for what in ("windows", "labels"))
    if not dataset.full.any():
        raise DataError(Need(warmup, dataset.length, dataset.horizon_bars).no_window(dataset.bars))
    for segment in SEGMENTS if dataset.segments else ():
        if len(dataset.windows(segment)) == 0:
            raise DataError(
                f"no labelled window is left in {segment}: {windows:,} windows and {labels:,} labels were "
                "lost to holes above data.max_gap, and the labeler gives the other bars no label; use "
                "more bars, a larger max_gap or another labeler"
            )
