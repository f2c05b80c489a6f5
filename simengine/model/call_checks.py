"""Checks of what a layer is called with, its inputs and its state; every error is one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_MOST = 6
"""Parts of a state that an error lists."""
_ADVICE = "pass what initial_state(batch) or an earlier call returned"


def require_inputs(name: str, x: Any, axes: str, width: int | None, what: str = "channels") -> None:  # noqa: ANN401
    """Refuse inputs of another shape.

    Parameters
    ----------
    name : str
        What errors call the layer.
    x : tensor or array
        The inputs.
    axes : str
        Names of the axes, such as ``"B, S, D"``.
    width : int, optional
        Size of the last axis; None before there are weights.
    what : str
        What errors call the last axis.

    Raises
    ------
    ValueError
        When the number of axes is another, or the last one has another size.
    """
    shape = _shape(x)
    if shape.rank is None or shape.rank != axes.count(",") + 1:
        raise ValueError(f"{name}: expected inputs of shape ({axes}); received {_described(x)}")
    if width is not None and shape[-1] != width:
        raise ValueError(f"{name} was built for {width} {what}; received inputs of shape {_text(shape)}")


def require_state(name: str, state: Any, shapes: Any) -> None:  # noqa: ANN401 - trees of tensors and shapes
    """Refuse a state that is not what a layer carries on.

    Parameters
    ----------
    name : str
        What errors call the layer.
    state : tuple
        The state; in a stack, None lets a block start from nothing.
    shapes : mapping of str to shape, or tuple of such mappings
        See `SequenceLayer.state_shapes`. Sizes that are None may be any.

    Raises
    ------
    ValueError
        When the number of parts or the shape of one is another, or one does not hold numbers.
    """
    parts = tuple(state) if isinstance(state, tuple | list) else None
    if isinstance(shapes, Mapping):
        needed = ", ".join(f"{key} {_text(tf.TensorShape(shape))}" for key, shape in shapes.items())
        if parts is None or len(parts) != len(shapes) or not all(map(_fits, parts, shapes.values())):
            raise ValueError(
                f"{name}: the state must be a tuple ({needed}); received {_described(state)}: {_ADVICE}"
            )
    elif parts is None or len(parts) != len(shapes):
        received = _described(state) if parts is None else f"a tuple of {len(parts)}"
        raise ValueError(
            f"{name}: the state must be a tuple of {len(shapes)} states, one for each block; "
            f"received {received}: {_ADVICE}"
        )
    else:
        for index, (part, expected) in enumerate(zip(parts, shapes, strict=True)):
            if part is not None:
                require_state(f"{name}, block {index}", part, expected)


def _shape(value: Any) -> tf.TensorShape:  # noqa: ANN401
    """Return the shape of a tensor or an array; of an unknown rank where there is none."""
    return tf.TensorShape(getattr(value, "shape", None))


def _fits(value: Any, shape: Any) -> bool:  # noqa: ANN401
    """Return whether a value is a tensor or an array of numbers of this shape, as far as it is known."""
    return hasattr(value, "shape") and _holds_numbers(value) and bool(_shape(value).is_compatible_with(shape))


def _holds_numbers(value: Any) -> bool:  # noqa: ANN401
    kind = tf.as_dtype(value.dtype)
    return bool(kind.is_floating or kind.is_integer)


def _text(shape: tf.TensorShape) -> str:
    """Return a shape as text; the size that is not known while a graph is built is the batch's, B."""
    return "of an unknown rank" if shape.rank is None else str(tuple(shape)).replace("None", "B")


def _described(value: Any) -> str:  # noqa: ANN401
    """Return the shapes of what was given, or its kind."""
    if isinstance(value, tuple | list):
        parts = [_described(part) for part in value[:_MOST]] + ["..."] * (len(value) > _MOST)
        return f"({', '.join(parts)})"
    if not hasattr(value, "shape"):
        return "None" if value is None else type(value).__name__
    numbers = "" if _holds_numbers(value) else f" of {tf.as_dtype(value.dtype).name}"
    return f"{_text(_shape(value))}{numbers}"
