"""Fitted state of components: attributes ending in ``_``, stored as JSON and npz, never pickled."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simengine.errors import PluginError, RunError
from simengine.rundir import write_bytes_atomic, write_npz

State = dict[str, Any]

INLINE_LIMIT = 256
"""Arrays of more elements, or with NaN or infinities, go to the npz file."""

FORMAT = 1
_NUMERIC = "biuf"


def get_state(component: object) -> State:
    """Return the fitted state of a component.

    That is what its own ``get_state()`` returns, otherwise every attribute whose name ends in ``_``
    (and neither begins with ``_`` nor ends in ``__``).

    Raises
    ------
    PluginError
        When a value is none of: None, boolean, number, text, list, tuple, mapping with text keys, or
        array of numbers, booleans or text.
    """
    own = getattr(component, "get_state", None)
    state = dict(own()) if callable(own) else {name: getattr(component, name) for name in _fitted(component)}
    _encode(state, type(component).__name__, lambda place, array: None)
    return state


def set_state(component: object, state: Mapping[str, Any]) -> None:
    """Restore what `get_state` returned, into a component made with the same options.

    Raises
    ------
    PluginError
        When the state holds a name that is no fitted attribute.
    """
    own = getattr(component, "set_state", None)
    if callable(own):
        own(state)
        return
    for name, value in state.items():
        if not _is_fitted_name(name):
            raise PluginError(f"{type(component).__name__}: {name!r} is no fitted attribute (they end in _)")
        setattr(component, name, value)


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state as JSON, with a ``.npz`` of the same stem for arrays that do not fit in text.

    Equal states give equal bytes. The JSON holds the sha256 of its npz.

    Raises
    ------
    PluginError
        When a value cannot be stored; see `get_state`.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}

    def store(place: str, array: np.ndarray[Any, Any]) -> str:
        arrays[place] = array
        return place

    encoded = _encode(dict(state), "state", store)
    beside = path.with_suffix(".npz")
    document: State = {"format": FORMAT}
    if arrays:
        write_npz(beside, arrays)
        document["npz_sha256"] = hashlib.sha256(beside.read_bytes()).hexdigest()
    document["state"] = encoded
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_bytes_atomic(path, text.encode())
    if not arrays:
        beside.unlink(missing_ok=True)


def read_state(path: Path) -> State:
    """Return a state that `write_state` wrote, equal to the bit.

    Raises
    ------
    RunError
        When a file is missing, damaged, or the npz belongs to another JSON.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        encoded, digest = document["state"], document.get("npz_sha256")
        known = document["format"] == FORMAT and isinstance(encoded, dict)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise RunError(f"{path}: not a state file of this version; train again")
    arrays = _read_arrays(path.with_suffix(".npz"), digest) if digest else {}
    decoded: State = _decode(encoded, arrays)
    return decoded


def _fitted(component: object) -> list[str]:
    names = set(getattr(component, "__dict__", {}))
    for base in type(component).__mro__:
        slots = base.__dict__.get("__slots__", ())
        names |= {slots} if isinstance(slots, str) else set(slots)
    return sorted(name for name in names if _is_fitted_name(name) and hasattr(component, name))


def _is_fitted_name(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__") and not name.startswith("_")


def _encode(value: Any, place: str, store: Callable[[str, np.ndarray[Any, Any]], Any]) -> Any:  # noqa: ANN401
    if isinstance(value, np.generic):
        value = value.item() if value.dtype.kind in _NUMERIC + "U" else value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, np.ndarray):
        return _encode_array(value, place, store)
    if isinstance(value, list | tuple):
        items = [_encode(item, f"{place}.{row}", store) for row, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping):
        return dict(_encode_items(value, place, store))
    raise PluginError(
        f"{place}: a state holds numbers, text, lists and arrays, received {type(value).__name__}"
    )


def _encode_items(
    value: Mapping[Any, Any], place: str, store: Callable[[str, np.ndarray[Any, Any]], Any]
) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if not isinstance(key, str) or key.startswith("$"):
            raise PluginError(
                f"{place}: keys of a state are text that does not begin with $, received {key!r}"
            )
        yield key, _encode(item, f"{place}.{key}", store)


def _encode_array(
    array: np.ndarray[Any, Any], place: str, store: Callable[[str, np.ndarray[Any, Any]], Any]
) -> State:
    if array.dtype.kind not in _NUMERIC + "U":
        raise PluginError(f"{place}: arrays hold numbers, booleans or text, received dtype {array.dtype}")
    text = array.dtype.kind == "U"
    if text or (array.size <= INLINE_LIMIT and bool(np.isfinite(array).all())):
        return {"$array": array.tolist(), "dtype": array.dtype.str, "shape": list(array.shape)}
    return {"$npz": store(place, array)}


def _decode(value: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "$float" in value:
        return float(value["$float"])
    if "$tuple" in value:
        return tuple(_decode(value["$tuple"], arrays))
    if "$array" in value:
        return np.array(value["$array"], dtype=value["dtype"]).reshape(value["shape"])
    if "$npz" in value:
        return arrays[value["$npz"]]
    return {key: _decode(item, arrays) for key, item in value.items()}


def _read_arrays(path: Path, digest: str) -> dict[str, np.ndarray[Any, Any]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise RunError(f"{path}: does not belong to the JSON beside it; train again")
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
