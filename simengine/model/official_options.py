"""Options of our layers from configs of the official ``xlstm`` package 2.0.6."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from simengine.errors import unknown_name
from simengine.model.option_checks import require_whole
from simengine.model.options import (
    BlockKind,
    FeedForwardOptions,
    FinalNorm,
    LargeOptions,
    MLSTMOptions,
    SLSTMOptions,
    StackOptions,
    block_kinds,
)

Config = Mapping[str, Any]

# What an official config may hold. `*_IDLE` options choose kernels, layouts and number types of the official
# implementation, or hold what it derives itself: they do not change the function that is computed. `*_FIXED`
# options are understood with their one value only.
UP_PROJECTION = ("proj_factor", "round_proj_up_dim_up", "round_proj_up_to_multiple_of", "_proj_up_dim")
MLSTM_KNOWN = ("embedding_dim", "num_heads", "conv1d_kernel_size", "qkv_proj_blocksize", "bias", "dropout")
MLSTM_IDLE = ("context_length", "_num_blocks", "_block_idx", "_inner_embedding_dim")
SLSTM_KNOWN = (
    "embedding_dim",
    "num_heads",
    "conv1d_kernel_size",
    "group_norm_weight",
    "dropout",
    "bias_init",
    "recurrent_weight_init",
    "_block_idx",
    "_num_blocks",
)
SLSTM_IDLE = (
    "hidden_size",
    "backend",
    "batch_size",
    "input_shape",
    "internal_input_shape",
    "output_shape",
    "dtype",
    "dtype_b",
    "dtype_r",
    "dtype_w",
    "dtype_g",
    "dtype_s",
    "dtype_a",
    "enable_automatic_mixed_precision",
)
SLSTM_FIXED = {
    "function": "slstm",
    "num_states": 4,
    "num_gates": 4,
    "gradient_recurrent_cut": False,
    "gradient_recurrent_clipval": None,
    "forward_clipval": None,
    "constants": {},
    "initial_val": 0.0,
}
FFN_KNOWN = ("act_fn", "dropout", "bias")
FFN_IDLE = ("embedding_dim", "_num_blocks")
FFN_FIXED = {"ff_type": "ffn_gated"}
BLOCK_KNOWN = ("_num_blocks", "_block_idx")
STACK_KNOWN = (
    "mlstm_block",
    "slstm_block",
    "num_blocks",
    "embedding_dim",
    "add_post_blocks_norm",
    "bias",
    "dropout",
    "slstm_at",
)
STACK_IDLE = ("context_length", "_block_map")
LANGUAGE_MODEL = ("vocab_size", "tie_weights", "weight_decay_on_embedding", "add_embedding_dropout")
"""What a language model adds around a stack."""
LARGE_KNOWN = (
    "embedding_dim",
    "num_heads",
    "num_blocks",
    "use_bias",
    "norm_eps",
    "add_out_norm",
    "qk_dim_factor",
    "v_dim_factor",
    "ffn_proj_factor",
    "ffn_round_up_to_multiple_of",
    "gate_soft_cap",
)
LARGE_IDLE = (
    "vocab_size",
    "norm_reduction_force_float32",
    "chunkwise_kernel",
    "sequence_kernel",
    "step_kernel",
    "mode",
    "chunk_size",
    "return_last_states",
    "autocast_kernel_dtype",
    "inference_state_dtype",
    "output_logit_soft_cap",
    "weight_mode",
)
LARGE_FIXED = {"eps": 1e-6}


def checked(config: Config, what: str, known: Iterable[str], fixed: Config | None = None) -> Config:
    """Return the config after all its names were found known and its fixed options at their values.

    Raises
    ------
    ValueError
        With the name of the first option that is unknown or not supported.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"official {what}: expected a mapping of options; received {type(config).__name__}")
    fixed = fixed or {}
    names = (*known, *fixed)
    for key, value in config.items():
        if key not in names:
            raise ValueError(unknown_name(f"option of the official {what}", str(key), names))
        if key in fixed and value != fixed[key]:
            raise ValueError(
                f"official {what}: {key} is supported with {fixed[key]!r} only; received {value!r}"
            )
    return config


def width_of(config: Config, what: str) -> int:
    """Return the width of the residual stream.

    Raises
    ------
    ValueError
        When it is missing or still unset (-1).
    """
    width = config.get("embedding_dim", -1)
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise ValueError(f"official {what}: embedding_dim must be a positive integer; received {width!r}")
    return width


def mlstm_options(config: Config, width: int) -> MLSTMOptions:
    """Return the options of an ``mLSTMLayerConfig`` for inputs of ``width`` channels."""
    checked(config, "mLSTM layer", (*UP_PROJECTION, *MLSTM_KNOWN, *MLSTM_IDLE))
    own = _given(config, heads="num_heads", conv_kernel="conv1d_kernel_size", qkv_block="qkv_proj_blocksize")
    own |= _given(config, use_bias="bias", dropout="dropout")
    options = MLSTMOptions(**_up_projection(config, "mLSTM layer"), **own)
    # The official layer rounds the number of blocks down and makes the blocks as wide as it takes.
    inner = options.inner_width(width)
    count = inner // options.qkv_block
    if count < 1 or inner % count:
        raise ValueError(
            f"official mLSTM layer: qkv_proj_blocksize must divide the inner width {inner}; "
            f"received {options.qkv_block}"
        )
    return replace(options, qkv_block=inner // count)


def slstm_options(config: Config) -> SLSTMOptions:
    """Return the options of an ``sLSTMLayerConfig``."""
    checked(config, "sLSTM layer", (*SLSTM_KNOWN, *SLSTM_IDLE), SLSTM_FIXED)
    own = _given(config, conv_kernel="conv1d_kernel_size", group_norm_weight="group_norm_weight")
    own |= _given(config, bias_init="bias_init", recurrent_init="recurrent_weight_init", dropout="dropout")
    if "num_heads" in config:
        require_whole(0, num_heads=config["num_heads"])
        own["heads"] = max(config["num_heads"], 1)  # the official config does that too
    return SLSTMOptions(**own)


def ffn_options(config: Config | None) -> FeedForwardOptions | None:
    """Return the options of a ``FeedForwardConfig``, None of None."""
    if config is None:
        return None
    checked(config, "feed-forward net", (*UP_PROJECTION, *FFN_KNOWN, *FFN_IDLE), FFN_FIXED)
    own = _given(config, activation="act_fn", use_bias="bias", dropout="dropout")
    return FeedForwardOptions(**_up_projection(config, "feed-forward net"), **own)


def stack_options(config: Config, width: int) -> StackOptions:
    """Return the options of an ``xLSTMBlockStackConfig``.

    As in the official stack, its ``bias`` and ``dropout`` replace those of the mLSTM and its ``dropout`` that
    of the sLSTM, but not those of the feed-forward net; without an ``mlstm_block`` all blocks are sLSTM.
    """
    what = "block stack"
    checked(config, what, (*STACK_KNOWN, *STACK_IDLE, *LANGUAGE_MODEL))
    mlstm, slstm = config.get("mlstm_block"), config.get("slstm_block")
    kinds = block_kinds(config.get("num_blocks", 1), "all" if mlstm is None else config.get("slstm_at", ()))
    if slstm is None and "slstm" in kinds:
        raise ValueError(f"official {what}: blocks {kinds} need an slstm_block; received none")
    dropout = config.get("dropout", 0.0)
    parts: dict[str, Any] = {"ffn": None}
    if mlstm is not None:
        inner = checked(mlstm, "mLSTM block", ("mlstm", *BLOCK_KNOWN)).get("mlstm", {})
        own = mlstm_options(inner, width)
        parts["mlstm"] = replace(own, use_bias=config.get("bias", False), dropout=dropout)
    if slstm is not None:
        checked(slstm, "sLSTM block", ("slstm", "feedforward", *BLOCK_KNOWN))
        parts["slstm"] = replace(slstm_options(slstm.get("slstm", {})), dropout=dropout)
        parts["ffn"] = ffn_options(slstm.get("feedforward", {}))
    norm: FinalNorm | None = "layer" if config.get("add_post_blocks_norm", True) else None
    return StackOptions(blocks=kinds, final_norm=norm, **parts)


def large_options(config: Config) -> LargeOptions:
    """Return the options of the blocks of an ``xLSTMLargeConfig``."""
    what = "xLSTM-7B"
    checked(config, what, (*LARGE_KNOWN, *LARGE_IDLE), LARGE_FIXED)
    if "siging" in str(config.get("chunkwise_kernel", "")):
        raise ValueError(
            f"official {what}: chunkwise_kernel {config['chunkwise_kernel']!r} has sigmoid input gates, "
            "which are not supported; choose one without siging"
        )
    own = _given(
        config, heads="num_heads", use_bias="use_bias", norm_eps="norm_eps", gate_cap="gate_soft_cap"
    )
    own |= _given(config, qk_factor="qk_dim_factor", v_factor="v_dim_factor", ffn_factor="ffn_proj_factor")
    return LargeOptions(**own, **_given(config, ffn_round_to="ffn_round_up_to_multiple_of"))


def large_stack_options(config: Config) -> StackOptions:
    """Return the options of the blocks of an ``xLSTMLargeConfig`` and of their final normalisation."""
    options = large_options(config)
    count = config.get("num_blocks", 1)
    require_whole(1, num_blocks=count)
    blocks: list[BlockKind] = ["mlstm_large"] * count
    return StackOptions(
        blocks=blocks, large=options, final_norm="rms" if config.get("add_out_norm", True) else None
    )


def _given(config: Config, **names: str) -> dict[str, Any]:
    """Return what the config holds under our names: ``_given(config, heads="num_heads")``."""
    return {ours: config[theirs] for ours, theirs in names.items() if theirs in config}


def _up_projection(config: Config, what: str) -> dict[str, Any]:
    """Return the options of the inner width; without a factor the official config gives the width itself."""
    rounding = _given(config, round_up="round_proj_up_dim_up", round_to="round_proj_up_to_multiple_of")
    if config.get("proj_factor", 0) is not None:
        return {**rounding, **_given(config, proj_factor="proj_factor")}
    if not config.get("_proj_up_dim"):
        raise ValueError(
            f"official {what}: proj_factor is None, so _proj_up_dim must be set; received nothing"
        )
    return {**rounding, "inner": config["_proj_up_dim"]}
