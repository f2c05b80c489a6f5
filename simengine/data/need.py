"""Whether there are enough bars for a run, told before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from simengine.data.split import SEGMENTS, Segment, SplitTimes, purge_bars, segments
from simengine.errors import DataError
from simengine.types import Bars


@dataclass(frozen=True, slots=True)
class Need:
    """The numbers of bars that warm-up, windows, labels and borders use up.

    Parameters
    ----------
    warmup, window, horizon_bars, embargo_bars : int
        Of the features, the window, the labels and the split.
    """

    warmup: int
    window: int
    horizon_bars: int
    embargo_bars: int = 0

    def of(self, segment: Segment) -> int:
        """Return the bars that a segment of one symbol must have to hold one labelled window."""
        if segment == "train":
            return self.warmup + self.window + self._purge
        if segment == "val":
            return self.embargo_bars + self._purge + 1
        return self.embargo_bars + self.horizon_bars + 1

    def check(self, bars_by_symbol: Mapping[str, Bars], times: SplitTimes) -> None:
        """Refuse bars so few that a segment cannot hold one labelled window.

        Call it before features and labels are computed: it needs neither.

        Raises
        ------
        DataError
            Says how many bars there are, how many are needed and what for.
        """
        for segment in SEGMENTS:
            if not any(self._holds_one(segment, bars, times) for bars in bars_by_symbol.values()):
                raise DataError(self.empty_segment(segment, bars_by_symbol, times))

    def empty_segment(self, segment: Segment, bars_by_symbol: Mapping[str, Bars], times: SplitTimes) -> str:
        """Return the message for a segment without a labelled window."""
        parts = {
            "train": f"{self.warmup} of feature warm-up + {self.window} of window + {self._purge} purged",
            "val": f"{self.embargo_bars} of embargo + {self._purge} purged + 1",
            "test": f"{self.embargo_bars} of embargo + {self.horizon_bars} of label horizon + 1",
        }[segment]
        return (
            f"too few bars: {_longest(bars_by_symbol)}; {segment} needs {self.of(segment)} of one symbol "
            f"({parts}) and holds no labelled window: use about {self._in_all(times):,} bars or more in all, "
            "or a smaller window.length or horizon_bars"
        )

    def no_window(self, bars_by_symbol: Mapping[str, Bars]) -> str:
        """Return the message for bars too few, or too full of holes, for a single window."""
        return (
            f"too few bars: {_longest(bars_by_symbol)}; the first window is full at bar "
            f"{self.warmup + self.window} ({self.warmup} of feature warm-up + {self.window} of window) and "
            "crosses no hole above data.max_gap: use more bars or a smaller window.length"
        )

    @property
    def _purge(self) -> int:
        return purge_bars(self.window, self.horizon_bars)

    def _holds_one(self, segment: Segment, bars: Bars, times: SplitTimes) -> bool:
        ranges = segments(bars.timestamp, times, purge=self._purge, embargo_bars=self.embargo_bars)
        start, stop = ranges.rows(segment)
        first_window = self.warmup + self.window - 1
        return min(stop, len(bars) - self.horizon_bars) > max(start, first_window)

    def _in_all(self, times: SplitTimes) -> int:
        length = max(1, times.end - times.start)
        borders = (times.start, times.train_end, times.val_end, times.end)
        return max(
            math.ceil(self.of(segment) * length / max(1, stop - start))
            for segment, start, stop in zip(SEGMENTS, borders[:-1], borders[1:], strict=True)
        )


def _longest(bars_by_symbol: Mapping[str, Bars]) -> str:
    symbol = max(bars_by_symbol, key=lambda name: len(bars_by_symbol[name]))
    count = f"{len(bars_by_symbol[symbol]):,} bars"
    return (
        f"{symbol}, the longest symbol, has {count}" if len(bars_by_symbol) > 1 else f"{symbol} has {count}"
    )
