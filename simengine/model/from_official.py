"""Layers of ours from configs of the official ``xlstm`` package 2.0.6."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

import keras

from simengine.errors import unknown_name
from simengine.model import official_options as official
from simengine.model.block import MLSTMBlock, SLSTMBlock
from simengine.model.large import MLSTMLargeBlock
from simengine.model.mlstm import MLSTM
from simengine.model.options import Kernels, StackOptions
from simengine.model.slstm import SLSTM
from simengine.model.stack import XLSTMBlockStack

Config = Mapping[str, Any]
Kind = Literal[
    "mlstm_layer", "slstm_layer", "mlstm_block", "slstm_block", "stack", "large_block", "large_stack"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Plan = tuple[type[keras.layers.Layer], Any, int, dict[str, Any]]
"""Class of a layer, its options, the width of its inputs and its further arguments."""


def layer_from_official_config(
    config: Config,
    kind: Kind | None = None,
    *,
    names: Iterable[str] = (),
    kernels: Kernels = "tensorflow",
    **arguments: Any,  # noqa: ANN401 - whatever the layer takes
) -> keras.layers.Layer:
    """Return the built layer that an official config describes; its weights are those of a new layer.

    Parameters
    ----------
    config : mapping
        The fields of an official config as a dictionary (``dataclasses.asdict``): ``mLSTMLayerConfig``,
        ``sLSTMLayerConfig``, ``mLSTMBlockConfig``, ``sLSTMBlockConfig``, ``xLSTMBlockConfig``,
        ``xLSTMBlockStackConfig``, ``xLSTMLMModelConfig`` or ``xLSTMLargeConfig``. What is left out has its
        official default.
    kind : {"mlstm_layer", "slstm_layer", "mlstm_block", "slstm_block", "stack", "large_block", \
"large_stack"}, optional
        What to build; by default the fields tell.
    names : iterable of str, optional
        Names of the official parameters. A config of xLSTM-7B fits a block and a stack alike; with parameters
        called ``blocks.<index>`` it is a stack.
    kernels : {"tensorflow", "native"}
        How the memories are computed, see `MLSTMOptions`.
    **arguments
        Further arguments of the layer, such as ``dtype``, ``seed`` or ``return_sequences``.

    Raises
    ------
    ValueError
        When the kind is unknown, or an option is unknown, out of range or not supported: it is named.

    Notes
    -----
    Number types, kernels and layouts of the official implementation (``backend``, ``dtype``,
    ``chunkwise_kernel`` ...) do not change what is computed and are passed over; ``context_length`` is no
    limit here. Vocabulary and logits of a language model are no part of the layers.
    """
    if not isinstance(config, Mapping):
        raise ValueError(
            "official config: expected a mapping of options (dataclasses.asdict of a config); "
            f"received {type(config).__name__}"
        )
    kind = _kind(config, names) if kind is None else kind
    if kind not in BUILDERS:
        raise ValueError(unknown_name("kind of official config", kind, KINDS))
    layer_type, options, width, place = BUILDERS[kind](config)
    layer = layer_type(_with_kernels(options, kernels), **place, **arguments)
    layer.build((None, None, width))
    return layer


def _kind(config: Config, names: Iterable[str]) -> Kind:
    if "mlstm_block" in config or "slstm_block" in config:
        return "stack"
    if "qk_dim_factor" in config or "vocab_size" in config:
        return "large_stack" if any(name.startswith("blocks.") for name in names) else "large_block"
    if config.get("mlstm") is not None:
        return "mlstm_block"
    if config.get("slstm") is not None:
        return "slstm_block"
    if "qkv_proj_blocksize" in config:
        return "mlstm_layer"
    if "group_norm_weight" in config or "recurrent_weight_init" in config:
        return "slstm_layer"
    raise ValueError(f"cannot tell what the official config describes: give kind, one of {', '.join(KINDS)}")


def _set(config: Config, **names: str) -> dict[str, Any]:
    """Return what is set under our names; a place of None was to be set by the stack."""
    return {ours: config[theirs] for ours, theirs in names.items() if config.get(theirs) is not None}


def _with_kernels(options: Any, kernels: Kernels) -> Any:  # noqa: ANN401 - a class of options
    """Return the options, or those of a stack's memories, with these kernels where there is a choice."""
    if isinstance(options, StackOptions):
        parts = {name: _with_kernels(getattr(options, name), kernels) for name in ("mlstm", "slstm", "large")}
        return replace(options, **parts)
    return replace(options, kernels=kernels) if hasattr(options, "kernels") else options


def _mlstm_layer(config: Config) -> Plan:
    width = official.width_of(config, "mLSTM layer")
    return MLSTM, official.mlstm_options(config, width), width, _set(config, num_blocks="_num_blocks")


def _slstm_layer(config: Config) -> Plan:
    width = official.width_of(config, "sLSTM layer")
    depth = (config.get("_block_idx") or 0) / max((config.get("_num_blocks") or 1) - 1, 1)
    return SLSTM, official.slstm_options(config), width, {"depth": depth}


def _mlstm_block(config: Config) -> Plan:
    known, absent = ("mlstm", *official.BLOCK_KNOWN), {"slstm": None, "feedforward": None}
    official.checked(config, "mLSTM block", known, absent)
    width = official.width_of(config["mlstm"], "mLSTM block")
    place = _set(config, index="_block_idx", num_blocks="_num_blocks")
    return MLSTMBlock, official.mlstm_options(config["mlstm"], width), width, place


def _slstm_block(config: Config) -> Plan:
    known = ("slstm", "feedforward", *official.BLOCK_KNOWN)
    official.checked(config, "sLSTM block", known, {"mlstm": None})
    width = official.width_of(config["slstm"], "sLSTM block")
    place = _set(config, index="_block_idx", num_blocks="_num_blocks")
    ffn = official.ffn_options(config.get("feedforward", {}))
    return SLSTMBlock, official.slstm_options(config["slstm"]), width, {**place, "ffn": ffn}


def _stack(config: Config) -> Plan:
    width = official.width_of({"embedding_dim": 128, **config}, "block stack")
    return XLSTMBlockStack, official.stack_options(config, width), width, {}


def _large_block(config: Config) -> Plan:
    width = official.width_of(config, "xLSTM-7B")
    return MLSTMLargeBlock, official.large_options(config), width, {}


def _large_stack(config: Config) -> Plan:
    width = official.width_of(config, "xLSTM-7B")
    return XLSTMBlockStack, official.large_stack_options(config), width, {}


BUILDERS: dict[str, Callable[[Config], Plan]] = {
    "mlstm_layer": _mlstm_layer,
    "slstm_layer": _slstm_layer,
    "mlstm_block": _mlstm_block,
    "slstm_block": _slstm_block,
    "stack": _stack,
    "large_block": _large_block,
    "large_stack": _large_stack,
}
