"""Options of the xLSTM signal classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from simengine.model.option_checks import (
    require_at_least,
    require_known,
    require_positive,
    require_shares,
    require_types,
)
from simengine.model.options import (
    Activation,
    BlockKind,
    FeedForwardOptions,
    Form,
    Kernels,
    LargeOptions,
    MLSTMOptions,
    SLSTMOptions,
    StackOptions,
)
from simengine.types import N_CLASSES

Precision = Literal["float32", "mixed_bfloat16"]


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions:
    """Options of `XLSTMClassifier`.

    The defaults are also what a stored architecture without the key means, so none may change.

    Parameters
    ----------
    embedding : int
        Width of the residual stream.
    embedding_bias : float
        Standard deviation of the initial biases of the embedding. The blocks normalise what they see, so
        that without a bias two bars whose features differ by a factor alone look the same to them.
    heads : int
        Memory heads of every block; divides ``embedding``.
    blocks : sequence of {"mlstm", "slstm", "mlstm_large"}
        Kind of each block, first to last.
    dropout : float
        Share of the last hidden state that is dropped in training, in [0, 1).
    block_dropout : float
        Share dropped in training of what each part of a block adds, in [0, 1).
    recurrent_dropout : float
        Share of h[t-1] that sLSTM blocks drop in training, one mask per sequence, in [0, 1).
    conv_kernel : int
        Taps of the causal convolution within blocks; 0 for none.
    qkv_block, proj_factor : int, float
        Of mLSTM blocks, see `MLSTMOptions`.
    ffn_factor, activation : float, str
        Of the feed-forward net of sLSTM blocks, see `FeedForwardOptions`.
    use_bias : bool
        Whether projections within blocks have biases.
    form, chunk_size : str, int
        How an mLSTM runs over a sequence; the result is the same.
    final_norm : bool
        Whether a layer normalisation follows the last block.
    head_bias : sequence of three floats
        Initial biases of the logits, such as the log of class shares.
    precision : {"float32", "mixed_bfloat16"}
        ``mixed_bfloat16`` computes large products in 16 bits; weights, memories, gates, normalisations, the
        residual stream and the logits stay float32.
    kernels : {"tensorflow", "native"}
        What computes mLSTM and sLSTM layers, see `MLSTMOptions`.
    stateful : bool
        Whether the model is trained to carry its state on from bar to bar. Only recorded: it tells those
        who score with the model which way is its own.
    """

    embedding: int = 16
    embedding_bias: float = 0.0
    heads: int = 4
    blocks: Sequence[BlockKind] = ("mlstm", "slstm")
    dropout: float = 0.1
    block_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    conv_kernel: int = 4
    qkv_block: int = 4
    proj_factor: float = 2.0
    ffn_factor: float = 1.3
    activation: Activation = "gelu"
    use_bias: bool = False
    form: Form = "parallel"
    chunk_size: int = 60
    final_norm: bool = True
    head_bias: Sequence[float] = (0.0, 0.0, 0.0)
    precision: Precision = "float32"
    kernels: Kernels = "tensorflow"
    stateful: bool = False

    def __post_init__(self) -> None:
        require_types(self)
        require_at_least(1, embedding=self.embedding, heads=self.heads)
        require_at_least(0, embedding_bias=self.embedding_bias)
        require_positive(ffn_factor=self.ffn_factor)
        require_shares(dropout=self.dropout, block_dropout=self.block_dropout)
        object.__setattr__(self, "blocks", self.stack().blocks)
        require_known("precision", self.precision, get_args(Precision))
        if self.embedding % self.heads:
            heads, embedding = self.heads, self.embedding
            raise ValueError(f"heads must divide embedding; received heads {heads}, embedding {embedding}")
        if "slstm" in self.blocks and self.embedding == self.heads:
            raise ValueError(
                f"heads {self.heads} leave an slstm heads of one unit, which its normalisation makes 0; "
                f"use fewer heads or an embedding above {self.embedding}"
            )
        try:
            bias = np.asarray(self.head_bias, float)
        except (TypeError, ValueError):
            bias = np.empty(0)
        if bias.shape != (N_CLASSES,) or not np.isfinite(bias).all():
            raise ValueError(f"head_bias must be {N_CLASSES} finite numbers; received {self.head_bias}")
        object.__setattr__(self, "head_bias", tuple(bias.tolist()))

    def stack(self) -> StackOptions:
        """Return the options of the stack of blocks."""
        form: dict[str, Any] = {"form": self.form, "chunk_size": self.chunk_size}
        common: dict[str, Any] = {"heads": self.heads, "dropout": self.block_dropout}
        kernels: dict[str, Any] = {"kernels": self.kernels}
        mlstm = MLSTMOptions(
            conv_kernel=self.conv_kernel,
            proj_factor=self.proj_factor,
            qkv_block=self.qkv_block,
            use_bias=self.use_bias,
            **common,
            **form,
            **kernels,
        )
        slstm = SLSTMOptions(
            conv_kernel=self.conv_kernel, recurrent_dropout=self.recurrent_dropout, **common, **kernels
        )
        ffn = FeedForwardOptions(
            proj_factor=self.ffn_factor,
            activation=self.activation,
            use_bias=self.use_bias,
            dropout=self.block_dropout,
        )
        return StackOptions(
            blocks=self.blocks,
            mlstm=mlstm,
            slstm=slstm,
            ffn=ffn,
            large=LargeOptions(use_bias=self.use_bias, **common, **form),
            final_norm="layer" if self.final_norm else None,
        )
