"""Scoring one bar at a time, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from simengine.model.streaming.network import score
from simengine.model.streaming.packing import CHUNK, Packed
from simengine.types import N_CLASSES, Float32Array

StreamMode = Literal["windowed_exact", "stateful"]
Snapshot = dict[str, NDArray[Any]]


def _float32(values: Any) -> Float32Array:  # noqa: ANN401 - whatever NumPy understands
    """Return a contiguous copy; what float32 cannot hold becomes inf, which is refused later."""
    with np.errstate(over="ignore"):
        return np.array(values, np.float32, order="C")


def _require_shapes(snapshot: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ``ValueError`` for the first array that is missing or of another shape."""
    for key, shape in shapes.items():
        received = np.shape(snapshot[key]) if key in snapshot else "nothing"
        if received != shape:
            raise ValueError(
                f"snapshot: {key!r} must have shape {shape}; received {received}: "
                "give what Stream.snapshot returned"
            )


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
        self._bars = 0

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
            When the shape is wrong or a feature is not finite; the bar is not taken in then.
        """
        if np.shape(features) != (self.n_features,):
            raise ValueError(
                f"features must have shape ({self.n_features},); received {np.shape(features)}: "
                "give one bar, or several to run"
            )
        self._bar[0] = features if getattr(features, "dtype", None) == np.float32 else _float32(features)
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
        self._take(_float32(matrix), logits)
        return logits

    def _take(self, features: Float32Array, logits: Float32Array) -> None:
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
            When it is of another mode or model, or incomplete; the stream has not changed then.
        """
        own = {"mode": self.mode, "model": self.packed.fingerprint}
        for key, value in own.items():
            if key in snapshot and str(snapshot[key]) != value:
                raise ValueError(f"snapshot: another {key} made it; restore it into a stream of that {key}")
        _require_shapes(snapshot, dict.fromkeys((*own, "bars"), ()))
        _require_shapes(snapshot, self._shapes(int(snapshot["bars"])))
        self._bars = int(snapshot["bars"])
        self._load(snapshot)

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

    def _load(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take over `_arrays`; the number of bars is set already."""
        raise NotImplementedError


class StatefulStream(Stream):
    """Carries the state from bar to bar without end: logits of a model that is trained that way.

    Every bar counts from the first one on. The state before the first bar is that of the start of a sequence
    (stabilisers at -inf). Snapshots hold it in the layout of the layers' states with a batch of one left out,
    as ``block_0/C`` and so on.
    """

    mode = "stateful"

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

    def _load(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        for key, view in self._views().items():
            view[...] = snapshot[key]

    def _views(self) -> dict[str, Float32Array]:
        return {
            key: self._state[offset : offset + int(np.prod(shape))].reshape(shape)
            for key, (offset, shape) in self.packed.states.items()
        }


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

    def _load(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        features = _float32(snapshot["features"])
        self._bars -= len(features)
        self._take(features, np.empty((0, N_CLASSES), np.float32))
