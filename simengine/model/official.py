"""Weights of the official ``xlstm`` package, read and written without PyTorch and without pickle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from simengine.errors import unknown_name
from simengine.model.checkpoint import CheckpointError, read_arrays, write_arrays
from simengine.model.official_names import (
    BACKENDS,
    GATE_BIAS,
    RECURRENT,
    Array,
    Backend,
    Entry,
    entries_of,
    from_official,
    split_fused,
    to_official,
)

WRAPPERS = ("model.", "module.", "_orig_mod.")
"""Prefixes that data-parallel, compiled and wrapped PyTorch modules put before every name."""


def load_official_state_dict(
    layer: keras.layers.Layer,
    source: Path | str | Mapping[str, Array],
    *,
    backend: Backend | None = None,
    prefix: str | None = None,
) -> Backend:
    """Set the weights of a built layer from an official checkpoint.

    Parameters
    ----------
    layer : MLSTM, SLSTM, MLSTMBlock, SLSTMBlock, MLSTMLargeBlock or XLSTMBlockStack
        A built layer, such as that of `layer_from_official_config`.
    source : path or mapping of str to array
        A ``.safetensors`` or ``.npz`` file, or the arrays by official name.
    backend : {"vanilla", "cuda"}, optional
        The official backend whose layout the sLSTM's recurrent weights and biases have. By default the shape
        of the recurrent weights tells: (NH, 4 DH, DH) is ``vanilla``, (NH, DH, 4 DH) and the external
        (NH, DH, 4, DH) are ``cuda``. The shape of the biases does not tell, so they follow the weights.
    prefix : str, optional
        What stands before the layer's names; other names are ignored then. By default ``model.``,
        ``module.`` and ``_orig_mod.`` are removed where every name has them.

    Returns
    -------
    {"vanilla", "cuda"}
        The layout found, for `to_official_state_dict`; ``vanilla`` without an sLSTM.

    Raises
    ------
    CheckpointError
        When the file cannot be read or is a pickle, or a parameter is missing, unexpected, not of the layer's
        shape or number type, or not finite. No weight is changed then.
    TypeError
        When ``layer`` has no official counterpart.

    Notes
    -----
    Narrower floating types are widened without loss; wider ones are refused, because they would be rounded.
    Names of the fused form of xLSTM-7B (``weight_mode="fused"``) are split.
    """
    if not isinstance(source, Path | str | Mapping):
        raise CheckpointError(
            "source: expected the path of a .safetensors or .npz file, or a mapping of names to arrays; "
            f"received {type(source).__name__}"
        )
    entries = _built_entries(layer)
    where = f"{source}: " if isinstance(source, Path | str) else ""
    given = read_arrays(source) if isinstance(source, Path | str) else source
    try:
        state = split_fused(_without_prefix(_as_arrays(given), prefix), entries)
        _require_names(state, entries)
        state, found = _one_layout(state, entries, backend)
        for entry in entries:
            _require_fit(state[entry.name], entry, found)
    except CheckpointError as error:
        raise CheckpointError(f"{where}{error}") from None
    _assign(state, entries, found)
    return found


def to_official_state_dict(
    layer: keras.layers.Layer,
    backend: Backend = "vanilla",
    *,
    values: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Return the weights of a built layer under the official names, in the official layouts.

    What `load_official_state_dict` read comes out bit by bit.

    Parameters
    ----------
    layer : MLSTM, SLSTM, MLSTMBlock, SLSTMBlock, MLSTMLargeBlock or XLSTMBlockStack
        A built layer.
    backend : {"vanilla", "cuda"}
        Layout of the sLSTM's recurrent weights and biases.
    values : mapping, optional
        Arrays by variable path to convert in place of the weights, such as their gradients.

    Raises
    ------
    CheckpointError
        When the layer is not built, the backend unknown, or ``values`` lack an array.
    TypeError
        When ``layer`` has no official counterpart.
    """
    _require_backend(backend)
    state = {}
    for entry in _built_entries(layer):
        path = entry.variable.path
        if values is not None and path not in values:
            raise CheckpointError(f"values: no array for {path!r}; give one for each weight, by its path")
        array = np.asarray(entry.variable.numpy() if values is None else values[path])
        part = to_official(array[..., entry.columns], entry.layout, backend)
        state[entry.name] = np.ascontiguousarray(part)
    return state


def save_official(layer: keras.layers.Layer, path: Path | str, backend: Backend = "vanilla") -> None:
    """Write `to_official_state_dict` as a ``.safetensors`` or ``.npz`` file, atomically."""
    write_arrays(path, to_official_state_dict(layer, backend))


def _assign(state: Mapping[str, Array], entries: list[Entry], backend: Backend) -> None:
    whole: dict[int, Array] = {}
    for entry in entries:
        variable = entry.variable
        array = whole.setdefault(id(variable), np.empty(variable.shape, str(variable.dtype)))
        array[..., entry.columns] = from_official(state[entry.name], entry.layout, backend, entry.shape)
    for variable in {id(entry.variable): entry.variable for entry in entries}.values():
        variable.assign(whole[id(variable)])


def _built_entries(layer: keras.layers.Layer) -> list[Entry]:
    if isinstance(layer, keras.layers.Layer) and not layer.built:
        raise CheckpointError(
            f"{layer.name} has no weights yet; build it first: layer.build((None, None, width))"
        )
    return entries_of(layer)


def _require_backend(backend: str) -> None:
    if backend not in BACKENDS:
        raise CheckpointError(unknown_name("backend", str(backend), BACKENDS))


def _listed(names: Iterable[str], most: int = 4) -> str:
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _as_arrays(given: Mapping[str, Any]) -> dict[str, Array]:
    for name, value in given.items():
        if not isinstance(name, str):
            raise CheckpointError(f"expected official names as text; received {name!r}: rename it")
        if not isinstance(value, np.ndarray):
            kind = type(value).__name__
            raise CheckpointError(
                f"{name}: expected a NumPy array; received {kind}: convert it with .numpy()"
            )
    return dict(given)


def _without_prefix(state: dict[str, Array], prefix: str | None) -> dict[str, Array]:
    if prefix is None:
        while found := next((word for word in WRAPPERS if _all_start_with(state, word)), None):
            state = {name.removeprefix(found): array for name, array in state.items()}
        return state
    if not isinstance(prefix, str):
        raise CheckpointError(f"prefix: expected text or None; received {type(prefix).__name__}")
    stem = f"{prefix.rstrip('.')}." if prefix else ""
    chosen = {name.removeprefix(stem): array for name, array in state.items() if name.startswith(stem)}
    if not chosen:
        raise CheckpointError(f"no parameter begins with {stem!r}; the names are {_listed(state)}")
    return chosen


def _all_start_with(names: Iterable[str], stem: str) -> bool:
    names = list(names)
    return bool(names) and all(name.startswith(stem) for name in names)


def _require_names(state: Mapping[str, Array], entries: list[Entry]) -> None:
    expected = {entry.name for entry in entries}
    missing, unexpected = expected - set(state), set(state) - expected
    problems = []
    if missing:
        problems.append(f"official parameters are missing: {_listed(missing)}")
    if unexpected:
        problems.append(f"unexpected official parameters: {_listed(unexpected)}")
    if problems:
        advice = "give the layer the options of the checkpoint's config, or a prefix"
        raise CheckpointError(f"{'; '.join(problems)}; {advice}")


def _one_layout(
    state: dict[str, Array], entries: list[Entry], backend: Backend | None
) -> tuple[dict[str, Array], Backend]:
    """Return the parameters with the external shapes flattened, and the backend that they are of.

    The external shapes (NH, DH, 4, DH) and (NH, 4, DH) are those of ``cuda``, not yet flattened.
    """
    if backend is not None:
        _require_backend(backend)
    state = dict(state)
    found: dict[str, Backend] = {}
    for entry in entries:
        array = state[entry.name]
        if entry.layout == "recurrent":
            heads, head_dim, width = entry.shape
            if array.shape == (heads, head_dim, 4, head_dim):
                array = state[entry.name] = array.reshape(entry.shape)
            if array.shape == entry.shape:
                found[entry.name] = "cuda"
            elif array.shape == (heads, width, head_dim):
                found[entry.name] = "vanilla"
        elif entry.layout == "gate_bias" and array.ndim == 3:
            heads, width = entry.shape
            owner = entry.name.removesuffix(GATE_BIAS)
            if array.shape == (heads, 4, width // 4) and found.get(owner + RECURRENT, "cuda") == "cuda":
                state[entry.name] = array.reshape(-1)
    kinds = sorted(set(found.values()))
    if len(kinds) > 1 and backend is None:
        raise CheckpointError("sLSTM weights in both layouts, vanilla and cuda; save them with one backend")
    return state, backend or (kinds[0] if kinds else "vanilla")


def _require_fit(array: Array, entry: Entry, backend: Backend) -> None:
    needed = to_official(np.empty(entry.shape, np.bool_), entry.layout, backend).shape
    if array.shape != needed:
        raise CheckpointError(f"{entry.name}: expected shape {needed}; received {array.shape}")
    ours = np.dtype(str(entry.variable.dtype))
    if array.dtype.kind != "f" or array.dtype.itemsize > ours.itemsize:
        raise CheckpointError(
            f"{entry.name}: expected {ours.name} or narrower; received {array.dtype.name}: convert it"
        )
    if not np.isfinite(array).all():
        raise CheckpointError(f"{entry.name}: holds values that are not finite; the checkpoint is of no use")
