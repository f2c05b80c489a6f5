"""Residual xLSTM blocks and their stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from simengine.errors import unknown_name
from simengine.model.mlstm import MLSTM
from simengine.model.primitives import Config, GatedFeedForward, LayerNorm
from simengine.model.slstm import SLSTM
from simengine.seed import integer

BlockKind = Literal["mlstm", "slstm"]
Shape = tuple[int | None, ...]


class XLSTMBlock(keras.layers.Layer):
    """The options that both kinds of block share.

    Parameters
    ----------
    heads : int
        Number of heads of the memory.
    conv_kernel : int
        Taps of the causal convolution.
    dropout : float
        Share dropped in training from what each part adds to the residual stream.
    index, num_blocks : int
        Place of the block in a stack of ``num_blocks``, from 0; both shape the initial weights.
    return_sequences : bool
        Whether to return all steps or the last only. In the latter case everything that does not feed
        the memory is computed for the last step alone; the result is the same.
    seed : int
        Seed of the weights and of the dropout.
    """

    def __init__(
        self,
        heads: int = 4,
        *,
        conv_kernel: int = 4,
        dropout: float = 0.0,
        index: int = 0,
        num_blocks: int = 1,
        return_sequences: bool = True,
        seed: int = 0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.conv_kernel = conv_kernel
        self.rate = dropout
        self.index = index
        self.num_blocks = num_blocks
        self.return_sequences = return_sequences
        self.seed = seed
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)

    def _residual(self, x: tf.Tensor) -> tf.Tensor:
        return x if self.return_sequences else x[:, -1]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output."""
        return input_shape if self.return_sequences else (input_shape[0], input_shape[-1])

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        own = {"heads": self.heads, "conv_kernel": self.conv_kernel, "dropout": self.rate}
        own |= {"index": self.index, "num_blocks": self.num_blocks}
        own |= {"return_sequences": self.return_sequences, "seed": self.seed}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("simengine")
class MLSTMBlock(XLSTMBlock):
    """Residual mLSTM block ``x + mLSTM(norm(x))``: it projects up, then remembers.

    Parameters
    ----------
    heads : int
        Number of heads of the memory.
    qkv_block : int
        Queries, keys and values are projected within blocks of this many channels.
    use_bias : bool
        Whether the projections of the mLSTM have a bias.
    **kwargs
        Options of `XLSTMBlock`.
    """

    def __init__(
        self,
        heads: int = 4,
        *,
        qkv_block: int = 4,
        use_bias: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(heads, **kwargs)
        self.qkv_block = qkv_block
        self.use_bias = use_bias
        self.memory = MLSTM(
            heads,
            conv_kernel=self.conv_kernel,
            qkv_block=qkv_block,
            use_bias=use_bias,
            num_blocks=self.num_blocks,
            dropout=self.rate,
            return_sequences=self.return_sequences,
            seed=integer(self.seed, "memory"),
            name="memory",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: Shape) -> None:
        """Build the parts for inputs (B, S, D)."""
        self.norm.build(input_shape)
        self.memory.build(input_shape)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Map (B, S, D) to (B, S, D), or to (B, D) without ``return_sequences``."""
        return self._residual(x) + self.memory(self.norm(x), training=training)

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "qkv_block": self.qkv_block, "use_bias": self.use_bias}


@keras.saving.register_keras_serializable("simengine")
class SLSTMBlock(XLSTMBlock):
    """Residual sLSTM block: ``x + sLSTM(norm(x))``, then ``x + feed_forward(norm(x))``.

    Parameters
    ----------
    heads : int
        Number of heads of the memory; divides the width.
    ffn_factor : float
        Inner width of the feed-forward net as a multiple of the width, rounded up to a multiple of 64.
    **kwargs
        Options of `XLSTMBlock`.
    """

    def __init__(self, heads: int = 4, *, ffn_factor: float = 1.3, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(heads, **kwargs)
        self.ffn_factor = ffn_factor
        self.memory = SLSTM(
            heads,
            conv_kernel=self.conv_kernel,
            depth=self.index / max(self.num_blocks - 1, 1),
            dropout=self.rate,
            return_sequences=self.return_sequences,
            seed=integer(self.seed, "memory"),
            name="memory",
            dtype=self.dtype_policy,
        )
        self.ffn_norm = LayerNorm(name="ffn_norm", dtype=self.dtype_policy)
        self.ffn = GatedFeedForward(
            proj_factor=ffn_factor,
            num_blocks=self.num_blocks,
            dropout=self.rate,
            seed=integer(self.seed, "ffn"),
            name="ffn",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: Shape) -> None:
        """Build the parts for inputs (B, S, D)."""
        for part in (self.norm, self.memory, self.ffn_norm, self.ffn):
            part.build(input_shape)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Map (B, S, D) to (B, S, D), or to (B, D) without ``return_sequences``."""
        x = self._residual(x) + self.memory(self.norm(x), training=training)
        return x + self.ffn(self.ffn_norm(x), training=training)

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "ffn_factor": self.ffn_factor}


BLOCKS: dict[str, type[XLSTMBlock]] = {"mlstm": MLSTMBlock, "slstm": SLSTMBlock}


@keras.saving.register_keras_serializable("simengine")
class XLSTMBlockStack(keras.layers.Layer):
    """Blocks one after another and a final normalisation.

    Parameters
    ----------
    blocks : sequence of {"mlstm", "slstm"}
        Kind of each block, first to last; xLSTM[a:b] has a mLSTM and b sLSTM blocks.
    heads, conv_kernel, dropout
        Options of every block, see `XLSTMBlock`.
    return_sequences : bool
        Whether to return all steps or the last only.
    seed : int
        Seed of the weights and of the dropout.

    Raises
    ------
    ValueError
        When ``blocks`` is empty or names an unknown kind.
    """

    def __init__(
        self,
        blocks: Sequence[BlockKind],
        *,
        heads: int = 4,
        conv_kernel: int = 4,
        dropout: float = 0.0,
        return_sequences: bool = True,
        seed: int = 0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        if not blocks:
            raise ValueError("blocks must name at least one block; received none")
        for kind in blocks:
            if kind not in BLOCKS:
                raise ValueError(unknown_name("block", kind, BLOCKS))
        self.kinds = tuple(blocks)
        self.heads = heads
        self.conv_kernel = conv_kernel
        self.rate = dropout
        self.return_sequences = return_sequences
        self.seed = seed
        last = len(blocks) - 1
        self.blocks = [
            BLOCKS[kind](
                heads,
                conv_kernel=conv_kernel,
                dropout=dropout,
                index=index,
                num_blocks=len(blocks),
                return_sequences=return_sequences or index < last,
                seed=integer(seed, "block", index),
                name=f"block_{index}",
                dtype=self.dtype_policy,
            )
            for index, kind in enumerate(blocks)
        ]
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)

    def build(self, input_shape: Shape) -> None:
        """Build the parts for inputs (B, S, D)."""
        for block in self.blocks:
            block.build(input_shape)
        self.norm.build(input_shape)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Map (B, S, D) to (B, S, D), or to (B, D) without ``return_sequences``."""
        for block in self.blocks:
            x = block(x, training=training)
        return self.norm(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output."""
        return input_shape if self.return_sequences else (input_shape[0], input_shape[-1])

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        own = {"blocks": list(self.kinds), "heads": self.heads, "conv_kernel": self.conv_kernel}
        own |= {"dropout": self.rate, "return_sequences": self.return_sequences, "seed": self.seed}
        return {**super().get_config(), **own}
