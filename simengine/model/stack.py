"""A stack of xLSTM blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from simengine.model.base import Mode, SequenceLayer, Shape, State, StateShapes
from simengine.model.block import MLSTMBlock, SLSTMBlock, XLSTMBlock
from simengine.model.large import MLSTMLargeBlock
from simengine.model.option_checks import options_from
from simengine.model.options import BlockKind, StackOptions
from simengine.model.primitives import LayerNorm, RMSNorm
from simengine.seed import integer


@keras.saving.register_keras_serializable("simengine")
class XLSTMBlockStack(SequenceLayer):
    """Blocks one after another and a final normalisation.

    Its state is a tuple with the state of each block.

    Parameters
    ----------
    options : StackOptions or mapping, optional
        Kinds of the blocks and the options of each kind.
    return_sequences : bool
        Whether to return all steps or the last only.
    seed : int
        Seed of the weights and of the dropout.
    """

    def __init__(self, options: StackOptions | Mapping[str, Any] | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(options_from(StackOptions, options), **kwargs)
        self.blocks = [self._block(kind, index) for index, kind in enumerate(self.options.blocks)]
        self.norm: LayerNorm | RMSNorm | None = None
        if self.options.final_norm == "layer":
            self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)
        elif self.options.final_norm == "rms":
            large = self.options.large
            self.norm = RMSNorm(large.norm_eps, use_bias=large.use_bias, name="norm", dtype=self.dtype_policy)

    def _block(self, kind: BlockKind, index: int) -> XLSTMBlock:
        place = {"index": index, "num_blocks": len(self.options.blocks)}
        place |= {"seed": integer(self.seed, "block", index)}
        common = {**place, "name": f"block_{index}", "dtype": self.dtype_policy}
        if kind == "slstm":
            return SLSTMBlock(self.options.slstm, ffn=self.options.ffn, **common)
        if kind == "mlstm_large":
            return MLSTMLargeBlock(self.options.large, **common)
        return MLSTMBlock(self.options.mlstm, **common)

    def build(self, input_shape: Shape) -> None:
        """Build the parts for inputs (B, S, D)."""
        for block in self.blocks:
            block.build(input_shape)
        if self.norm is not None:
            self.norm.build(input_shape)

    def first_state(self, batch: int, first_m: float) -> State:
        """Return the state before the first step, see `SequenceLayer.first_state`."""
        return tuple(block.first_state(batch, first_m) for block in self.blocks)

    def state_shapes(self, batch: int | None) -> StateShapes:
        """Return the shapes of the state, see `SequenceLayer.state_shapes`."""
        return tuple(block.state_shapes(batch) for block in self.blocks)

    @property
    def width(self) -> int:
        """Channels of the inputs."""
        return self.blocks[0].width

    def run(self, x: tf.Tensor, mode: Mode) -> tuple[tf.Tensor, State | None]:
        """Run over a sequence, see `SequenceLayer.run`."""
        states = [None] * len(self.blocks) if mode.state is None else mode.state
        last, after = len(self.blocks) - 1, []
        for index, (block, before) in enumerate(zip(self.blocks, states, strict=True)):
            every_step = mode.every_step or index < last
            x, state = block.run(x, mode._replace(state=before, every_step=every_step))
            after.append(state)
        x = x if self.norm is None else self.norm(x)
        return x, tuple(after) if mode.keep_state else None
