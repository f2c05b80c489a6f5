"""Small layers that both kinds of xLSTM block are made of."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from simengine.model.initializers import conv_init, small_init, wang_init
from simengine.seed import integer

Config = dict[str, Any]


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


def round_up(width: float, multiple: int = 64) -> int:
    """Return the smallest multiple of ``multiple`` that is not below ``width``."""
    return int(-(-width // multiple) * multiple)


def to_heads(x: tf.Tensor, heads: int) -> tf.Tensor:
    """Reshape (B, S, heads * DH) to (heads, B * S, DH): one matrix per head for a batched product."""
    head_dim = x.shape[-1] // heads
    return tf.transpose(tf.reshape(x, (-1, heads, head_dim)), (1, 0, 2))


def normalise(x: tf.Tensor, epsilon: float = 1e-5) -> tf.Tensor:
    """Return ``x`` with mean 0 and (biased) variance 1 along its last axis."""
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    return centred * tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1, keepdims=True) + epsilon)


def dense(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return ``x @ kernel`` over the last axis as one matrix product."""
    width_in, width_out = kernel.shape
    product = tf.matmul(tf.reshape(x, (-1, width_in)), kernel)
    return tf.reshape(product, tf.concat([tf.shape(x)[:-1], [width_out]], 0)) if len(x.shape) > 2 else product


@keras.saving.register_keras_serializable("simengine")
class LayerNorm(keras.layers.Layer):
    """Layer normalisation without a shift, whose scale is ``1 + weight`` (weight starts at 0)."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weight, shape (D,)."""
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="zeros")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Normalise the last axis."""
        return normalise(x) * (1.0 + self.scale)


@keras.saving.register_keras_serializable("simengine")
class CausalConv1D(keras.layers.Layer):
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
        if kernel_size < 1:
            raise ValueError(f"kernel_size must be at least 1; received {kernel_size}")
        self.kernel_size = kernel_size
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create kernel (K, D) and bias (D,)."""
        width, taps = input_shape[-1], self.kernel_size
        self.kernel = self.add_weight(
            name="kernel", shape=(taps, width), initializer=conv_init(taps, integer(self.seed, "kernel"))
        )
        self.bias = self.add_weight(
            name="bias", shape=(width,), initializer=conv_init(taps, integer(self.seed, "bias"))
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Convolve (B, S, D) along S."""
        steps, kernel = x.shape[1], tf.convert_to_tensor(self.kernel)
        padded = tf.pad(x, [[0, 0], [self.kernel_size - 1, 0], [0, 0]])
        # K shifted multiply-adds: TensorFlow's depthwise convolution is several times slower on a CPU.
        return self.bias + sum(padded[:, j : j + steps] * kernel[j] for j in range(self.kernel_size))

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "kernel_size": self.kernel_size, "seed": self.seed}


@keras.saving.register_keras_serializable("simengine")
class GatedFeedForward(keras.layers.Layer):
    """Gated feed-forward net ``(gelu(x U) * (x V)) W`` with the exact (erf) GELU.

    Parameters
    ----------
    proj_factor : float
        Inner width as a multiple of the input width, rounded up to a multiple of 64.
    num_blocks : int
        Number of blocks of the stack; the last projection starts smaller in deeper stacks.
    dropout : float
        Share of the outputs that are dropped in training.
    seed : int
        Seed of the weights and of the dropout.
    """

    def __init__(
        self,
        *,
        proj_factor: float = 1.3,
        num_blocks: int = 1,
        dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.proj_factor = proj_factor
        self.num_blocks = num_blocks
        self.rate = dropout
        self.seed = seed
        self.dropout = keras.layers.Dropout(dropout, seed=integer(seed, "dropout"), dtype=self.dtype_policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create ``up`` (D, 2 P), gate first, and ``down`` (P, D)."""
        width = int(input_shape[-1] or 0)
        self.inner = round_up(self.proj_factor * width)
        self.up = self.add_weight(
            name="up",
            shape=(width, 2 * self.inner),
            initializer=small_init(width, integer(self.seed, "up")),
        )
        self.down = self.add_weight(
            name="down",
            shape=(self.inner, width),
            initializer=wang_init(width, self.num_blocks, integer(self.seed, "down")),
        )

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Apply the net to the last axis."""
        gate, value = tf.split(dense(x, tf.convert_to_tensor(self.up)), 2, -1)
        hidden = tf.nn.gelu(gate, approximate=False) * value
        return self.dropout(dense(hidden, tf.convert_to_tensor(self.down)), training=training)

    def get_config(self) -> Config:
        """Return the arguments of the constructor."""
        own = {"proj_factor": self.proj_factor, "num_blocks": self.num_blocks, "dropout": self.rate}
        return {**super().get_config(), **own, "seed": self.seed}
