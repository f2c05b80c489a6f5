"""Small functions and layers that all kinds of xLSTM block are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from simengine.model.base import Config, Shape, XLSTMLayer
from simengine.model.initializers import small_init, uniform_init, wang_init
from simengine.model.option_checks import options_config, options_from, require_whole
from simengine.model.options import FeedForwardOptions
from simengine.seed import integer


def gelu(x: tf.Tensor) -> tf.Tensor:
    """Return x times the normal distribution function of x, exact in float64 too (TensorFlow's is not)."""
    return 0.5 * x * (1.0 + tf.math.erf(x * math.sqrt(0.5)))


ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "gelu": gelu,
    "relu": tf.nn.relu,
    "relu^2": lambda x: tf.square(tf.nn.relu(x)),
    "sigmoid": tf.sigmoid,
    "swish": tf.nn.silu,
    "selu": tf.nn.selu,
}
"""The official activations of the feed-forward net, by their official names."""


def require_divisible(width: int, parts: int, what: str, of_what: str) -> int:
    """Return ``width // parts``.

    Raises
    ------
    ValueError
        When ``parts`` is not positive or does not divide ``width``.
    """
    if parts < 1 or width % parts:
        raise ValueError(f"{what} must be a positive divisor of {of_what}; received {parts} for {width}")
    return width // parts


def to_heads(x: tf.Tensor, heads: int) -> tf.Tensor:
    """Reshape (B, S, heads * DH) to (heads, B * S, DH): one matrix per head for a batched product."""
    head_dim = x.shape[-1] // heads
    return tf.transpose(tf.reshape(x, (-1, heads, head_dim)), (1, 0, 2))


def _mean(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(x, -1, keepdims=True)


def _normaliser(epsilon: float, centre: bool) -> Callable[[tf.Tensor], tf.Tensor]:
    def forward(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        centred = x - _mean(x) if centre else x
        # Not rsqrt: XLA approximates it on a CPU, which alone adds 70 % to the error of an mLSTM block.
        deviation = tf.sqrt(_mean(tf.square(centred)) + epsilon)
        y = centred / deviation

        def grad(dy: tf.Tensor) -> tf.Tensor:
            along = dy - _mean(dy) if centre else dy
            return (along - y * _mean(dy * y)) / deviation

        return y, grad

    differentiable: Callable[[tf.Tensor], tf.Tensor] = tf.custom_gradient(forward)
    return differentiable


def normalise(x: tf.Tensor, epsilon: float = 1e-5) -> tf.Tensor:
    """Return ``x`` with mean 0 and (biased) variance 1 along its last axis."""
    return _normaliser(epsilon, True)(x)


def rms_normalise(x: tf.Tensor, epsilon: float = 1e-6) -> tf.Tensor:
    """Return ``x`` with mean square 1 along its last axis."""
    return _normaliser(epsilon, False)(x)


def dense(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return ``x @ kernel`` over the last axis as one matrix product."""
    width_in, width_out = kernel.shape
    product = tf.matmul(tf.reshape(x, (-1, width_in)), kernel)
    return tf.reshape(product, tf.concat([tf.shape(x)[:-1], [width_out]], 0)) if len(x.shape) > 2 else product


@keras.saving.register_keras_serializable("simengine")
class LayerNorm(XLSTMLayer):
    """Layer normalisation without a shift, whose scale is ``1 + weight`` (weight starts at 0)."""

    def build(self, input_shape: Shape) -> None:
        """Create the weight, shape (D,)."""
        self.scale = self._weight("scale", (int(input_shape[-1] or 0),), "zeros")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Normalise the last axis."""
        return normalise(self._high(x)) * (1.0 + self._high(self.scale))


@keras.saving.register_keras_serializable("simengine")
class RMSNorm(XLSTMLayer):
    """Division by the root mean square, then a plain scale, as in xLSTM-7B (Zhang and Sennrich, 2019).

    Parameters
    ----------
    epsilon : float
        Added to the mean square.
    use_bias : bool
        Whether a bias is added.
    """

    def __init__(self, epsilon: float = 1e-6, *, use_bias: bool = False, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.use_bias = use_bias

    def build(self, input_shape: Shape) -> None:
        """Create scale and bias, shape (D,)."""
        shape = (int(input_shape[-1] or 0),)
        self.scale = self._weight("scale", shape, "ones")
        self.bias = self._weight("bias", shape, "zeros") if self.use_bias else None

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Normalise the last axis."""
        y = rms_normalise(self._high(x), self.epsilon) * self._high(self.scale)
        return y if self.bias is None else y + self._high(self.bias)

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "epsilon": self.epsilon, "use_bias": self.use_bias}


@keras.saving.register_keras_serializable("simengine")
class CausalConv1D(XLSTMLayer):
    """Depthwise convolution along time that sees the current step and the ``kernel_size - 1`` before it.

    ``y[t] = bias + sum_j kernel[j] * x[t - (K - 1) + j]`` for each channel, steps before the window
    being zero; the last tap belongs to the current step.

    Parameters
    ----------
    kernel_size : int
        Number of taps K, at least 1.
    seed : int
        Seed of kernel and bias.
    """

    def __init__(self, kernel_size: int = 4, *, seed: int = 0, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        require_whole(1, kernel_size=kernel_size)
        self.kernel_size = kernel_size
        self.seed = seed

    def build(self, input_shape: Shape) -> None:
        """Create kernel (K, D) and bias (D,)."""
        width, taps = int(input_shape[-1] or 0), self.kernel_size
        self.kernel = self._weight("kernel", (taps, width), uniform_init(taps, integer(self.seed, "kernel")))
        self.bias = self._weight("bias", (width,), uniform_init(taps, integer(self.seed, "bias")))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Convolve (B, S, D) along S."""
        return self._convolve(tf.pad(x, [[0, 0], [self.kernel_size - 1, 0], [0, 0]]))

    def resume(self, x: tf.Tensor, state: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Convolve (B, S, D) after the inputs of ``state``.

        Parameters
        ----------
        x : tensor, shape (B, S, D)
            The inputs.
        state : tensor, shape (B, K, D), optional
            The last K inputs, oldest first; None stands for zeros.

        Returns
        -------
        y : tensor, shape (B, S, D)
        state : tensor, shape (B, K, D)
            The last K inputs now.
        """
        if state is None:
            padded = tf.pad(x, [[0, 0], [self.kernel_size, 0], [0, 0]])
        else:
            padded = tf.concat([tf.cast(state, x.dtype), x], 1)
        return self._convolve(padded[:, 1:]), padded[:, -self.kernel_size :]

    def _convolve(self, padded: tf.Tensor) -> tf.Tensor:
        steps = padded.shape[1] - self.kernel_size + 1
        kernel, bias = (tf.cast(tf.convert_to_tensor(w), padded.dtype) for w in (self.kernel, self.bias))
        # K shifted multiply-adds: TensorFlow's depthwise convolution is several times slower on a CPU.
        return bias + sum(padded[:, j : j + steps] * kernel[j] for j in range(self.kernel_size))

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "kernel_size": self.kernel_size, "seed": self.seed}


@keras.saving.register_keras_serializable("simengine")
class GatedFeedForward(XLSTMLayer):
    """Gated feed-forward net ``(act(x U) * (x V)) W``.

    Parameters
    ----------
    options : FeedForwardOptions or mapping, optional
        Widths, activation, biases, dropout.
    num_blocks : int
        Number of blocks of the stack; the last projection starts smaller in deeper stacks.
    seed : int
        Seed of the weights and of the dropout.
    """

    def __init__(
        self,
        options: FeedForwardOptions | Mapping[str, Any] | None = None,
        *,
        num_blocks: int = 1,
        seed: int = 0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.options = options_from(FeedForwardOptions, options)
        self.num_blocks = num_blocks
        self.seed = seed
        dropout_seed = integer(seed, "dropout")
        self.dropout = keras.layers.Dropout(self.options.dropout, seed=dropout_seed, dtype=self.memory_dtype)

    def build(self, input_shape: Shape) -> None:
        """Create ``up`` (D, 2 P), gate first, ``down`` (P, D) and their biases."""
        width = int(input_shape[-1] or 0)
        inner = self.inner = self.options.inner_width(width)
        down = wang_init(width, self.num_blocks, integer(self.seed, "down"))
        self.up = self._weight("up", (width, 2 * inner), small_init(width, integer(self.seed, "up")))
        self.down = self._weight("down", (inner, width), down)
        biased = self.options.use_bias
        self.up_bias = self._weight("up_bias", (2 * inner,), "zeros") if biased else None
        self.down_bias = self._weight("down_bias", (width,), "zeros") if biased else None

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Apply the net to the last axis."""
        gate, value = tf.split(self._project(self._low(x), self.up, self.up_bias), 2, -1)
        hidden = ACTIVATIONS[self.options.activation](gate) * value
        out = self._project(hidden, self.down, self.down_bias)
        return self.dropout(self._high(out), training=training)

    def _project(self, x: tf.Tensor, kernel: keras.Variable, bias: keras.Variable | None) -> tf.Tensor:
        product = dense(x, self._low(kernel))
        return product if bias is None else product + self._low(bias)

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        own = {"options": options_config(self.options), "num_blocks": self.num_blocks, "seed": self.seed}
        return {**super().get_config(), **own}
