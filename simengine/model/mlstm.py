"""The mLSTM layer: matrix memory with a covariance update, between an up- and a down-projection."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from simengine.model.base import Mode, SequenceLayer, Shape, State, StateShapes, XLSTMLayer
from simengine.model.fused import run_mlstm, runs_fused
from simengine.model.initializers import LinspaceInit, small_init, wang_init
from simengine.model.memory import run_memory, state_shapes, zero_state
from simengine.model.option_checks import options_from
from simengine.model.options import MLSTMOptions
from simengine.model.primitives import CausalConv1D, LayerNorm, dense, normalise, require_divisible, to_heads
from simengine.seed import integer


def diagonal_blocks(blocks: tf.Tensor, groups: int) -> tf.Tensor:
    """Assemble n square blocks into one matrix per group, (n, b, b) to (groups, n / groups * b, same)."""
    count, size, _ = blocks.shape
    per_group = count // groups
    grouped = tf.reshape(blocks, (groups, per_group, size, 1, size))
    placed = grouped * tf.reshape(tf.eye(per_group, dtype=blocks.dtype), (per_group, 1, per_group, 1))
    return tf.reshape(placed, (groups, per_group * size, per_group * size))


@keras.saving.register_keras_serializable("simengine")
class MLSTM(SequenceLayer):
    """The mLSTM layer: up-projection, causal convolution, matrix memory, gated down-projection.

    Its state is (conv (B, K, I), C (B, heads, DH, DH), n (B, heads, DH, 1), m (B, heads, 1, 1)), without
    ``conv`` when there is no convolution.

    Parameters
    ----------
    options : MLSTMOptions or mapping, optional
        Heads, widths, convolution, biases, dropout, form.
    num_blocks : int
        Number of blocks of the stack; the down-projection starts smaller in deeper stacks.
    return_sequences : bool
        Whether to return all steps or the last only; then only its query is computed.
    seed : int
        Seed of the weights and of the dropout.
    """

    def __init__(
        self,
        options: MLSTMOptions | Mapping[str, Any] | None = None,
        *,
        num_blocks: int = 1,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(options_from(MLSTMOptions, options), **kwargs)
        self.num_blocks = num_blocks
        taps, conv_seed = self.options.conv_kernel, integer(self.seed, "conv")
        self.conv = CausalConv1D(taps, seed=conv_seed, name="conv", dtype=self.dtype_policy) if taps else None
        self.dropout = keras.layers.Dropout(
            self.options.dropout, seed=integer(self.seed, "dropout"), dtype=self.memory_dtype
        )

    def build(self, input_shape: Shape) -> None:
        """Create the weights.

        Raises
        ------
        ValueError
            When heads or blocks of channels do not divide the inner width.
        """
        options, heads, width = self.options, self.options.heads, int(input_shape[-1] or 0)
        inner = self.inner = options.inner_width(width)
        head_dim = require_divisible(inner, heads, "heads", "the inner width of the mLSTM")
        count = require_divisible(inner, options.qkv_block, "qkv_block", "the inner width of the mLSTM")
        # The smallest parts of the channels that neither a head nor a block reaches out of.
        self.groups = inner // math.lcm(head_dim, options.qkv_block)
        if self.conv is not None:
            self.conv.build((*input_shape[:-1], inner))
        self.up = self._weight("up", (width, 2 * inner), small_init(width, integer(self.seed, "up")))
        blocks = (count, options.qkv_block, options.qkv_block)
        self.query, self.key, self.value = (
            self._weight(name, blocks, small_init(width, integer(self.seed, name)))
            for name in ("query", "key", "value")
        )
        self.input_gate = self._weight("input_gate", (3 * inner, heads), "zeros")
        self.forget_gate = self._weight("forget_gate", (3 * inner, heads), "zeros")
        normal = keras.initializers.RandomNormal(0.0, 0.1, seed=integer(self.seed, "input_gate_bias"))
        self.input_gate_bias = self._weight("input_gate_bias", (heads,), normal)
        self.forget_gate_bias = self._weight("forget_gate_bias", (heads,), LinspaceInit(3.0, 6.0))
        self.skip = self._weight("skip", (inner,), "ones")
        self.scale = self._weight("scale", (inner,), "zeros")
        down = wang_init(width, self.num_blocks, integer(self.seed, "down"))
        self.down = self._weight("down", (inner, width), down)
        widths = {"up": 2 * inner, "query": inner, "key": inner, "value": inner, "down": width}
        self.biases = {
            name: self._weight(f"{name}_bias", (size,), "zeros") if options.use_bias else None
            for name, size in widths.items()
        }

    def first_state(self, batch: int, first_m: float) -> State:
        """Return the state before the first step, see `SequenceLayer.first_state`."""
        options, head_dim = self.options, self.inner // self.options.heads
        memory = zero_state((batch, options.heads), head_dim, head_dim, self.memory_dtype, first_m)
        if self.conv is None:
            return memory
        return (tf.zeros((batch, options.conv_kernel, self.inner), self.compute_dtype), *memory)

    def state_shapes(self, batch: int | None) -> StateShapes:
        """Return the shapes of the state, see `SequenceLayer.state_shapes`."""
        options, head_dim = self.options, self.inner // self.options.heads
        conv = {} if self.conv is None else {"conv": (batch, options.conv_kernel, self.inner)}
        return conv | state_shapes((batch, options.heads), head_dim, head_dim)

    @property
    def width(self) -> int:
        """Channels of the inputs."""
        return int(self.up.shape[0])

    def run(self, x: tf.Tensor, mode: Mode) -> tuple[tf.Tensor, State | None]:
        """Run over a sequence, see `SequenceLayer.run`."""
        if runs_fused(self, mode):
            return run_mlstm(self, self._high(x), mode), None
        up = self._biased(dense(self._low(x), self._low(self.up)), "up")
        hidden, state = self._cell(up, mode)
        out = self._biased(dense(self._low(hidden), self._low(self.down)), "down")
        return self.dropout(self._high(out), training=mode.training), state

    def run_normed(self, x: tf.Tensor, norm: XLSTMLayer, mode: Mode) -> tuple[tf.Tensor, State | None]:
        """Run over ``norm(x)``, see `SequenceLayer.run_normed`."""
        if runs_fused(self, mode) and isinstance(norm, LayerNorm):
            return run_mlstm(self, self._high(x), mode, norm.scale), None
        return self.run(norm(x), mode)

    def _cell(self, up: tf.Tensor, mode: Mode) -> tuple[tf.Tensor, State | None]:
        """Return all between the projections: (B, S, 2 I) to (B, S or none, I), and the state if kept."""
        main, gate = tf.split(up, 2, -1)
        convolved, before, taps = self._convolve(main, mode)
        hidden, memory = self._memory(main, convolved, before, mode)
        if not mode.every_step:
            gate, convolved = gate[:, -1], convolved[:, -1]
        hidden = tf.reshape(tf.transpose(normalise(hidden), (1, 2, 0, 3)), tf.shape(convolved))
        hidden = hidden * (1.0 + self._high(self.scale)) + self._high(self.skip) * self._high(convolved)
        state = (*taps, *memory) if mode.keep_state else None
        return hidden * tf.nn.silu(self._high(gate)), state

    def _convolve(self, main: tf.Tensor, mode: Mode) -> tuple[tf.Tensor, State | None, State]:
        """Return the activated convolution, the memory's state before, and the convolution's state after."""
        if self.conv is None:
            return main, mode.state, ()
        if mode.state is None and not mode.keep_state:
            return tf.nn.silu(self.conv(main)), None, ()
        first, *memory = mode.state or (None,)
        convolved, last = self.conv.resume(main, first)
        return tf.nn.silu(convolved), tuple(memory) or None, (last,)

    def _memory(
        self, main: tf.Tensor, convolved: tf.Tensor, before: State | None, mode: Mode
    ) -> tuple[tf.Tensor, State]:
        """Return what the queries read, (heads, B, T, DH), and the memory's state after the last step."""
        heads = self.options.heads
        gates = self._gates(main, convolved)
        q = self._project(convolved if mode.every_step else convolved[:, -1:], "query")
        k, v = self._project(convolved, "key"), self._project(main, "value")
        inputs = (q, k, v, gates[:heads], gates[heads:])
        return run_memory(inputs, self.options, before, mode.keep_state)

    def _project(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Return (B, T, I) projected within blocks, (heads, B, T, DH).

        Blocks never cross groups, so one product per group does; a product per block would be tiny.
        """
        steps, heads, groups = x.shape[1], self.options.heads, self.groups
        product = tf.matmul(to_heads(x, groups), self._low(self._kernel(name)))
        head_dim = self.inner // heads
        if groups != heads:
            product = tf.reshape(product, (groups, -1, heads // groups, head_dim))
            product = tf.transpose(product, (0, 2, 1, 3))
        product = tf.reshape(product, (heads, -1, steps, head_dim))
        return self._high(self._biased(product, name, (heads, 1, 1, head_dim)))

    def _biased(self, x: tf.Tensor, name: str, shape: tuple[int, ...] = (-1,)) -> tf.Tensor:
        bias = self.biases[name]
        return x if bias is None else x + self._low(tf.reshape(bias, shape))

    def _kernel(self, name: str) -> tf.Tensor:
        return diagonal_blocks(self._high(getattr(self, name)), self.groups)

    def _gates(self, main: tf.Tensor, convolved: tf.Tensor) -> tf.Tensor:
        """Return the raw gates, (2 heads, B, S), input gates first."""
        by_convolved, by_main, bias = self.folded_gates()
        gates = dense(self._high(convolved), by_convolved) + bias
        return tf.transpose(gates + dense(self._high(main), by_main), (2, 0, 1))

    def folded_gates(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return the weights of the gates by the convolved and the main channels, and their biases.

        The gates are linear in concat(q, k, v), and those are linear in their inputs, so both products are
        folded into one of width 2 heads, input gates first: shapes (I, 2 heads) twice, (2 heads,).
        """
        heads, inner = self.options.heads, self.inner
        kernel = self._high(tf.concat([self.input_gate, self.forget_gate], -1))
        bias = self._high(tf.concat([self.input_gate_bias, self.forget_gate_bias], 0))
        folded = {}
        for name, part in zip(("query", "key", "value"), tf.split(kernel, 3, 0), strict=True):
            product = tf.matmul(self._kernel(name), tf.reshape(part, (self.groups, -1, 2 * heads)))
            folded[name] = tf.reshape(product, (inner, 2 * heads))
            if self.biases[name] is not None:
                bias += tf.linalg.matvec(part, self._high(self.biases[name]), transpose_a=True)
        return folded["query"] + folded["key"], folded["value"], bias

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "num_blocks": self.num_blocks}
