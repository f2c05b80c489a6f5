"""Floating point operations of the products of a network, and how many of them the processor can do a second.

Counted is the least work that the architecture asks for, two operations per multiplication and addition:
block-diagonal weights as blocks, of the pairs of an mLSTM those in which the key is not after the query,
gates folded into one product, and of the last block only what the last bar needs. Elementwise work, norms and
sums count as nothing. A backward pass is taken as twice the forward one, without what is computed again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from simengine.model.classifier import ClassifierOptions

SIZES = (1024, 2048)


def lstm(features: int, length: int, units: int, layers: int, classes: int = 3) -> int:
    """Return the operations of one window through LSTM layers and a dense layer on the last step."""
    widths = [features] + [units] * (layers - 1)
    return 2 * sum(length * (width + units) * 4 * units for width in widths) + 2 * units * classes


def classifier(options: ClassifierOptions, features: int, length: int, classes: int = 3) -> int:
    """Return the operations of one window through an `XLSTMClassifier` of mlstm and slstm blocks."""
    width, last = options.embedding, len(options.blocks) - 1
    products = length * features * width + width * classes
    for index, kind in enumerate(options.blocks):
        products += {"mlstm": _mlstm, "slstm": _slstm}[kind](options, length, length if index < last else 1)
    return 2 * products


def _mlstm(options: ClassifierOptions, length: int, queries: int) -> int:
    layer, width = options.stack().mlstm, options.embedding
    inner = layer.inner_width(width)
    pairs = length * (length + 1) // 2 if queries > 1 else length
    up_and_down = width * inner * (length + 2 * queries)
    convolution = length * layer.conv_kernel * inner
    keys_values_queries = inner * layer.qkv_block * (2 * length + queries)
    gates = 2 * length * inner * 2 * layer.heads
    return up_and_down + convolution + keys_values_queries + gates + 2 * pairs * inner


def _slstm(options: ClassifierOptions, length: int, queries: int) -> int:
    stack, width = options.stack(), options.embedding
    convolution = length * stack.slstm.conv_kernel * width
    gates = 2 * length * 4 * width * (width // stack.slstm.heads)  # from the input and from the state
    net = 0 if stack.ffn is None else 3 * queries * width * stack.ffn.inner_width(width)
    return convolution + gates + net


def peak(threads: int) -> float:
    """Return the operations a second of the fastest large float32 product that NumPy or TensorFlow makes.

    TensorFlow uses the threads of this process; NumPy is given as many.
    """
    import tensorflow as tf
    from threadpoolctl import threadpool_limits

    best = 0.0
    with threadpool_limits(threads):
        for size in SIZES:
            square = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
            tensor, out = tf.constant(square), np.empty_like(square)
            for call in (lambda s=square, o=out: np.matmul(s, s, out=o), lambda t=tensor: (t @ t).numpy()):
                call()
                start = time.perf_counter()
                call()
                best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best
