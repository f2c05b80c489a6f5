"""Residual xLSTM blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from simengine.model.base import Config, Mode, SequenceLayer, Shape, State, StateShapes
from simengine.model.mlstm import MLSTM
from simengine.model.option_checks import options_config, options_from
from simengine.model.options import FeedForwardOptions, MLSTMOptions, SLSTMOptions
from simengine.model.primitives import GatedFeedForward, LayerNorm, RMSNorm
from simengine.model.slstm import SLSTM
from simengine.seed import integer

DEFAULT_FFN = FeedForwardOptions()


class XLSTMBlock(SequenceLayer):
    """Residual block ``x + memory(norm(x))`` and, if it has a feed-forward net, ``x + ffn(ffn_norm(x))``.

    A subclass sets ``norm``, ``memory``, ``ffn_norm`` and ``ffn``. The state is the memory's. The residual
    stream keeps the dtype of the memory under a mixed policy.

    Parameters
    ----------
    options : dataclass
        Options of the memory.
    index, num_blocks : int
        Place of the block in a stack of ``num_blocks``, from 0; both shape the initial weights.
    **kwargs
        ``return_sequences`` and ``seed``, see `SequenceLayer`.
    """

    norm: LayerNorm | RMSNorm
    memory: SequenceLayer
    ffn_norm: LayerNorm | RMSNorm | None = None
    ffn: GatedFeedForward | None = None

    def __init__(self, options: Any, *, index: int = 0, num_blocks: int = 1, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(options, **kwargs)
        self.index = index
        self.num_blocks = num_blocks

    def _part(self, name: str) -> Config:
        """Return what the constructor of the memory or the feed-forward net is told."""
        return {"name": name, "seed": integer(self.seed, name), "dtype": self.dtype_policy}

    def build(self, input_shape: Shape) -> None:
        """Build the parts for inputs (B, S, D)."""
        for part in (self.norm, self.memory, self.ffn_norm, self.ffn):
            if part is not None:
                part.build(input_shape)

    def first_state(self, batch: int, first_m: float) -> State:
        """Return the state before the first step, see `SequenceLayer.first_state`."""
        return self.memory.first_state(batch, first_m)

    def state_shapes(self, batch: int | None) -> StateShapes:
        """Return the shapes of the state, see `SequenceLayer.state_shapes`."""
        return self.memory.state_shapes(batch)

    @property
    def width(self) -> int:
        """Channels of the inputs."""
        return self.memory.width

    def run(self, x: tf.Tensor, mode: Mode) -> tuple[tf.Tensor, State | None]:
        """Run over a sequence, see `SequenceLayer.run`."""
        x = self._high(x)
        y, state = self.memory.run_normed(x, self.norm, mode)
        x = (x if mode.every_step else x[:, -1]) + y
        if self.ffn is not None and self.ffn_norm is not None:
            x += self.ffn(self.ffn_norm(x), training=mode.training)
        return x, state

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "index": self.index, "num_blocks": self.num_blocks}


@keras.saving.register_keras_serializable("simengine")
class MLSTMBlock(XLSTMBlock):
    """Residual mLSTM block ``x + mLSTM(norm(x))``: it projects up, then remembers.

    Parameters
    ----------
    options : MLSTMOptions or mapping, optional
        Options of the mLSTM.
    **kwargs
        Place in the stack, ``return_sequences`` and ``seed``, see `XLSTMBlock`.
    """

    def __init__(self, options: MLSTMOptions | Mapping[str, Any] | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(options_from(MLSTMOptions, options), **kwargs)
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)
        self.memory = MLSTM(self.options, num_blocks=self.num_blocks, **self._part("memory"))


@keras.saving.register_keras_serializable("simengine")
class SLSTMBlock(XLSTMBlock):
    """Residual sLSTM block: ``x + sLSTM(norm(x))``, then ``x + feed_forward(norm(x))``.

    Parameters
    ----------
    options : SLSTMOptions or mapping, optional
        Options of the sLSTM.
    ffn : FeedForwardOptions or mapping, optional
        Options of the feed-forward net; None leaves it out.
    **kwargs
        Place in the stack, ``return_sequences`` and ``seed``, see `XLSTMBlock`.
    """

    def __init__(
        self,
        options: SLSTMOptions | Mapping[str, Any] | None = None,
        *,
        ffn: FeedForwardOptions | Mapping[str, Any] | None = DEFAULT_FFN,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(options_from(SLSTMOptions, options), **kwargs)
        depth = self.index / max(self.num_blocks - 1, 1)
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)
        self.memory = SLSTM(self.options, depth=depth, **self._part("memory"))
        self.ffn_options = None if ffn is None else options_from(FeedForwardOptions, ffn)
        if self.ffn_options is not None:
            self.ffn_norm = LayerNorm(name="ffn_norm", dtype=self.dtype_policy)
            self.ffn = GatedFeedForward(self.ffn_options, num_blocks=self.num_blocks, **self._part("ffn"))

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        ffn = None if self.ffn_options is None else options_config(self.ffn_options)
        return {**super().get_config(), "ffn": ffn}
