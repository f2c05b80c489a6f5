"""Reading, writing and checking of option classes; every error is one line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_type_hints

import numpy as np

from simengine.errors import unknown_name

T = TypeVar("T")

_WORDS = {int: "a whole number", float: "a number", bool: "true or false"}


def options_from(kind: type[T], value: T | Mapping[str, Any] | None, what: str | None = None) -> T:
    """Return ``value`` as an instance of the options class ``kind``; None gives the defaults.

    ``what`` is what errors call an option.

    Raises
    ------
    TypeError
        When ``value`` is neither an instance nor a mapping.
    ValueError
        When a mapping has an unknown key, or a value is out of range.
    """
    if value is None:
        return kind()
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"options must be {kind.__name__} or a mapping; received {type(value).__name__}")
    known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
    for key in value:
        if key not in known:
            raise ValueError(unknown_name(what or f"option of {kind.__name__}", str(key), known))
    return kind(**value)


def options_config(options: Any) -> dict[str, Any]:  # noqa: ANN401 - any of the classes below
    """Return options as a dictionary that JSON can hold and `options_from` understands."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(options).items()}


def require_types(options: Any) -> None:  # noqa: ANN401 - a dataclass
    """Refuse options of another type than is declared.

    Looked at are options that are declared as int, float or bool, with or without None; the others have
    checks of their own.

    Raises
    ------
    ValueError
        For the first that is no whole number (4.0 and true are none), no number (true is none) or not a bool.
    """
    for name, declared in get_type_hints(type(options)).items():
        kind, optional, value = declared, isinstance(declared, UnionType), getattr(options, name)
        if optional:
            kind = next(iter({*get_args(declared)} - {NoneType}))
        if kind in _WORDS and not (_is_a(kind, value) or (optional and value is None)):
            raise ValueError(f"{name} must be {_WORDS[kind]}; received {value!r}")


def _is_a(kind: type, value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is of a kind of `_WORDS`; numbers of NumPy are too."""
    if kind is bool or isinstance(value, bool | np.bool_):
        return kind is bool and isinstance(value, bool | np.bool_)
    return isinstance(value, Integral if kind is int else Real)


def require_whole(least: int, **values: Any) -> None:  # noqa: ANN401
    """Raise ``ValueError`` for the first value that is no whole number or below ``least``."""
    for name, value in values.items():
        if not _is_a(int, value):
            raise ValueError(f"{name} must be a whole number; received {value!r}")
    require_at_least(least, **values)


def require_finite(**values: float) -> None:
    """Raise ``ValueError`` for the first value that is inf or NaN."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite; received {value}")


def require_at_least(least: float, **values: float | None) -> None:
    """Raise ``ValueError`` for the first value that is below ``least`` or not finite; None passes."""
    for name, value in values.items():
        if value is not None and not (math.isfinite(value) and value >= least):
            raise ValueError(f"{name} must be at least {least}; received {value}")


def require_positive(**values: float) -> None:
    """Raise ``ValueError`` for the first value that is not a finite number above 0."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive; received {value}")


def require_shares(**values: float) -> None:
    """Raise ``ValueError`` for the first value outside [0, 1)."""
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise ValueError(f"{name} must be at least 0 and below 1; received {value}")


def require_names(what: str, names: Any) -> None:  # noqa: ANN401
    """Raise ``ValueError`` unless ``names`` is a list or another sequence that is not empty."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ValueError(f"{what} must be a list of names; received {names!r}")
    if not names:
        raise ValueError(f"{what} must hold at least one name; received none")


def require_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise ``ValueError`` unless ``name`` is among the known ones."""
    known = tuple(known)
    if name not in known:
        raise ValueError(unknown_name(what, str(name), known))


def inner_width(width: int, factor: float, multiple: int, up: bool = True) -> int:
    """Return ``factor * width``, rounded to a multiple of ``multiple``, up or down.

    Raises
    ------
    ValueError
        When nothing is left after rounding down.
    """
    parts = factor * width / multiple
    inner = int(math.ceil(parts) if up else math.floor(parts)) * multiple
    if inner < 1:
        raise ValueError(
            f"the inner width, {factor} x {width} rounded down to a multiple of {multiple}, "
            "is 0: lower round_to or raise proj_factor"
        )
    return inner
