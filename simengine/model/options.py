"""Options of the xLSTM's layers: frozen, validated, and plain enough for JSON.

Defaults are those of the official ``xlstm`` package 2.0.6, whose own names are given in brackets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Literal, get_args

from simengine.model.option_checks import (
    inner_width,
    options_from,
    require_at_least,
    require_finite,
    require_known,
    require_names,
    require_positive,
    require_shares,
    require_types,
    require_whole,
)

BlockKind = Literal["mlstm", "slstm", "mlstm_large"]
Form = Literal["parallel", "chunkwise", "recurrent"]
BiasInit = Literal["powerlaw_blockdependent", "small_init", "standard", "zeros"]
RecurrentInit = Literal["zeros", "standard"]
Activation = Literal["gelu", "relu", "relu^2", "sigmoid", "swish", "selu"]
FinalNorm = Literal["layer", "rms"]
Kernels = Literal["tensorflow", "native"]


@dataclass(frozen=True, kw_only=True)
class MLSTMOptions:
    """Options of the mLSTM layer.

    Parameters
    ----------
    heads : int
        Number of heads [num_heads]; divides the inner width.
    conv_kernel : int
        Taps of the causal convolution in front of queries and keys [conv1d_kernel_size]. With 0, which the
        official layer does not have, queries, keys and skip see the up-projection as it is, without the
        activation that follows the convolution, as in the sLSTM.
    proj_factor, round_to, round_up : float, int, bool
        Inner width as a multiple of the input width, rounded up (or down) to a multiple of ``round_to``
        [proj_factor, round_proj_up_to_multiple_of, round_proj_up_dim_up].
    inner : int, optional
        The inner width itself, in place of the three before [_inner_embedding_dim].
    qkv_block : int
        Queries, keys and values are projected within blocks of this many channels [qkv_proj_blocksize];
        divides the inner width.
    use_bias : bool
        Whether projections have a bias [bias]; gates always have one.
    dropout : float
        Share of the outputs that are dropped in training.
    form : {"parallel", "chunkwise", "recurrent"}
        How a sequence is run; the result is the same. See `simengine.model.memory`.
    chunk_size : int
        Steps per chunk of the chunkwise form; the last chunk may be shorter.
    kernels : {"tensorflow", "native"}
        What computes the layer: TensorFlow operations, which XLA can compile and a GPU can run, or the fused
        CPU kernels of `simengine.model.native`, with the same result to rounding.
    """

    heads: int = 4
    conv_kernel: int = 4
    proj_factor: float = 2.0
    round_to: int = 64
    round_up: bool = True
    inner: int | None = None
    qkv_block: int = 4
    use_bias: bool = False
    dropout: float = 0.0
    form: Form = "parallel"
    chunk_size: int = 60
    kernels: Kernels = "tensorflow"

    def __post_init__(self) -> None:
        require_types(self)
        require_at_least(1, heads=self.heads, round_to=self.round_to, inner=self.inner)
        require_known("kernels", self.kernels, get_args(Kernels))
        require_at_least(1, qkv_block=self.qkv_block, chunk_size=self.chunk_size)
        require_at_least(0, conv_kernel=self.conv_kernel)
        require_positive(proj_factor=self.proj_factor)
        require_shares(dropout=self.dropout)
        require_known("form of the mLSTM", self.form, get_args(Form))

    def inner_width(self, width: int) -> int:
        """Return the inner width I for inputs of ``width`` channels."""
        return self.inner or inner_width(width, self.proj_factor, self.round_to, self.round_up)


@dataclass(frozen=True, kw_only=True)
class SLSTMOptions:
    """Options of the sLSTM layer.

    Parameters
    ----------
    heads : int
        Number of heads [num_heads]; divides the width.
    conv_kernel : int
        Taps of the causal convolution in front of input and forget gate [conv1d_kernel_size]; 0 leaves it
        and its activation out.
    bias_init : {"powerlaw_blockdependent", "small_init", "standard", "zeros"}
        Initial bias of the gates, see `simengine.model.initializers.gate_bias_init`.
    recurrent_init : {"zeros", "standard"}
        Initial recurrent weights [recurrent_weight_init]: 0, or uniform within 1 / sqrt(width).
    group_norm_weight : bool
        Whether the normalised output is scaled.
    dropout : float
        Share of the hidden states that are dropped in training, before the normalisation.
    recurrent_dropout : float
        Share of the units of h[t-1] that the recurrent weights do not see in training: one mask for all
        steps of a sequence (Gal and Ghahramani, 2016, "A Theoretically Grounded Application of Dropout in
        Recurrent Neural Networks"). Not an official option.
    kernels : {"tensorflow", "native"}
        What computes the layer: TensorFlow operations, which XLA can compile and a GPU can run, or the fused
        CPU kernels of `simengine.model.native`, with the same result to rounding.
    """

    heads: int = 4
    conv_kernel: int = 4
    bias_init: BiasInit = "powerlaw_blockdependent"
    recurrent_init: RecurrentInit = "zeros"
    group_norm_weight: bool = True
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    kernels: Kernels = "tensorflow"

    def __post_init__(self) -> None:
        require_types(self)
        require_at_least(1, heads=self.heads)
        require_known("kernels", self.kernels, get_args(Kernels))
        require_at_least(0, conv_kernel=self.conv_kernel)
        require_shares(dropout=self.dropout, recurrent_dropout=self.recurrent_dropout)
        require_known("bias_init", self.bias_init, get_args(BiasInit))
        require_known("recurrent_init", self.recurrent_init, get_args(RecurrentInit))


@dataclass(frozen=True, kw_only=True)
class FeedForwardOptions:
    """Options of the gated feed-forward net after an sLSTM.

    Parameters
    ----------
    proj_factor, round_to, round_up : float, int, bool
        Inner width as a multiple of the width, rounded up (or down) to a multiple of ``round_to``
        [proj_factor, round_proj_up_to_multiple_of, round_proj_up_dim_up].
    inner : int, optional
        The inner width itself, in place of the three before [_proj_up_dim].
    activation : {"gelu", "relu", "relu^2", "sigmoid", "swish", "selu"}
        Activation of the gate [act_fn]; ``gelu`` is the exact one.
    use_bias : bool
        Whether both projections have a bias [bias].
    dropout : float
        Share of the outputs that are dropped in training.
    """

    proj_factor: float = 1.3
    round_to: int = 64
    round_up: bool = True
    inner: int | None = None
    activation: Activation = "gelu"
    use_bias: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_types(self)
        require_at_least(1, round_to=self.round_to, inner=self.inner)
        require_positive(proj_factor=self.proj_factor)
        require_shares(dropout=self.dropout)
        require_known("activation", self.activation, get_args(Activation))

    def inner_width(self, width: int) -> int:
        """Return the inner width P for inputs of ``width`` channels."""
        return self.inner or inner_width(width, self.proj_factor, self.round_to, self.round_up)


@dataclass(frozen=True, kw_only=True)
class LargeOptions:
    """Options of the mLSTM block of xLSTM-7B (official ``xlstm_large``).

    Parameters
    ----------
    heads : int
        Number of heads [num_heads]; divides the widths of keys and values.
    qk_factor, v_factor : float
        Widths of queries and keys, and of values, as multiples of the width, rounded down to an integer
        [qk_dim_factor, v_dim_factor].
    gate_cap : float
        Soft cap of the raw gates, ``cap tanh(x / cap)`` [gate_soft_cap].
    ffn_factor, ffn_round_to : float, int
        Inner width of the feed-forward net [ffn_proj_factor, ffn_round_up_to_multiple_of].
    norm_eps : float
        Added to the variance by all normalisations.
    use_bias : bool
        Whether projections and normalisations have a bias; gates always have one.
    input_gate_bias : float
        Initial bias of the input gates; the paper starts them at -10 (Beck et al., 2025, "xLSTM 7B: A
        Recurrent LLM for Fast and Efficient Inference").
    dropout : float
        Share of what each half adds to the residual stream that is dropped in training. Not official.
    form, chunk_size
        As in `MLSTMOptions`.
    """

    heads: int = 4
    qk_factor: float = 0.5
    v_factor: float = 1.0
    gate_cap: float = 15.0
    ffn_factor: float = 2.6667
    ffn_round_to: int = 64
    norm_eps: float = 1e-6
    use_bias: bool = False
    input_gate_bias: float = -10.0
    dropout: float = 0.0
    form: Form = "parallel"
    chunk_size: int = 60

    def __post_init__(self) -> None:
        require_types(self)
        require_at_least(1, heads=self.heads, ffn_round_to=self.ffn_round_to, chunk_size=self.chunk_size)
        require_positive(qk_factor=self.qk_factor, v_factor=self.v_factor, gate_cap=self.gate_cap)
        require_positive(ffn_factor=self.ffn_factor, norm_eps=self.norm_eps)
        require_finite(input_gate_bias=self.input_gate_bias)
        require_shares(dropout=self.dropout)
        require_known("form of the mLSTM", self.form, get_args(Form))

    def ffn_width(self, width: int) -> int:
        """Return the inner width of the feed-forward net.

        The official formula, which adds ``multiple - 1`` before it rounds down: a fraction that exceeds a
        multiple by less than 1 is cut off (24 x 2.6667 = 64.0008 gives 64).
        """
        multiple = self.ffn_round_to
        return max(int((width * self.ffn_factor + multiple - 1) // multiple), 1) * multiple


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """Options of a stack of blocks.

    Parameters
    ----------
    blocks : sequence of {"mlstm", "slstm", "mlstm_large"}
        Kind of each block, first to last; xLSTM[a:b] has a mLSTM and b sLSTM blocks. `block_kinds` makes it
        from the official ``num_blocks`` and ``slstm_at``.
    mlstm, slstm, large : MLSTMOptions, SLSTMOptions, LargeOptions
        Options of every block of that kind, also as mappings. The official ``bias`` and ``dropout`` of a
        stack are those of its layers.
    ffn : FeedForwardOptions, optional
        The feed-forward net of sLSTM blocks [feedforward]; None leaves it out.
    final_norm : {"layer", "rms"}, optional
        Normalisation after the last block [add_post_blocks_norm]; ``rms`` is that of xLSTM-7B.
    """

    blocks: Sequence[BlockKind] = ("mlstm",)
    mlstm: MLSTMOptions = field(default_factory=MLSTMOptions)
    slstm: SLSTMOptions = field(default_factory=SLSTMOptions)
    large: LargeOptions = field(default_factory=LargeOptions)
    ffn: FeedForwardOptions | None = field(default_factory=FeedForwardOptions)
    final_norm: FinalNorm | None = "layer"

    def __post_init__(self) -> None:
        require_names("blocks", self.blocks)
        for kind in self.blocks:
            require_known("block", kind, get_args(BlockKind))
        if self.final_norm is not None:
            require_known("final_norm", self.final_norm, get_args(FinalNorm))
        parts = {
            "blocks": tuple(self.blocks),
            "mlstm": options_from(MLSTMOptions, self.mlstm),
            "slstm": options_from(SLSTMOptions, self.slstm),
            "large": options_from(LargeOptions, self.large),
            "ffn": None if self.ffn is None else options_from(FeedForwardOptions, self.ffn),
        }
        for name, value in parts.items():
            object.__setattr__(self, name, value)  # frozen: mappings and lists become what is declared


def block_kinds(num_blocks: int, slstm_at: Sequence[int] | Literal["all"] = ()) -> tuple[BlockKind, ...]:
    """Return the kinds of ``num_blocks`` blocks: sLSTM at the given places from 0, mLSTM elsewhere.

    Raises
    ------
    ValueError
        When there is no block, or a place lies outside the stack.
    """
    require_whole(1, num_blocks=num_blocks)
    places = range(num_blocks) if slstm_at == "all" else slstm_at
    if isinstance(places, str) or not isinstance(places, Iterable):
        raise ValueError(f"slstm_at must be 'all' or a list of places; received {slstm_at!r}")
    for place in places:
        if not isinstance(place, Integral) or not 0 <= int(place) < num_blocks:
            raise ValueError(f"slstm_at must lie in 0..{num_blocks - 1}; received {place}")
    return tuple("slstm" if index in places else "mlstm" for index in range(num_blocks))
