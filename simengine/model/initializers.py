"""Initial weights of the xLSTM, each drawn from its own seed."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from simengine.model.options import BiasInit, RecurrentInit


def small_init(dim: int, seed: int) -> keras.initializers.Initializer:
    """Return N(0, 2 / (5 dim)), for projections into a block (Nguyen and Salazar, 2019)."""
    return keras.initializers.RandomNormal(0.0, math.sqrt(2.0 / (5.0 * dim)), seed=seed)


def wang_init(dim: int, num_blocks: int, seed: int) -> keras.initializers.Initializer:
    """Return N(0, (2 / (num_blocks sqrt(dim)))^2), for projections back onto the residual stream.

    The width shrinks with depth so that the residual stream keeps its size (Wang and Komatsuzaki, 2021).
    """
    return keras.initializers.RandomNormal(0.0, 2.0 / (num_blocks * math.sqrt(dim)), seed=seed)


def uniform_init(size: int, seed: int) -> keras.initializers.Initializer:
    """Return U(-1/sqrt(size), 1/sqrt(size)).

    For kernel and bias of a depthwise convolution (``size`` taps), and for what the sLSTM's options call
    ``standard`` (``size`` channels).
    """
    bound = 1.0 / math.sqrt(size)
    return keras.initializers.RandomUniform(-bound, bound, seed=seed)


def recurrent_init(kind: RecurrentInit, width: int, seed: int) -> keras.initializers.Initializer:
    """Return the initial recurrent weights of an sLSTM of ``width`` channels, by their official name."""
    return keras.initializers.Zeros() if kind == "zeros" else uniform_init(width, seed)


def gate_bias_init(kind: BiasInit, width: int, depth: float, seed: int) -> keras.initializers.Initializer:
    """Return the initial biases of the four gates of an sLSTM, shape (heads, 4 DH), by their official name.

    ``powerlaw_blockdependent``
        `PowerlawGateBias`; the forget gates depend on the block's place.
    ``small_init``
        `LinspaceGateBias`: forget gates from 3 to 6 within each head, the others 0.
    ``standard``
        Uniform within 1 / sqrt(width).
    ``zeros``
        All 0.
    """
    if kind == "powerlaw_blockdependent":
        return PowerlawGateBias(depth)
    if kind == "small_init":
        return LinspaceGateBias(3.0, 6.0)
    return keras.initializers.Zeros() if kind == "zeros" else uniform_init(width, seed)


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


def _forget_bias(shape: tuple[int, ...], forget: np.ndarray[Any, Any], dtype: Any) -> tf.Tensor:  # noqa: ANN401
    """Return biases (heads, 4 DH) that are 0 but for the forget gates, ``forget`` in every head."""
    bias = np.zeros((shape[0], 4, shape[1] // 4))
    bias[:, 1] = forget
    return tf.constant(bias.reshape(shape), dtype=dtype or "float32")


@keras.saving.register_keras_serializable("simengine")
class LinspaceGateBias(LinspaceInit):
    """Bias of the four sLSTM gates: zero, but for the forget gates, equally spaced within each head."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:  # noqa: ANN401
        """Return the bias, shape (heads, 4 DH), gates in the order input, forget, cell, output."""
        return _forget_bias(shape, np.linspace(self.start, self.stop, shape[1] // 4), dtype)


@keras.saving.register_keras_serializable("simengine")
class PowerlawGateBias(keras.initializers.Initializer):
    """Bias of the four sLSTM gates: zero, but for the forget gate, where each unit has its own memory.

    The forget bias of unit j of each head is ``5 - 12 (j / (DH - 1))^(0.3 + 1.3 r)`` with r the block's
    relative depth, 0 for the first block and 1 for the last (official initialisation
    ``powerlaw_blockdependent``; Beck et al., 2024). A head of one unit gets 5 (officially NaN).

    Parameters
    ----------
    depth : float
        Relative depth r of the block, from 0 to 1.
    """

    def __init__(self, depth: float) -> None:
        self.depth = depth

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:  # noqa: ANN401
        """Return the bias, shape (heads, 4 DH), gates in the order input, forget, cell, output."""
        head_dim = shape[1] // 4
        place = np.arange(head_dim) / max(head_dim - 1, 1)
        return _forget_bias(shape, 5.0 - 12.0 * place ** (0.3 + 1.3 * self.depth), dtype)

    def get_config(self) -> dict[str, float]:
        """Return the arguments of the constructor."""
        return {"depth": self.depth}
