"""The mLSTM block of xLSTM-7B (Beck et al., 2025, "xLSTM 7B"; official ``xlstm_large``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from simengine.model.base import Mode, SequenceLayer, Shape, State, StateShapes
from simengine.model.block import XLSTMBlock
from simengine.model.initializers import LinspaceInit, small_init, wang_init
from simengine.model.memory import run_memory, state_shapes, zero_state
from simengine.model.option_checks import options_from
from simengine.model.options import FeedForwardOptions, LargeOptions
from simengine.model.primitives import GatedFeedForward, RMSNorm, dense, normalise, require_divisible
from simengine.seed import integer

PROJECTIONS = ("query", "key", "value", "output_gate")


def soft_cap(x: tf.Tensor, cap: float) -> tf.Tensor:
    """Return ``cap tanh(x / cap)``: about x near 0, never beyond the cap."""
    return cap * tf.tanh(x / cap)


@keras.saving.register_keras_serializable("simengine")
class MLSTMLarge(SequenceLayer):
    """The mLSTM layer of xLSTM-7B: no up-projection, no convolution, no skip; gates with a soft cap.

        q, k, v = x Wq, x Wk, x Wv;   i, f = cap tanh((x W + b) / cap)
        y = (sigmoid(x Wo) * norm(memory(q, k, v, i, f))) Wout

    with the norm within each head, and a plain scale. Its state is (C (B, heads, DHk, DHv),
    n (B, heads, DHk, 1), m (B, heads, 1, 1)).

    Parameters
    ----------
    options : LargeOptions or mapping, optional
        Heads, widths, cap, biases, form; those of the feed-forward net belong to the block.
    num_blocks : int
        Number of blocks of the stack; the last projection starts smaller in deeper stacks.
    **kwargs
        ``return_sequences`` and ``seed``, see `SequenceLayer`.
    """

    def __init__(
        self,
        options: LargeOptions | Mapping[str, Any] | None = None,
        *,
        num_blocks: int = 1,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(options_from(LargeOptions, options), **kwargs)
        self.num_blocks = num_blocks
        self.dropout = keras.layers.Dropout(
            self.options.dropout, seed=integer(self.seed, "dropout"), dtype=self.memory_dtype
        )

    def build(self, input_shape: Shape) -> None:
        """Create the weights.

        The official package leaves PyTorch's initial weights; here projections start as in the other
        blocks, gates at their biases alone.

        Raises
        ------
        ValueError
            When the heads do not divide the widths of keys and values.
        """
        options, heads, width = self.options, self.options.heads, int(input_shape[-1] or 0)
        keys, values = int(width * options.qk_factor), int(width * options.v_factor)
        self.key_dim = require_divisible(keys, heads, "heads", "the width of the keys")
        self.value_dim = require_divisible(values, heads, "heads", "the width of the values")
        widths = dict(zip(PROJECTIONS, (keys, keys, values, values), strict=True))
        self.query, self.key, self.value, self.output_gate = (
            self._weight(name, (width, size), small_init(width, integer(self.seed, name)))
            for name, size in widths.items()
        )
        first = keras.initializers.Constant(options.input_gate_bias)
        self.input_gate = self._weight("input_gate", (width, heads), "zeros")
        self.forget_gate = self._weight("forget_gate", (width, heads), "zeros")
        self.input_gate_bias = self._weight("input_gate_bias", (heads,), first)
        self.forget_gate_bias = self._weight("forget_gate_bias", (heads,), LinspaceInit(3.0, 6.0))
        self.scale = self._weight("scale", (values,), "ones")
        down = wang_init(width, self.num_blocks, integer(self.seed, "down"))
        self.down = self._weight("down", (values, width), down)
        self.biases = {
            name: self._weight(f"{name}_bias", (size,), "zeros") if options.use_bias else None
            for name, size in {**widths, "scale": values, "down": width}.items()
        }

    def first_state(self, batch: int, first_m: float) -> State:
        """Return the state before the first step, see `SequenceLayer.first_state`."""
        shape = (batch, self.options.heads)
        return zero_state(shape, self.key_dim, self.value_dim, self.memory_dtype, first_m)

    def state_shapes(self, batch: int | None) -> StateShapes:
        """Return the shapes of the state, see `SequenceLayer.state_shapes`."""
        return state_shapes((batch, self.options.heads), self.key_dim, self.value_dim)

    @property
    def width(self) -> int:
        """Channels of the inputs."""
        return int(self.query.shape[0])

    def run(self, x: tf.Tensor, mode: Mode) -> tuple[tf.Tensor, State | None]:
        """Run over a sequence, see `SequenceLayer.run`."""
        low = self._low(x)
        last = low if mode.every_step else low[:, -1:]
        heads = self.options.heads
        gates = tf.transpose(self._gates(self._high(x)), (2, 0, 1))
        q, k, v = self._heads(last, "query"), self._heads(low, "key"), self._heads(low, "value")
        inputs = (q, k, v, gates[:heads], gates[heads:])
        hidden, state = run_memory(inputs, self.options, mode.state, mode.keep_state)
        opened = tf.sigmoid(self._high(self._project(last, "output_gate")))
        hidden = tf.transpose(normalise(hidden, self.options.norm_eps), (1, 2, 0, 3))
        hidden = tf.reshape(hidden, tf.shape(opened)) * self._high(self.scale)
        if self.biases["scale"] is not None:
            hidden += self._high(self.biases["scale"])
        out = self._high(self._project(self._low(opened * hidden), "down"))
        out = self.dropout(out if mode.every_step else out[:, 0], training=mode.training)
        return out, state if mode.keep_state else None

    def _project(self, x: tf.Tensor, name: str) -> tf.Tensor:
        product, bias = dense(x, self._low(getattr(self, name))), self.biases[name]
        return product if bias is None else product + self._low(bias)

    def _heads(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Return the projection of (B, T, D), (heads, B, T, DH)."""
        product, heads = self._high(self._project(x, name)), self.options.heads
        split = tf.reshape(product, (-1, x.shape[1], heads, product.shape[-1] // heads))
        return tf.transpose(split, (2, 0, 1, 3))

    def _gates(self, x: tf.Tensor) -> tf.Tensor:
        """Return the raw gates, (B, S, 2 heads), input gates first."""
        kernel = tf.concat([self.input_gate, self.forget_gate], -1)
        bias = tf.concat([self.input_gate_bias, self.forget_gate_bias], 0)
        return soft_cap(dense(x, self._high(kernel)) + self._high(bias), self.options.gate_cap)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "num_blocks": self.num_blocks}


@keras.saving.register_keras_serializable("simengine")
class MLSTMLargeBlock(XLSTMBlock):
    """The block of xLSTM-7B: ``x + mLSTM(rms_norm(x))``, then ``x + swiglu(rms_norm(x))``.

    The feed-forward net keeps its two halves in one matrix, gate first (officially ``proj_up_gate`` and
    ``proj_up``).

    Parameters
    ----------
    options : LargeOptions or mapping, optional
        Options of the block.
    **kwargs
        Place in the stack, ``return_sequences`` and ``seed``, see `XLSTMBlock`.
    """

    def __init__(self, options: LargeOptions | Mapping[str, Any] | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(options_from(LargeOptions, options), **kwargs)
        self.norm, self.ffn_norm = (
            RMSNorm(
                self.options.norm_eps,
                use_bias=self.options.use_bias,
                name=name,
                dtype=self.dtype_policy,
            )
            for name in ("norm", "ffn_norm")
        )
        self.memory = MLSTMLarge(self.options, num_blocks=self.num_blocks, **self._part("memory"))

    def build(self, input_shape: Shape) -> None:
        """Build the parts for inputs (B, S, D)."""
        options = self.options
        if self.ffn is None:  # its width follows from the input's by a formula of its own
            ffn = FeedForwardOptions(
                inner=options.ffn_width(int(input_shape[-1] or 0)),
                activation="swish",
                use_bias=options.use_bias,
                dropout=options.dropout,
            )
            self.ffn = GatedFeedForward(ffn, num_blocks=self.num_blocks, **self._part("ffn"))
        super().build(input_shape)
