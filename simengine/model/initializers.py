"""Initial weights of the xLSTM, each drawn from its own seed."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def small_init(dim: int, seed: int) -> keras.initializers.Initializer:
    """Return N(0, 2 / (5 dim)), for projections into a block (Nguyen and Salazar, 2019)."""
    return keras.initializers.RandomNormal(0.0, math.sqrt(2.0 / (5.0 * dim)), seed=seed)


def wang_init(dim: int, num_blocks: int, seed: int) -> keras.initializers.Initializer:
    """Return N(0, (2 / (num_blocks sqrt(dim)))^2), for projections back onto the residual stream.

    The width shrinks with depth so that the residual stream keeps its size (Wang and Komatsuzaki, 2021).
    """
    return keras.initializers.RandomNormal(0.0, 2.0 / (num_blocks * math.sqrt(dim)), seed=seed)


def conv_init(kernel_size: int, seed: int) -> keras.initializers.Initializer:
    """Return U(-1/sqrt(K), 1/sqrt(K)), for kernel and bias of a depthwise convolution of K taps."""
    bound = 1.0 / math.sqrt(kernel_size)
    return keras.initializers.RandomUniform(-bound, bound, seed=seed)


@keras.saving.register_keras_serializable("simengine")
class LinspaceInit(keras.initializers.Initializer):
    """Equally spaced values from ``start`` to ``stop`` along the only axis.

    The forget gates of an mLSTM start at 3 to 6, so that its heads begin with different memories.
    """

    def __init__(self, start: float, stop: float) -> None:
        self.start = start
        self.stop = stop

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:  # noqa: ANN401
        """Return the values, shape (n,)."""
        (n,) = shape
        return tf.constant(np.linspace(self.start, self.stop, n), dtype=dtype or "float32")

    def get_config(self) -> dict[str, float]:
        """Return the arguments of the constructor."""
        return {"start": self.start, "stop": self.stop}


@keras.saving.register_keras_serializable("simengine")
class PowerlawGateBias(keras.initializers.Initializer):
    """Bias of the four sLSTM gates: zero, but for the forget gate, where each unit has its own memory.

    The forget bias of unit j of each head is ``5 - 12 (j / (DH - 1))^(0.3 + 1.3 r)`` with r the block's
    relative depth, 0 for the first block and 1 for the last (official initialisation
    ``powerlaw_blockdependent``; Beck et al., 2024). A head of one unit gets 5.

    Parameters
    ----------
    depth : float
        Relative depth r of the block, from 0 to 1.
    """

    def __init__(self, depth: float) -> None:
        self.depth = depth

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:  # noqa: ANN401
        """Return the bias, shape (heads, 4 DH), gates in the order input, forget, cell, output."""
        heads, width = shape
        head_dim = width // 4
        place = np.arange(head_dim) / max(head_dim - 1, 1)
        bias = np.zeros((heads, 4, head_dim))
        bias[:, 1] = 5.0 - 12.0 * place ** (0.3 + 1.3 * self.depth)
        return tf.constant(bias.reshape(shape), dtype=dtype or "float32")

    def get_config(self) -> dict[str, float]:
        """Return the arguments of the constructor."""
        return {"depth": self.depth}
