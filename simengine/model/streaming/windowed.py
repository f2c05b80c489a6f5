"""Scoring one bar at a time as the last of a window."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simengine.model.streaming.packing import Packed
from simengine.model.streaming.snapshots import Snapshot
from simengine.model.streaming.streams import Stream
from simengine.types import N_CLASSES, Float32Array


class WindowedStream(Stream):
    """Equals the model on the window of the last ``length`` bars, at every bar.

    Logits are NaN until ``length`` bars have been seen: the model was never shown a shorter window. Snapshots
    hold the features of the last bars.
    """

    mode = "windowed_exact"

    def __init__(self, packed: Packed) -> None:
        super().__init__(packed)
        self._last = np.zeros((packed.length, packed.n_features), np.float32)

    def _rows_at_once(self) -> int:
        return self.length

    def _warm_up(self) -> int:
        return self.length

    def _ring_size(self) -> int:
        return 2 * self.length * sum(self.packed.kept_per_bar)

    def _keep(self, features: Float32Array) -> None:
        """Keep the last bars, bar b in row b mod length."""
        for place in range(max(0, len(features) - self.length), len(features)):
            self._last[(self._bars + place) % self.length] = features[place]

    def _arrays(self) -> Snapshot:
        bars = range(self._bars - min(self._bars, self.length), self._bars)
        return {"features": self._last[[bar % self.length for bar in bars]]}

    def _shapes(self, bars: int) -> dict[str, tuple[int, ...]]:
        return {"features": (min(bars, self.length), self.n_features)}

    def _load(self, bars: int, arrays: Mapping[str, Float32Array]) -> None:
        features = arrays["features"]
        self.reset()
        self._bars = bars - len(features)
        self._take(features, np.empty((0, N_CLASSES), np.float32))

    def _save(self) -> None:
        """The last bars hold it all."""

    def _undo(self) -> None:
        self._load(self._bars, self._arrays())
