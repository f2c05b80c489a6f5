"""The sLSTM layer: scalar memory, exponential input gate, recurrent weights within each head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from simengine.model.base import Mode, SequenceLayer, Shape, State, StateShapes, XLSTMLayer
from simengine.model.fused import run_slstm, runs_fused
from simengine.model.initializers import gate_bias_init, recurrent_init, small_init
from simengine.model.option_checks import options_from
from simengine.model.options import SLSTMOptions
from simengine.model.primitives import CausalConv1D, LayerNorm, normalise, require_divisible, to_heads
from simengine.model.recurrence import GATES, slstm_scan
from simengine.seed import integer


@keras.saving.register_keras_serializable("simengine")
class SLSTM(SequenceLayer):
    """The sLSTM layer: causal convolution, gates, recurrence, normalisation of each head.

    Input and forget gate see the convolved input, cell input and output gate the input itself. Its state is
    (conv (B, K, D), (4, B, D) with h, c, n, m), without ``conv`` when there is no convolution.

    Parameters
    ----------
    options : SLSTMOptions or mapping, optional
        Heads, convolution, initial weights, dropout.
    depth : float
        Relative depth of the block in its stack, from 0 to 1: sets the initial forget biases.
    return_sequences : bool
        Whether to return all steps or the last only.
    seed : int
        Seed of the weights and of the dropout.
    """

    def __init__(
        self,
        options: SLSTMOptions | Mapping[str, Any] | None = None,
        *,
        depth: float = 0.0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(options_from(SLSTMOptions, options), **kwargs)
        self.depth = depth
        taps, conv_seed = self.options.conv_kernel, integer(self.seed, "conv")
        self.conv = CausalConv1D(taps, seed=conv_seed, name="conv", dtype=self.dtype_policy) if taps else None
        self.dropout = self._dropout(self.options.dropout, "dropout")
        self.recurrent_dropout = self._dropout(self.options.recurrent_dropout, "recurrent_dropout")

    def _dropout(self, rate: float, purpose: str) -> keras.layers.Dropout:
        return keras.layers.Dropout(rate, seed=integer(self.seed, purpose), dtype=self.memory_dtype)

    def build(self, input_shape: Shape) -> None:
        """Create the weights.

        Raises
        ------
        ValueError
            When the number of heads does not divide the width.
        """
        options, heads, width = self.options, self.options.heads, int(input_shape[-1] or 0)
        head_dim = require_divisible(width, heads, "heads", "the width of the sLSTM")
        if self.conv is not None:
            self.conv.build(input_shape)
        self.gates = [
            self._weight(
                f"{gate}_gate",
                (heads, head_dim, head_dim),
                small_init(width, integer(self.seed, f"{gate}_gate")),
            )
            for gate in GATES
        ]
        recurrent = recurrent_init(options.recurrent_init, width, integer(self.seed, "recurrent"))
        self.recurrent = self._weight("recurrent", (heads, head_dim, 4 * head_dim), recurrent)
        bias = gate_bias_init(options.bias_init, width, self.depth, integer(self.seed, "bias"))
        self.bias = self._weight("bias", (heads, 4 * head_dim), bias)
        self.scale = self._weight("scale", (width,), "zeros") if options.group_norm_weight else None

    def first_state(self, batch: int, first_m: float) -> State:
        """Return the state before the first step, see `SequenceLayer.first_state`."""
        shape, dtype = (batch, self.width), self.memory_dtype
        zero, never = tf.zeros(shape, dtype), tf.fill(shape, tf.constant(-math.inf, dtype))
        memory = tf.stack([zero, zero, zero, never])
        if self.conv is None:
            return (memory,)
        return (tf.zeros((batch, self.options.conv_kernel, self.width), self.compute_dtype), memory)

    def state_shapes(self, batch: int | None) -> StateShapes:
        """Return the shapes of the state, see `SequenceLayer.state_shapes`."""
        conv = {} if self.conv is None else {"conv": (batch, self.options.conv_kernel, self.width)}
        return {**conv, "hcnm": (4, batch, self.width)}

    @property
    def width(self) -> int:
        """Channels of the inputs."""
        heads, head_dim = self.recurrent.shape[:2]
        return int(heads * head_dim)

    def run(self, x: tf.Tensor, mode: Mode) -> tuple[tf.Tensor, State | None]:
        """Run over a sequence, see `SequenceLayer.run`."""
        if runs_fused(self, mode):
            return run_slstm(self, self._high(x), mode), None
        return self._cell(self._low(x), mode)

    def run_normed(self, x: tf.Tensor, norm: XLSTMLayer, mode: Mode) -> tuple[tf.Tensor, State | None]:
        """Run over ``norm(x)``, see `SequenceLayer.run_normed`."""
        if runs_fused(self, mode) and isinstance(norm, LayerNorm):
            return run_slstm(self, self._high(x), mode, norm.scale), None
        return self.run(norm(x), mode)

    def _cell(self, x: tf.Tensor, mode: Mode) -> tuple[tf.Tensor, State | None]:
        """Return the whole layer: (B, S, D) to (B, S or none, D), and the state if kept."""
        convolved, before, taps = self._convolve(x, mode)
        result = slstm_scan(
            self._input_gates(x, convolved),
            self._high(self.recurrent),
            initial_state=before,
            recurrent_mask=self._recurrent_mask(x, mode),
            return_state=mode.keep_state,
        )
        hidden, memory = result if mode.keep_state else (result, ())
        hidden = hidden if mode.every_step else hidden[-1:]
        hidden = normalise(self.dropout(hidden, training=mode.training))
        hidden = tf.reshape(tf.transpose(hidden, (2, 0, 1, 3)), tf.shape(x if mode.every_step else x[:, -1]))
        if self.scale is not None:
            hidden *= 1.0 + self._high(self.scale)
        return hidden, (*taps, tf.stack([_merged(part) for part in memory])) if mode.keep_state else None

    def _convolve(self, x: tf.Tensor, mode: Mode) -> tuple[tf.Tensor, Any, State]:
        """Return the activated convolution, the memory's state before, and the convolution's state after."""
        first, memory = None, None
        if mode.state is not None:
            *taps, memory = mode.state
            first = taps[0] if taps else None
            memory = tuple(self._split(self._high(part)) for part in tf.unstack(self._high(memory), num=4))
        if self.conv is None:
            return x, memory, ()
        if mode.state is None and not mode.keep_state:
            return tf.nn.silu(self.conv(x)), None, ()
        convolved, last = self.conv.resume(x, first)
        return tf.nn.silu(convolved), memory, (last,)

    def _split(self, x: tf.Tensor) -> tf.Tensor:
        """Reshape (B, D) to (heads, B, DH)."""
        return tf.transpose(tf.reshape(x, (-1, *self.recurrent.shape[:2])), (1, 0, 2))

    def _recurrent_mask(self, x: tf.Tensor, mode: Mode) -> tf.Tensor | None:
        if not (mode.training and self.options.recurrent_dropout):
            return None
        ones = tf.ones_like(self._split(self._high(x[:, 0])))
        return self.recurrent_dropout(ones, training=True)

    def _input_gates(self, x: tf.Tensor, convolved: tf.Tensor) -> tf.Tensor:
        """Return what inputs and bias contribute to the gates, (S, heads, B, 4 DH)."""
        (steps, width), heads = x.shape[1:], self.options.heads
        i, f, z, o = (self._low(gate) for gate in self.gates)
        slow = tf.matmul(to_heads(convolved, heads), tf.concat([i, f], -1))
        fast = tf.matmul(to_heads(x, heads), tf.concat([z, o], -1))
        gates = self._high(tf.concat([slow, fast], -1)) + self._high(self.bias)[:, None]
        gates = tf.reshape(gates, (heads, -1, steps, 4 * width // heads))
        return tf.transpose(gates, (2, 0, 1, 3))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "depth": self.depth}


def _merged(x: tf.Tensor) -> tf.Tensor:
    """Reshape (heads, B, DH) to (B, D)."""
    heads, _, head_dim = x.shape
    return tf.reshape(tf.transpose(x, (1, 0, 2)), (-1, heads * head_dim))
