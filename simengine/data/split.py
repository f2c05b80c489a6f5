"""Train, validation and test by time, purged of overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simengine.errors import DataError
from simengine.types import Bars, IntArray

Segment = Literal["train", "val", "test"]
SEGMENTS: tuple[Segment, Segment, Segment] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class SplitTimes:
    """The borders of the split, nanoseconds since the epoch, UTC.

    A bar belongs to train when it opened before ``train_end``, to val when it opened from then on and
    before ``val_end``, and to test otherwise.

    Parameters
    ----------
    start, end : int
        First and last timestamp of all symbols together.
    train_end, val_end : int
        First instants of val and of test.
    """

    start: int
    train_end: int
    val_end: int
    end: int


@dataclass(frozen=True, slots=True)
class SymbolSegments:
    """Row ranges (start, stop exclusive) of one symbol; ``start == stop`` is an empty segment."""

    train: tuple[int, int]
    val: tuple[int, int]
    test: tuple[int, int]

    def rows(self, segment: Segment) -> tuple[int, int]:
        """Return the range of a segment by its name."""
        found: tuple[int, int] = getattr(self, segment)
        return found


def split_times(bars_by_symbol: Mapping[str, Bars], train: float, val: float, test: float) -> SplitTimes:
    """Cut the span between the first and last timestamp of all symbols by shares.

    Parameters
    ----------
    bars_by_symbol : mapping of str to Bars
        All symbols; the borders are the same instants for each of them.
    train, val, test : float
        Shares above 0 that sum to 1.

    Raises
    ------
    ValueError
        The shares are not positive or do not sum to 1.
    DataError
        There are no bars.
    """
    if min(train, val, test) <= 0 or abs(train + val + test - 1) > 1e-9:
        raise ValueError(f"shares must be above 0 and sum to 1; received {train}, {val}, {test}")
    spans = [
        (int(bars.timestamp[0]), int(bars.timestamp[-1])) for bars in bars_by_symbol.values() if len(bars)
    ]
    if not spans:
        raise DataError("split: there are no bars to split")
    start, end = min(first for first, _ in spans), max(last for _, last in spans)
    return SplitTimes(
        start=start,
        train_end=start + round(train * (end - start)),
        val_end=start + round((train + val) * (end - start)),
        end=end,
    )


def bars_until(bars_by_symbol: Mapping[str, Bars], share: float) -> dict[str, Bars]:
    """Return the bars of the first part of the span of all symbols; a symbol that begins later is left out.

    Parameters
    ----------
    bars_by_symbol : mapping of str to Bars
        All symbols.
    share : float
        Of the span between the first and last timestamp; 1 returns all bars as they are.
    """
    if share == 1:
        return dict(bars_by_symbol)
    spans = [(bars.timestamp[0], bars.timestamp[-1]) for bars in bars_by_symbol.values() if len(bars)]
    start, end = min(int(first) for first, _ in spans), max(int(last) for _, last in spans)
    last = start + round(share * (end - start))
    cut = {
        symbol: bars.slice(0, int(np.searchsorted(bars.timestamp, last, side="right")))
        for symbol, bars in bars_by_symbol.items()
    }
    return {symbol: bars for symbol, bars in cut.items() if len(bars)}


def purge_bars(window: int, horizon_bars: int) -> int:
    """Return how many bars are removed before a border: ``window + horizon_bars - 1``.

    Then the label of the last row kept ends on the bar before the first bar of the first window after
    the border (Lopez de Prado, Advances in Financial Machine Learning, 2018, section 7.4.1).
    """
    return window + horizon_bars - 1


def segments(timestamp: IntArray, times: SplitTimes, *, purge: int, embargo_bars: int = 0) -> SymbolSegments:
    """Return the row ranges of one symbol, counted in its own bars.

    Parameters
    ----------
    timestamp : int64 array, shape (n,)
        Open times of the symbol's bars, increasing.
    times : SplitTimes
        The borders.
    purge : int
        Bars removed from the end of train and of val.
    embargo_bars : int
        Bars removed from the start of val and of test.
    """
    first_val, first_test = np.searchsorted(timestamp, [times.train_end, times.val_end], side="left").tolist()

    def cut(start: int, stop: int) -> tuple[int, int]:
        return (start, max(start, stop))

    return SymbolSegments(
        train=cut(0, first_val - purge),
        val=cut(min(first_val + embargo_bars, first_test), first_test - purge),
        test=cut(min(first_test + embargo_bars, len(timestamp)), len(timestamp)),
    )
