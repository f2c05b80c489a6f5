"""Scoring one bar at a time from a state that is carried on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simengine.model.streaming.packing import CHUNK, Packed
from simengine.model.streaming.snapshots import Snapshot, checked_values, require_start
from simengine.model.streaming.streams import Stream
from simengine.types import Float32Array


def _is_stabiliser(key: str) -> bool:
    """Return whether this part of a state is at -inf before the first bar."""
    return key.endswith("/m")


class StatefulStream(Stream):
    """Carries the state from bar to bar without end: logits of a model that is trained that way.

    Every bar counts from the first one on. The state before the first bar is that of the start of a sequence
    (stabilisers at -inf). Snapshots hold it in the layout of the layers' states with a batch of one left out,
    as ``block_0/C`` and so on.
    """

    mode = "stateful"

    def __init__(self, packed: Packed) -> None:
        super().__init__(packed)
        self._before = self._state.copy()

    def reset(self) -> None:
        """Forget all bars, as before the first one."""
        super().reset()
        for key, view in self._views().items():
            view[...] = -np.inf if _is_stabiliser(key) else 0.0

    def _rows_at_once(self) -> int:
        return CHUNK

    def _warm_up(self) -> int:
        return 1

    def _ring_size(self) -> int:
        return 0

    def _keep(self, features: Float32Array) -> None:
        """The state holds it all."""

    def _arrays(self) -> Snapshot:
        return {key: view.copy() for key, view in self._views().items()}

    def _shapes(self, bars: int) -> dict[str, tuple[int, ...]]:
        return {key: shape for key, (_, shape) in self.packed.states.items()}

    def _checked(self, snapshot: Mapping[str, NDArray[Any]], bars: int) -> dict[str, Float32Array]:
        arrays = {
            key: checked_values(key, snapshot[key], infinite=_is_stabiliser(key))
            for key in self.packed.states
        }
        if bars == 0:
            require_start(arrays, type(self)(self.packed)._arrays())
        return arrays

    def _load(self, bars: int, arrays: Mapping[str, Float32Array]) -> None:
        self._bars = bars
        for key, view in self._views().items():
            view[...] = arrays[key]

    def _save(self) -> None:
        np.copyto(self._before, self._state)

    def _undo(self) -> None:
        np.copyto(self._state, self._before)

    def _views(self) -> dict[str, Float32Array]:
        return {
            key: self._state[offset : offset + int(np.prod(shape))].reshape(shape)
            for key, (offset, shape) in self.packed.states.items()
        }
