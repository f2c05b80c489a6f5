"""What a snapshot of a stream must be before anything of it is taken over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simengine.types import Float32Array

Snapshot = dict[str, NDArray[Any]]
_ADVICE = "give what Stream.snapshot returned"


def as_float32(values: Any) -> Float32Array:  # noqa: ANN401 - whatever NumPy understands
    """Return a contiguous copy; what float32 cannot hold becomes inf, which is refused later."""
    with np.errstate(over="ignore"):
        return np.array(values, np.float32, order="C")


def require_shapes(snapshot: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ``ValueError`` for the first array that is missing or of another shape."""
    for key, shape in shapes.items():
        received = np.shape(snapshot[key]) if key in snapshot else "nothing"
        if received != shape:
            raise ValueError(f"snapshot: {key!r} must have shape {shape}; received {received}: {_ADVICE}")


def checked_bars(bars: NDArray[Any]) -> int:
    """Return the number of bars; ``ValueError`` unless it is a whole number of at least 0."""
    value = np.asarray(bars)
    if value.dtype.kind not in "iu" or value < 0:
        raise ValueError(f"snapshot: 'bars' must be an integer >= 0; received {value}: {_ADVICE}")
    return int(value)


def checked_values(key: str, array: NDArray[Any], *, infinite: bool = False) -> Float32Array:
    """Return a float32 copy; ``ValueError`` unless all is finite, or -inf where ``infinite`` allows it."""
    kind = np.asarray(array).dtype
    if kind.kind not in "fiu":
        raise ValueError(f"snapshot: {key!r} must hold numbers; received {kind}: {_ADVICE}")
    values = as_float32(array)
    good = np.isfinite(values)
    if infinite:
        good |= np.isneginf(values)
    if not good.all():
        wrong = values[~good][0]
        raise ValueError(f"snapshot: {key!r} must be finite; received {wrong}: {_ADVICE}")
    return values


def require_start(arrays: Mapping[str, Float32Array], start: Mapping[str, Float32Array]) -> None:
    """Raise ``ValueError`` unless the state is that before the first bar."""
    for key, values in start.items():
        if not np.array_equal(arrays[key], values):
            raise ValueError(f"snapshot: {key!r} holds a state, but 'bars' is 0: {_ADVICE}")
