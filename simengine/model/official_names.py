"""The parameters of the official ``xlstm`` package beside the weights of our layers.

The official package stores linear weights as (out, in). Its sLSTM calls the weights of the input gate
``fgate`` and those of the forget gate ``igate`` (its issue 98: kept, because checkpoints exist); the names
here say what they do. Every difference of layout is a permutation of axes, so it holds for gradients as it
does for weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import keras
import numpy as np
from numpy.typing import NDArray

from simengine.model.block import XLSTMBlock
from simengine.model.checkpoint import CheckpointError
from simengine.model.large import MLSTMLarge, MLSTMLargeBlock
from simengine.model.mlstm import MLSTM
from simengine.model.primitives import GatedFeedForward, LayerNorm, RMSNorm
from simengine.model.slstm import SLSTM
from simengine.model.stack import XLSTMBlockStack

Array = NDArray[Any]
Backend = Literal["vanilla", "cuda"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
Layout = Literal["same", "swap", "conv", "recurrent", "gate_bias"]

RECURRENT = "slstm_cell._recurrent_kernel_"
GATE_BIAS = "slstm_cell._bias_"
FUSED = {
    "qkv_opreact": ("q", "k", "v", "ogate_preact"),
    "ifgate_preact": ("igate_preact", "fgate_preact"),
    "proj_up_gate_z": ("proj_up_gate", "proj_up"),
}
"""Matrices of xLSTM-7B with ``weight_mode="fused"``, and what they hold, one below the other."""


class Entry(NamedTuple):
    """One parameter: its official name, its variable here and how the layouts differ.

    Where a variable holds several official parameters side by side, ``half`` is the half of its last axis.
    """

    name: str
    variable: keras.Variable
    layout: Layout = "same"
    half: Literal[0, 1] | None = None

    @property
    def columns(self) -> slice:
        """The part of the variable's last axis that belongs to the parameter."""
        if self.half is None:
            return slice(None)
        size = self.variable.shape[-1] // 2
        return slice(self.half * size, (self.half + 1) * size)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the variable, or of its half."""
        *leading, last = self.variable.shape
        return (*leading, last if self.half is None else last // 2)


def to_official(array: Array, layout: Layout, backend: Backend) -> Array:
    """Return an array of ours in the official layout.

    The recurrent weights (NH, DH, 4 DH) and biases (NH, 4 DH) of an sLSTM are stored here as the ``cuda``
    backend has them: per head, gates in the order i, f, z, o. The ``vanilla`` backend keeps the weights as
    (NH, 4 DH, DH) and the biases gate by gate, (4, NH, DH). Both backends flatten the biases.
    """
    if layout == "conv":
        return array.T[:, None]
    if layout == "swap" or (layout == "recurrent" and backend == "vanilla"):
        return np.swapaxes(array, -1, -2)
    if layout == "gate_bias":
        heads, width = array.shape
        split = array.reshape(heads, 4, width // 4)
        return (split.swapaxes(0, 1) if backend == "vanilla" else split).reshape(-1)
    return array


def from_official(array: Array, layout: Layout, backend: Backend, shape: tuple[int, ...]) -> Array:
    """Return an official array in our layout, of the given shape: the inverse of `to_official`."""
    if layout == "conv":
        return array[:, 0].T
    if layout == "swap" or (layout == "recurrent" and backend == "vanilla"):
        return np.swapaxes(array, -1, -2)
    if layout == "gate_bias" and backend == "vanilla":
        heads, width = shape
        return array.reshape(4, heads, width // 4).swapaxes(0, 1).reshape(shape)
    return array.reshape(shape)


def split_fused(state: Mapping[str, Array], entries: list[Entry]) -> dict[str, Array]:
    """Return the parameters with the fused ones of xLSTM-7B cut into those of the single form.

    Raises
    ------
    CheckpointError
        When a fused parameter has not as many rows as its parts.
    """
    shapes = {
        entry.name: to_official(np.empty(entry.shape), entry.layout, "vanilla").shape for entry in entries
    }
    split: dict[str, Array] = {}
    for name, array in state.items():
        stem, _, kind = name.rpartition(".")
        owner, _, last = stem.rpartition(".")
        parts = [".".join(filter(None, (owner, part, kind))) for part in FUSED.get(last, ())]
        if not parts or any(part not in shapes for part in parts):
            split[name] = array
            continue
        rows = [shapes[part][0] for part in parts]
        if array.ndim < 1 or array.shape[0] != sum(rows):
            raise CheckpointError(f"{name}: expected {sum(rows)} rows; received shape {array.shape}")
        split |= zip(parts, np.split(array, np.cumsum(rows)[:-1]), strict=True)
    return split


def entries_of(layer: keras.layers.Layer) -> list[Entry]:
    """Return the parameters of a built layer, in the order of the official modules.

    Raises
    ------
    TypeError
        When the layer has no official counterpart.
    """
    if isinstance(layer, MLSTM):
        return _mlstm(layer)
    if isinstance(layer, SLSTM):
        return _slstm(layer)
    if isinstance(layer, MLSTMLarge):
        return _large(layer)
    if isinstance(layer, XLSTMBlock):
        return _block(layer)
    if isinstance(layer, XLSTMBlockStack):
        entries = [
            entry
            for index, block in enumerate(layer.blocks)
            for entry in _below(f"blocks.{index}", _block(block))
        ]
        name = "post_blocks_norm" if isinstance(layer.norm, LayerNorm) else "out_norm"
        return entries if layer.norm is None else [*entries, *_norm(name, layer.norm)]
    advice = ": give its stack, model.get_layer('xlstm')" if isinstance(layer, keras.Model) else ""
    received = type(layer).__name__
    raise TypeError(f"expected an mLSTM, sLSTM, block or block stack; received {received}{advice}")


def _below(prefix: str, entries: list[Entry]) -> list[Entry]:
    return [entry._replace(name=f"{prefix}.{entry.name}") for entry in entries]


def _linear(name: str, kernel: keras.Variable, bias: keras.Variable | None) -> list[Entry]:
    weight = Entry(f"{name}.weight", kernel, "swap")
    return [weight] if bias is None else [weight, Entry(f"{name}.bias", bias)]


def _conv(layer: MLSTM | SLSTM) -> list[Entry]:
    if layer.conv is None:
        return []
    return [
        Entry("conv1d.conv.weight", layer.conv.kernel, "conv"),
        Entry("conv1d.conv.bias", layer.conv.bias),
    ]


def _mlstm(layer: MLSTM) -> list[Entry]:
    entries = [Entry("learnable_skip", layer.skip)]
    for ours, theirs in {"up": "proj_up", "query": "q_proj", "key": "k_proj", "value": "v_proj"}.items():
        entries += _linear(theirs, getattr(layer, ours), layer.biases[ours])
    entries += _conv(layer)
    entries += _linear("mlstm_cell.igate", layer.input_gate, layer.input_gate_bias)
    entries += _linear("mlstm_cell.fgate", layer.forget_gate, layer.forget_gate_bias)
    entries.append(Entry("mlstm_cell.outnorm.weight", layer.scale))
    return entries + _linear("proj_down", layer.down, layer.biases["down"])


def _slstm(layer: SLSTM) -> list[Entry]:
    names = ("fgate", "igate", "zgate", "ogate")
    gates = [Entry(f"{name}.weight", gate, "swap") for name, gate in zip(names, layer.gates, strict=True)]
    scale = [] if layer.scale is None else [Entry("group_norm.weight", layer.scale)]
    cell = [Entry(RECURRENT, layer.recurrent, "recurrent"), Entry(GATE_BIAS, layer.bias, "gate_bias")]
    return [*_conv(layer), *gates, *cell, *scale]


def _large(layer: MLSTMLarge) -> list[Entry]:
    entries = []
    for ours, theirs in {"query": "q", "key": "k", "value": "v", "output_gate": "ogate_preact"}.items():
        entries += _linear(theirs, getattr(layer, ours), layer.biases[ours])
    entries += _linear("igate_preact", layer.input_gate, layer.input_gate_bias)
    entries += _linear("fgate_preact", layer.forget_gate, layer.forget_gate_bias)
    entries.append(Entry("multihead_norm.weight", layer.scale))
    if layer.biases["scale"] is not None:
        entries.append(Entry("multihead_norm.bias", layer.biases["scale"]))
    return entries + _linear("out_proj", layer.down, layer.biases["down"])


def _norm(name: str, layer: LayerNorm | RMSNorm) -> list[Entry]:
    bias = getattr(layer, "bias", None)
    weight = Entry(f"{name}.weight", layer.scale)
    return [weight] if bias is None else [weight, Entry(f"{name}.bias", bias)]


def _feed_forward(layer: GatedFeedForward, gate_apart: bool) -> list[Entry]:
    down = _linear("proj_down", layer.down, layer.down_bias)
    if not gate_apart:
        return [*_linear("proj_up", layer.up, layer.up_bias), *down]
    gate = [entry._replace(half=0) for entry in _linear("proj_up_gate", layer.up, layer.up_bias)]
    value = [entry._replace(half=1) for entry in _linear("proj_up", layer.up, layer.up_bias)]
    return [*gate, *value, *down]


def _block(block: XLSTMBlock) -> list[Entry]:
    large = isinstance(block, MLSTMLargeBlock)
    names = ("norm_mlstm", "mlstm_layer", "norm_ffn") if large else ("xlstm_norm", "xlstm", "ffn_norm")
    entries = [*_norm(names[0], block.norm), *_below(names[1], entries_of(block.memory))]
    if block.ffn is not None and block.ffn_norm is not None:
        entries += _norm(names[2], block.ffn_norm)
        entries += _below("ffn", _feed_forward(block.ffn, gate_apart=large))
    return entries
