"""What both ways of scoring one bar at a time share; no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from simengine.model.streaming.network import score
from simengine.model.streaming.packing import Packed
from simengine.model.streaming.snapshots import (
    Snapshot,
    as_float32,
    checked_bars,
    checked_values,
    require_shapes,
)
from simengine.types import N_CLASSES, Float32Array

StreamMode = Literal["windowed_exact", "stateful"]


class Stream:
    """A classifier that is fed bar by bar; `stream` makes one.

    One stream follows one symbol: every bar changes it. It is not to be used by two threads at once; streams
    of the same model share their weights and nothing else, and release the GIL while they compute.

    Parameters
    ----------
    packed : Packed
        Architecture and weights.
    """

    mode: ClassVar[StreamMode]

    def __init__(self, packed: Packed) -> None:
        self.packed = packed
        self.n_features = packed.n_features
        self.length = packed.length
        self._plan, self._weights = packed.plan, packed.weights
        self._bar = np.empty((1, packed.n_features), np.float32)
        self._state = np.zeros(packed.state_size, np.float32)
        self._scratch = np.empty(self._rows_at_once() * packed.row_size, np.float32)
        self._ring = np.zeros(self._ring_size(), np.float32)
        self.reset()

    @property
    def bars(self) -> int:
        """Bars seen since the start or the last `reset`."""
        return self._bars

    @property
    def ready(self) -> bool:
        """Whether enough bars have been seen for logits; `update` returns NaN before."""
        return self._bars >= self._warm_up()

    def update(self, features: Float32Array) -> Float32Array:
        """Take one bar in and return its logits.

        Parameters
        ----------
        features : array, shape (F,)
            Features of the bar that has just closed, scaled as in training; taken as float32.

        Returns
        -------
        float32 array, shape (3,)
            Logits of sell, hold and buy in a new array; NaN as long as `ready` is False.

        Raises
        ------
        ValueError
            When the shape is wrong, or a feature or the result is not finite; the bar is not taken in then.
        """
        if np.shape(features) != (self.n_features,):
            raise ValueError(
                f"features must have shape ({self.n_features},); received {np.shape(features)}: "
                "give one bar, or several to run"
            )
        self._bar[0] = features if getattr(features, "dtype", None) == np.float32 else as_float32(features)
        logits = np.empty((1, N_CLASSES), np.float32)
        self._take(self._bar, logits)
        result: Float32Array = logits[0]
        return result

    def run(self, matrix: Float32Array) -> Float32Array:
        """Take many bars in and return the logits of each: what `update` returns bar by bar, but faster.

        Parameters
        ----------
        matrix : array, shape (n, F)
            Features of consecutive bars.

        Returns
        -------
        float32 array, shape (n, 3)
            Logits of each bar; NaN where `ready` was False.

        Raises
        ------
        ValueError
            As `update`; no bar is taken in then.
        """
        shape = np.shape(matrix)
        if len(shape) != 2 or shape[1] != self.n_features:
            raise ValueError(
                f"matrix must have shape (n, {self.n_features}); received {shape}: give one row for each bar"
            )
        logits = np.empty((shape[0], N_CLASSES), np.float32)
        self._take(as_float32(matrix), logits)
        return logits

    def _take(self, features: Float32Array, logits: Float32Array) -> None:
        self._save()
        wrong = score(
            features,
            logits,
            self._bars,
            self._plan,
            self._weights,
            self._state,
            self._scratch,
            self._ring,
        )
        if wrong >= features.size > 0:
            self._undo()
            raise ValueError(
                f"features: bar {self._bars + wrong - features.size} is so large that the network overflows; "
                "leave the bar out or scale it as in training"
            )
        if wrong >= 0:
            place, column = divmod(wrong, self.n_features)
            raise ValueError(
                f"features: column {column} of bar {self._bars + place} is {features[place, column]}; "
                "leave the bar out or fill it as in training"
            )
        self._keep(features)
        self._bars += len(features)

    def reset(self) -> None:
        """Forget all bars, as before the first one."""
        self._bars = 0  # which lets the kernel start from an empty state
        self._ring.fill(0.0)

    def copy(self) -> Self:
        """Return a stream in the same state that goes on by itself."""
        other = type(self)(self.packed)
        other.restore(self.snapshot())
        return other

    def snapshot(self) -> Snapshot:
        """Return the state as named arrays for `restore`, now or in another process (``np.savez``)."""
        return {
            "mode": np.array(self.mode),
            "model": np.array(self.packed.fingerprint),
            "bars": np.array(self._bars, np.int64),
            **self._arrays(),
        }

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a `snapshot` of a stream of the same mode and model.

        Raises
        ------
        ValueError
            When it is of another mode or model, incomplete, or holds what no stream can; the stream has not
            changed then.
        """
        own = {"mode": self.mode, "model": self.packed.fingerprint}
        for key, value in own.items():
            if key in snapshot and str(snapshot[key]) != value:
                raise ValueError(f"snapshot: another {key} made it; restore it into a stream of that {key}")
        require_shapes(snapshot, dict.fromkeys((*own, "bars"), ()))
        bars = checked_bars(snapshot["bars"])
        require_shapes(snapshot, self._shapes(bars))
        self._load(bars, self._checked(snapshot, bars))

    def _rows_at_once(self) -> int:
        """Return how many bars the kernels work on at once."""
        raise NotImplementedError

    def _warm_up(self) -> int:
        """Return the number of bars before the first logits."""
        raise NotImplementedError

    def _ring_size(self) -> int:
        """Return how many values the kernel keeps of bars; 0 lets it carry the state on instead."""
        raise NotImplementedError

    def _keep(self, features: Float32Array) -> None:
        """Keep what a snapshot needs of bars that have been scored; `bars` does not count them yet."""
        raise NotImplementedError

    def _arrays(self) -> Snapshot:
        """Return copies of the state's arrays by name."""
        raise NotImplementedError

    def _shapes(self, bars: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of `_arrays` after so many bars."""
        raise NotImplementedError

    def _checked(self, snapshot: Mapping[str, NDArray[Any]], bars: int) -> dict[str, Float32Array]:
        """Return the values of `_arrays` after so many bars, or raise ``ValueError``."""
        return {key: checked_values(key, snapshot[key]) for key in self._shapes(bars)}

    def _load(self, bars: int, arrays: Mapping[str, Float32Array]) -> None:
        """Take over `_arrays` after so many bars; they have been checked."""
        raise NotImplementedError

    def _save(self) -> None:
        """Keep what `_undo` needs before bars are taken in."""
        raise NotImplementedError

    def _undo(self) -> None:
        """Go back to where `_save` was called."""
        raise NotImplementedError
