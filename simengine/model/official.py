"""Names and layouts of the official ``xlstm`` package's parameters, to and from those used here.

Every mapping is a permutation of axes, so it holds for gradients as it does for weights. The official
package stores linear weights as (out, in). Its sLSTM calls the weights of the input gate ``fgate`` and those
of the forget gate ``igate`` (its issue 98: kept, because checkpoints exist); the names here say what they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from simengine.model.block import MLSTMBlock, XLSTMBlock, XLSTMBlockStack
from simengine.model.mlstm import MLSTM
from simengine.model.slstm import SLSTM

Array = NDArray[np.floating[Any]]


class _Entry(NamedTuple):
    """One parameter: its official name, its variable here and how the layouts differ."""

    name: str
    variable: keras.Variable
    layout: str = "same"


def _swap(array: Array) -> Array:
    return np.swapaxes(array, -1, -2)


def _to_official(array: Array, layout: str) -> Array:
    if layout == "swap":
        return _swap(array)
    if layout == "conv":
        return array.T[:, None]
    if layout == "gate_bias":
        heads, width = array.shape
        return array.reshape(heads, 4, width // 4).swapaxes(0, 1).reshape(-1)
    return array


def _from_official(array: Array, layout: str, shape: tuple[int, ...]) -> Array:
    if layout == "swap":
        return _swap(array)
    if layout == "conv":
        return array[:, 0].T
    if layout == "gate_bias":
        heads, width = shape
        return array.reshape(4, heads, width // 4).swapaxes(0, 1).reshape(shape)
    return array


def _conv_entries(layer: MLSTM | SLSTM) -> list[_Entry]:
    if layer.conv is None:
        return []
    return [
        _Entry("conv1d.conv.weight", layer.conv.kernel, "conv"),
        _Entry("conv1d.conv.bias", layer.conv.bias),
    ]


def _mlstm_entries(layer: MLSTM) -> list[_Entry]:
    entries = [_Entry("learnable_skip", layer.skip), *_conv_entries(layer)]
    official = {"up": "proj_up", "query": "q_proj", "key": "k_proj", "value": "v_proj", "down": "proj_down"}
    for ours, theirs in official.items():
        entries.append(_Entry(f"{theirs}.weight", getattr(layer, ours), "swap"))
        if layer.use_bias:
            entries.append(_Entry(f"{theirs}.bias", layer.biases[ours]))
    for ours, theirs in {"input_gate": "igate", "forget_gate": "fgate"}.items():
        entries.append(_Entry(f"mlstm_cell.{theirs}.weight", getattr(layer, ours), "swap"))
        entries.append(_Entry(f"mlstm_cell.{theirs}.bias", getattr(layer, f"{ours}_bias")))
    return [*entries, _Entry("mlstm_cell.outnorm.weight", layer.scale)]


def _slstm_entries(layer: SLSTM) -> list[_Entry]:
    names = ("fgate", "igate", "zgate", "ogate")
    gates = [_Entry(f"{name}.weight", gate, "swap") for name, gate in zip(names, layer.gates, strict=True)]
    return [
        *_conv_entries(layer),
        *gates,
        _Entry("slstm_cell._recurrent_kernel_", layer.recurrent, "swap"),
        _Entry("slstm_cell._bias_", layer.bias, "gate_bias"),
        _Entry("group_norm.weight", layer.scale),
    ]


def _prefixed(prefix: str, entries: list[_Entry]) -> list[_Entry]:
    return [entry._replace(name=f"{prefix}.{entry.name}") for entry in entries]


def _entries(layer: keras.layers.Layer) -> list[_Entry]:
    if isinstance(layer, MLSTM):
        return _mlstm_entries(layer)
    if isinstance(layer, SLSTM):
        return _slstm_entries(layer)
    if isinstance(layer, XLSTMBlock):
        entries = [_Entry("xlstm_norm.weight", layer.norm.scale)]
        entries += _prefixed("xlstm", _entries(layer.memory))
        if not isinstance(layer, MLSTMBlock):
            entries.append(_Entry("ffn_norm.weight", layer.ffn_norm.scale))
            entries.append(_Entry("ffn.proj_up.weight", layer.ffn.up, "swap"))
            entries.append(_Entry("ffn.proj_down.weight", layer.ffn.down, "swap"))
        return entries
    if isinstance(layer, XLSTMBlockStack):
        entries = []
        for index, block in enumerate(layer.blocks):
            entries += _prefixed(f"blocks.{index}", _entries(block))
        return [*entries, _Entry("post_blocks_norm.weight", layer.norm.scale)]
    raise TypeError(f"expected an MLSTM, SLSTM, block or XLSTMBlockStack; received {type(layer).__name__}")


def official_state(layer: keras.layers.Layer, values: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """Return the weights of a built layer under the official names and in the official layouts.

    Parameters
    ----------
    layer : MLSTM, SLSTM, MLSTMBlock, SLSTMBlock or XLSTMBlockStack
        A built layer.
    values : mapping, optional
        Arrays by variable path to convert in place of the weights, such as their gradients.
    """
    state = {}
    for name, variable, layout in _entries(layer):
        array = np.asarray(variable.numpy() if values is None else values[variable.path])
        state[name] = np.ascontiguousarray(_to_official(array, layout))
    return state


def load_official_state(layer: keras.layers.Layer, state: Mapping[str, Array]) -> None:
    """Set the weights of a built layer from official parameters (sLSTM in the ``vanilla`` layout).

    Raises
    ------
    ValueError
        When a parameter is missing, unexpected or of another shape; no weight is changed then.
    """
    entries = _entries(layer)
    expected = {entry.name for entry in entries}
    if missing := sorted(expected - set(state)):
        raise ValueError(f"official parameters are missing: {', '.join(missing)}")
    if unexpected := sorted(set(state) - expected):
        raise ValueError(f"unexpected official parameters: {', '.join(unexpected)}")
    for name, variable, layout in entries:
        needed = _to_official(np.empty(variable.shape, np.float32), layout).shape
        if state[name].shape != needed:
            raise ValueError(f"{name}: expected shape {needed}; received {state[name].shape}")
    for name, variable, layout in entries:
        variable.assign(_from_official(state[name], layout, tuple(variable.shape)))
