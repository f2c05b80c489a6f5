"""The mLSTM: matrix memory with a covariance update, trained in its parallel form."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from simengine.model.initializers import LinspaceInit, small_init, wang_init
from simengine.model.primitives import (
    CausalConv1D,
    Config,
    dense,
    normalise,
    require_divisible,
    round_up,
    to_heads,
)
from simengine.seed import integer


def mlstm_parallel(
    q: tf.Tensor,
    k: tf.Tensor,
    v: tf.Tensor,
    input_gate: tf.Tensor,
    forget_gate: tf.Tensor,
    *,
    epsilon: float = 1e-6,
) -> tf.Tensor:
    """Read the matrix memory with all queries at once.

    With a[t] = sum of log sigmoid(f) up to t and, for s <= t, D[t, s] = a[t] - a[s] + i[s],
    M[t] = max_s D[t, s],

        W[t, s] = (q[t] . k[s] / sqrt(DH)) exp(D[t, s] - M[t])
        h[t] = sum_s W[t, s] v[s] / (max(|sum_s W[t, s]|, exp(-M[t])) + epsilon)

    (Beck et al., 2024, "xLSTM: Extended Long Short-Term Memory", appendix, as in the official
    implementation). M is treated as a constant in the gradient: h does not depend on it but through epsilon.

    Parameters
    ----------
    q : tensor, shape (heads, B, T, DH)
        Queries of the last T of the S steps.
    k, v : tensor, shape (heads, B, S, DH)
        Keys and values; S is static.
    input_gate, forget_gate : tensor, shape (heads, B, S)
        Raw gate values.
    epsilon : float
        Added to the normaliser.

    Returns
    -------
    tensor, shape (heads, B, T, DH)
    """
    steps, queries, head_dim = k.shape[2], q.shape[2], q.shape[3]
    causal = np.tril(np.ones((steps, steps)))
    # A product with a triangle of ones: faster than cumsum, whose gradient reverses the axis twice.
    decay = tf.einsum("hbs,ts->hbt", tf.math.log_sigmoid(forget_gate), tf.constant(causal, q.dtype))
    log_weight = decay[..., steps - queries :, None] + (input_gate - decay)[..., None, :]
    log_weight = tf.where(causal[steps - queries :] > 0, log_weight, tf.constant(float("-inf"), q.dtype))
    largest = tf.stop_gradient(tf.reduce_max(log_weight, -1, keepdims=True))
    weight = tf.matmul(q * (1.0 / math.sqrt(head_dim)), k, transpose_b=True) * tf.exp(log_weight - largest)
    normaliser = tf.maximum(tf.abs(tf.reduce_sum(weight, -1, keepdims=True)), tf.exp(-largest))
    return tf.matmul(weight, v) / (normaliser + epsilon)


def diagonal_blocks(blocks: tf.Tensor, heads: int) -> tf.Tensor:
    """Assemble square blocks into one matrix per head: (n, b, b) to (heads, n / heads * b, n / heads * b)."""
    count, size, _ = blocks.shape
    per_head = count // heads
    grouped = tf.reshape(blocks, (heads, per_head, size, 1, size))
    placed = grouped * tf.reshape(tf.eye(per_head, dtype=blocks.dtype), (per_head, 1, per_head, 1))
    return tf.reshape(placed, (heads, per_head * size, per_head * size))


@keras.saving.register_keras_serializable("simengine")
class MLSTM(keras.layers.Layer):
    """The mLSTM layer: up-projection, causal convolution, matrix memory, gated down-projection.

    Parameters
    ----------
    heads : int
        Number of heads; divides the inner width I.
    conv_kernel : int
        Taps of the causal convolution in front of queries and keys.
    proj_factor : float
        Inner width I as a multiple of the input width, rounded up to a multiple of 64.
    qkv_block : int
        Queries, keys and values are projected within blocks of this many channels; divides I / heads.
    use_bias : bool
        Whether projections have a bias.
    num_blocks : int
        Number of blocks of the stack; the down-projection starts smaller in deeper stacks.
    dropout : float
        Share of the outputs that are dropped in training.
    return_sequences : bool
        Whether to return all steps or the last only; then only its query is computed.
    seed : int
        Seed of the weights and of the dropout.
    """

    def __init__(
        self,
        heads: int = 4,
        *,
        conv_kernel: int = 4,
        proj_factor: float = 2.0,
        qkv_block: int = 4,
        use_bias: bool = False,
        num_blocks: int = 1,
        dropout: float = 0.0,
        return_sequences: bool = True,
        seed: int = 0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.conv_kernel = conv_kernel
        self.proj_factor = proj_factor
        self.qkv_block = qkv_block
        self.use_bias = use_bias
        self.num_blocks = num_blocks
        self.rate = dropout
        self.return_sequences = return_sequences
        self.seed = seed
        self.conv = CausalConv1D(
            conv_kernel, seed=integer(seed, "conv"), name="conv", dtype=self.dtype_policy
        )
        self.dropout = keras.layers.Dropout(dropout, seed=integer(seed, "dropout"), dtype=self.dtype_policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights.

        Raises
        ------
        ValueError
            When heads do not divide the inner width, or blocks a head's width.
        """
        width = int(input_shape[-1] or 0)
        inner = self.inner = round_up(self.proj_factor * width)
        head_dim = require_divisible(inner, self.heads, "heads", "the inner width of the mLSTM")
        require_divisible(head_dim, self.qkv_block, "qkv_block", "the width of an mLSTM head")
        self.conv.build((*input_shape[:-1], inner))
        self.up = self._weight("up", (width, 2 * inner), small_init(width, integer(self.seed, "up")))
        blocks = (inner // self.qkv_block, self.qkv_block, self.qkv_block)
        self.query, self.key, self.value = (
            self._weight(name, blocks, small_init(width, integer(self.seed, name)))
            for name in ("query", "key", "value")
        )
        self.input_gate = self._weight("input_gate", (3 * inner, self.heads), "zeros")
        self.forget_gate = self._weight("forget_gate", (3 * inner, self.heads), "zeros")
        normal = keras.initializers.RandomNormal(0.0, 0.1, seed=integer(self.seed, "input_gate_bias"))
        self.input_gate_bias = self._weight("input_gate_bias", (self.heads,), normal)
        self.forget_gate_bias = self._weight("forget_gate_bias", (self.heads,), LinspaceInit(3.0, 6.0))
        self.skip = self._weight("skip", (inner,), "ones")
        self.scale = self._weight("scale", (inner,), "zeros")
        down = wang_init(width, self.num_blocks, integer(self.seed, "down"))
        self.down = self._weight("down", (inner, width), down)
        widths = {"up": 2 * inner, "query": inner, "key": inner, "value": inner, "down": width}
        self.biases = {
            name: self._weight(f"{name}_bias", (size,), "zeros") if self.use_bias else None
            for name, size in widths.items()
        }

    def _weight(
        self, name: str, shape: tuple[int, ...], initializer: str | keras.initializers.Initializer
    ) -> keras.Variable:
        return self.add_weight(name=name, shape=shape, initializer=initializer)

    def _biased(self, x: tf.Tensor, name: str, shape: tuple[int, ...] = (-1,)) -> tf.Tensor:
        bias = self.biases[name]
        return x if bias is None else x + tf.reshape(bias, shape)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Map (B, S, D) to (B, S, D), or to (B, D) without ``return_sequences``."""
        steps, inner = x.shape[1], self.inner
        up = self._biased(dense(x, tf.convert_to_tensor(self.up)), "up")
        main, gate = tf.split(up, 2, -1)
        convolved = tf.nn.silu(self.conv(main))
        hidden = self._memory(main, convolved)
        if not self.return_sequences:
            gate, convolved = gate[:, -1], convolved[:, -1]
        hidden = tf.transpose(normalise(hidden), (1, 2, 0, 3))
        shape = (-1, steps, inner) if self.return_sequences else (-1, inner)
        hidden = tf.reshape(hidden, shape) * (1.0 + self.scale) + self.skip * convolved
        out = dense(hidden * tf.nn.silu(gate), tf.convert_to_tensor(self.down))
        return self.dropout(self._biased(out, "down"), training=training)

    def _memory(self, main: tf.Tensor, convolved: tf.Tensor) -> tf.Tensor:
        """Return what the queries read, (heads, B, T, DH)."""
        steps, heads = main.shape[1], self.heads
        gates = self._gates(main, convolved)
        # Blocks never cross heads, so one product per head does; a product per block would be tiny.
        query_input = to_heads(convolved if self.return_sequences else convolved[:, -1:], heads)
        q = self._project(query_input, "query", steps if self.return_sequences else 1)
        k = self._project(to_heads(convolved, heads), "key", steps)
        v = self._project(to_heads(main, heads), "value", steps)
        return mlstm_parallel(q, k, v, gates[:heads], gates[heads:])

    def _project(self, x: tf.Tensor, name: str, steps: int) -> tf.Tensor:
        product = tf.matmul(x, self._kernel(name))
        shape = (self.heads, -1, steps, product.shape[-1])
        return self._biased(tf.reshape(product, shape), name, (self.heads, 1, 1, product.shape[-1]))

    def _kernel(self, name: str) -> tf.Tensor:
        return diagonal_blocks(tf.convert_to_tensor(getattr(self, name)), self.heads)

    def _gates(self, main: tf.Tensor, convolved: tf.Tensor) -> tf.Tensor:
        """Return the raw gates, (2 heads, B, S), input gates first.

        They are linear in concat(q, k, v), and those are linear in their inputs, so both products are
        folded into one of width 2 heads.
        """
        heads, inner = self.heads, self.inner
        kernel = tf.concat([self.input_gate, self.forget_gate], -1)
        bias = tf.concat([self.input_gate_bias, self.forget_gate_bias], 0)
        folded = {}
        for name, part in zip(("query", "key", "value"), tf.split(kernel, 3, 0), strict=True):
            product = tf.matmul(self._kernel(name), tf.reshape(part, (heads, -1, 2 * heads)))
            folded[name] = tf.reshape(product, (inner, 2 * heads))
            if self.biases[name] is not None:
                bias += tf.linalg.matvec(part, self.biases[name], transpose_a=True)
        gates = dense(convolved, folded["query"] + folded["key"]) + dense(main, folded["value"]) + bias
        return tf.transpose(gates, (2, 0, 1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output."""
        return input_shape if self.return_sequences else (input_shape[0], input_shape[-1])

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        own = {"heads": self.heads, "conv_kernel": self.conv_kernel, "proj_factor": self.proj_factor}
        own |= {"qkv_block": self.qkv_block, "use_bias": self.use_bias, "num_blocks": self.num_blocks}
        own |= {"dropout": self.rate, "return_sequences": self.return_sequences, "seed": self.seed}
        return {**super().get_config(), **own}
