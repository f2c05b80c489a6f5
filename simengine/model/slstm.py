"""The sLSTM: scalar memory, exponential input gate, recurrent weights within each head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from simengine.model.initializers import PowerlawGateBias, small_init
from simengine.model.primitives import CausalConv1D, Config, normalise, require_divisible, to_heads
from simengine.seed import integer

GATES = ("input", "forget", "cell", "output")
"""Order of the gates in every stacked array."""


def _step(raw: tf.Tensor, c: tf.Tensor, n: tf.Tensor, m: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Return (h, c, n, m) after one step with raw gate values (..., 4 DH)."""
    i, f, z, o = tf.split(raw, 4, -1)
    kept = m + tf.math.log_sigmoid(f)
    m = tf.maximum(i, kept)
    gain, decay = tf.exp(i - m), tf.exp(kept - m)
    c = decay * c + gain * tf.tanh(z)
    n = decay * n + gain
    return tf.sigmoid(o) * c / n, c, n, m


def _scan_forward(gates: tf.Tensor, recurrent: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Return the sequences (raw, h, c, n, m) of all steps, time first."""
    steps = gates.shape[0]
    heads, head_dim = recurrent.shape[:2]
    inputs = tf.TensorArray(gates.dtype, size=steps).unstack(gates)

    def empty(width: int) -> tf.TensorArray:
        return tf.TensorArray(gates.dtype, size=steps, element_shape=(heads, None, width))

    def body(t: tf.Tensor, state: tuple[Any, ...], kept: tuple[Any, ...]) -> tuple[Any, ...]:
        h, c, n, m = state
        raw = inputs.read(t) + tf.matmul(h, recurrent)
        state = _step(raw, c, n, m)
        return t + 1, state, tuple(array.write(t, x) for array, x in zip(kept, (raw, *state), strict=True))

    zero = tf.zeros_like(gates[0, ..., :head_dim])
    # With m = -inf before the first step its forget gate is exactly 0 and m becomes the input gate.
    start = (zero, zero, zero, tf.fill(tf.shape(zero), tf.constant(float("-inf"), gates.dtype)))
    kept = (empty(4 * head_dim), *(empty(head_dim) for _ in range(4)))
    kept = tf.while_loop(lambda t, *_: t < steps, body, (0, start, kept), maximum_iterations=steps)[2]
    return tuple(array.stack() for array in kept)


def _before(sequence: tf.Tensor, first: float) -> tf.Tensor:
    """Return the sequence one step earlier, ``first`` standing before its start."""
    return tf.concat([tf.fill(tf.shape(sequence[:1]), tf.cast(first, sequence.dtype)), sequence[:-1]], 0)


def _local_derivatives(raw: tf.Tensor, c: tf.Tensor, n: tf.Tensor, m: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Return the derivatives within each step that do not depend on later steps, for all steps at once.

    In order: of h by c and n; of (c, n) by their predecessors; of c and n by i; of c and n by f;
    of c by z; of h by o. The stabiliser m cancels in h = o c / n, so it is a constant here.
    """
    i, f, z, o = tf.split(raw, 4, -1)
    gain, decay = tf.exp(i - m), tf.exp(_before(m, float("-inf")) + tf.math.log_sigmoid(f) - m)
    value, out, ratio = tf.tanh(z), tf.sigmoid(o), c / n
    h_by_c = out / n
    slope = decay * tf.sigmoid(-f)
    return (
        h_by_c,
        -h_by_c * ratio,
        decay,
        gain * value,
        gain,
        slope * _before(c, 0.0),
        slope * _before(n, 0.0),
        gain * (1.0 - tf.square(value)),
        ratio * out * (1.0 - out),
    )


def _scan_backward(dh: tf.Tensor, recurrent: tf.Tensor, derivatives: tuple[tf.Tensor, ...]) -> tf.Tensor:
    """Return dL/draw of all steps, given dL/dh of all steps."""
    steps = dh.shape[0]
    heads, head_dim = recurrent.shape[:2]
    inputs = [tf.TensorArray(dh.dtype, size=steps).unstack(x) for x in (dh, *derivatives)]
    result = tf.TensorArray(dh.dtype, size=steps, element_shape=(heads, None, 4 * head_dim))

    def body(
        t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, dn: tf.Tensor, result: tf.TensorArray
    ) -> tuple[Any, ...]:
        outer, h_c, h_n, decay, c_i, n_i, c_f, n_f, c_z, h_o = [array.read(t) for array in inputs]
        dh = dh + outer
        dc, dn = dc + dh * h_c, dn + dh * h_n
        draw = tf.concat([dc * c_i + dn * n_i, dc * c_f + dn * n_f, dc * c_z, dh * h_o], -1)
        carried = tf.matmul(draw, recurrent, transpose_b=True)
        return t - 1, carried, dc * decay, dn * decay, result.write(t, draw)

    zero = tf.zeros_like(dh[0])
    start = (steps - 1, zero, zero, zero, result)
    return tf.while_loop(lambda t, *_: t >= 0, body, start, maximum_iterations=steps)[-1].stack()


def _scan(gates: tf.Tensor, recurrent: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
    raw, h, c, n, m = _scan_forward(gates, recurrent)

    def grad(dh: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        draw = _scan_backward(dh, recurrent, _local_derivatives(raw, c, n, m))
        return draw, tf.einsum("shbd,shbe->hde", h[:-1], draw[1:])

    return h, grad


_differentiable_scan = tf.custom_gradient(_scan)


def slstm_scan(gates: tf.Tensor, recurrent: tf.Tensor) -> tf.Tensor:
    """Run the sLSTM recurrence over all steps.

    With raw gates (i, f, z, o) = gates[t] + h[t-1] R,

        m[t] = max(i, m[t-1] + log sigmoid(f)),
        i' = exp(i - m[t]),   f' = exp(m[t-1] + log sigmoid(f) - m[t]),
        c[t] = f' c[t-1] + i' tanh(z),   n[t] = f' n[t-1] + i',   h[t] = sigmoid(o) c[t] / n[t]

    from c = n = h = 0 and m = -inf (Beck et al., 2024, "xLSTM: Extended Long Short-Term Memory", as in the
    official implementation). The gradient is written out: it keeps one loop in each direction and sums the
    weight gradient of all steps in a single product.

    Parameters
    ----------
    gates : tensor, shape (S, heads, B, 4 DH)
        Contribution of the inputs and the bias to the gates, in the order of `GATES`; S is static.
    recurrent : tensor, shape (heads, DH, 4 DH)
        Recurrent weights R of each head.

    Returns
    -------
    tensor, shape (S, heads, B, DH)
        The hidden states.
    """
    return _differentiable_scan(gates, recurrent)


@keras.saving.register_keras_serializable("simengine")
class SLSTM(keras.layers.Layer):
    """The sLSTM layer: causal convolution, gates, recurrence, normalisation of each head.

    Input and forget gate see the convolved input, cell input and output gate the input itself.

    Parameters
    ----------
    heads : int
        Number of heads; divides the width D. Recurrent and gate weights stay within a head.
    conv_kernel : int
        Taps of the causal convolution; 0 leaves it (and its activation) out.
    depth : float
        Relative depth of the block in its stack, from 0 to 1: sets the initial forget biases.
    dropout : float
        Share of the hidden states that are dropped in training, before the normalisation.
    return_sequences : bool
        Whether to return all steps or the last only.
    seed : int
        Seed of the weights and of the dropout.
    """

    def __init__(
        self,
        heads: int = 4,
        *,
        conv_kernel: int = 4,
        depth: float = 0.0,
        dropout: float = 0.0,
        return_sequences: bool = True,
        seed: int = 0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.conv_kernel = conv_kernel
        self.depth = depth
        self.rate = dropout
        self.return_sequences = return_sequences
        self.seed = seed
        self.conv = (
            CausalConv1D(conv_kernel, seed=integer(seed, "conv"), name="conv", dtype=self.dtype_policy)
            if conv_kernel
            else None
        )
        self.dropout = keras.layers.Dropout(dropout, seed=integer(seed, "dropout"), dtype=self.dtype_policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights.

        Raises
        ------
        ValueError
            When the number of heads does not divide the width.
        """
        width = int(input_shape[-1] or 0)
        head_dim = require_divisible(width, self.heads, "heads", "the width of the sLSTM")
        if self.conv is not None:
            self.conv.build(input_shape)
        self.gates = [
            self.add_weight(
                name=f"{gate}_gate",
                shape=(self.heads, head_dim, head_dim),
                initializer=small_init(width, integer(self.seed, f"{gate}_gate")),
            )
            for gate in GATES
        ]
        self.recurrent = self.add_weight(
            name="recurrent", shape=(self.heads, head_dim, 4 * head_dim), initializer="zeros"
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.heads, 4 * head_dim), initializer=PowerlawGateBias(self.depth)
        )
        self.scale = self.add_weight(name="scale", shape=(width,), initializer="zeros")

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Map (B, S, D) to (B, S, D), or to (B, D) without ``return_sequences``."""
        steps, width = x.shape[1:]
        hidden = slstm_scan(self._input_gates(x), tf.convert_to_tensor(self.recurrent))
        if not self.return_sequences:
            hidden = hidden[-1:]
        hidden = normalise(self.dropout(hidden, training=training))
        shape = (-1, steps, width) if self.return_sequences else (-1, width)
        return tf.reshape(tf.transpose(hidden, (2, 0, 1, 3)), shape) * (1.0 + self.scale)

    def _input_gates(self, x: tf.Tensor) -> tf.Tensor:
        """Return what inputs and bias contribute to the gates, (S, heads, B, 4 DH)."""
        steps, width = x.shape[1:]
        convolved = x if self.conv is None else tf.nn.silu(self.conv(x))
        i, f, z, o = (tf.convert_to_tensor(gate) for gate in self.gates)
        slow = tf.matmul(to_heads(convolved, self.heads), tf.concat([i, f], -1))
        fast = tf.matmul(to_heads(x, self.heads), tf.concat([z, o], -1))
        gates = tf.concat([slow, fast], -1) + self.bias[:, None]
        gates = tf.reshape(gates, (self.heads, -1, steps, 4 * width // self.heads))
        return tf.transpose(gates, (2, 0, 1, 3))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output."""
        return input_shape if self.return_sequences else (input_shape[0], input_shape[-1])

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        own = {"heads": self.heads, "conv_kernel": self.conv_kernel, "depth": self.depth}
        own |= {"dropout": self.rate, "return_sequences": self.return_sequences, "seed": self.seed}
        return {**super().get_config(), **own}
