"""Parts of a block for several bars at once: convolution, banded projection, feed-forward net."""

from __future__ import annotations

import numpy as np

from simengine.model.streaming.compiling import compiled, matrix, outlined, row, stay_apart
from simengine.model.streaming.layout import (
    ACTIVATION,
    BAND,
    CONV,
    CONV_BIAS,
    CONV_STATE,
    FFN,
    FFN_DOWN,
    FFN_UP,
    GELU,
    RELU,
    RELU_SQUARED,
    SIGMOID,
    SWISH,
    TAPS,
)
from simengine.model.streaming.linear import add_projection, project
from simengine.model.streaming.maths import exp, gelu, sigmoid, silu
from simengine.types import Float32Array, IntArray

f4 = np.float32


@compiled
def _input(x: Float32Array, t: int, history: Float32Array) -> Float32Array:
    """Return the input of row t, from ``history`` (K, W) where t is negative."""
    taps, width = history.shape
    if t < 0:
        return row(history, (taps + t) * width, width)
    return row(x, t * x.shape[1], width)


@outlined
def convolve(
    x: Float32Array, block: IntArray, weights: Float32Array, state: Float32Array, out: Float32Array
) -> None:
    """Write silu of the causal convolution of the first W columns of x; the history takes the new rows in.

    With K taps ``out[t] = silu(bias + sum_j kernel[j] x[t - (K - 1) + j])``, out (T, W). The history, in the
    state, holds the K inputs before x, oldest first. With K = 0 out is x.
    """
    stay_apart()
    (rows, width), taps = out.shape, block[TAPS]
    kernel, bias = matrix(weights, block[CONV], taps, width), row(weights, block[CONV_BIAS], width)
    history = matrix(state, block[CONV_STATE], taps, width)
    for t in range(rows):
        y = row(out, t * width, width)
        if taps == 0:
            source = row(x, t * x.shape[1], width)
            for j in range(width):
                y[j] = source[j]
            continue
        for j in range(width):
            y[j] = bias[j]
        for tap in range(taps):
            source, weight = _input(x, t - (taps - 1) + tap, history), row(kernel, tap * width, width)
            for j in range(width):
                y[j] += weight[j] * source[j]
        for j in range(width):
            y[j] = silu(y[j])
    for tap in range(taps):
        # Oldest first: each source lies after the place that is written, so none is lost.
        source, target = _input(x, rows - taps + tap, history), row(history, tap * width, width)
        for j in range(width):
            target[j] = source[j]


@outlined
def project_banded(
    x: Float32Array, block: IntArray, weights: Float32Array, place: int, out: Float32Array
) -> None:
    """Write ``out[t, j] = bias[j] + sum_d bands[d, j] x[t, j + d - b + 1]``, d from 0 to 2 b - 2.

    The bands are at ``place``, the bias behind. A product with a block-diagonal matrix of blocks of b
    channels, by diagonals: the loops run over all channels instead of the few of a block. The first W columns
    of x count; out (T, W).
    """
    stay_apart()
    (rows, width), count = out.shape, 2 * block[BAND] - 1
    bands, bias = matrix(weights, block[place], count, width), row(weights, block[place + 1], width)
    reach = count // 2
    for t in range(rows):
        y = row(out, t * width, width)
        for j in range(width):
            y[j] = bias[j]
        for d in range(count):
            shift = d - reach
            low, high = max(0, -shift), min(width, width - shift)
            source = row(x, t * x.shape[1] + low + shift, high - low)
            weight, target = row(bands, d * width + low, high - low), row(y, low, high - low)
            for j in range(high - low):
                target[j] += weight[j] * source[j]


@outlined
def gated(hidden: Float32Array, activation: int, out: Float32Array) -> None:
    """Write ``act(hidden[:, :P]) * hidden[:, P:]``, out (T, P)."""
    stay_apart()
    rows, width = out.shape
    for t in range(rows):
        g, u = row(hidden, 2 * t * width, width), row(hidden, (2 * t + 1) * width, width)
        y = row(out, t * width, width)
        if activation == GELU:
            for j in range(width):
                y[j] = gelu(g[j]) * u[j]
        elif activation == RELU:
            for j in range(width):
                y[j] = max(g[j], f4(0.0)) * u[j]
        elif activation == RELU_SQUARED:
            for j in range(width):
                y[j] = max(g[j], f4(0.0)) * max(g[j], f4(0.0)) * u[j]
        elif activation == SIGMOID:
            for j in range(width):
                y[j] = sigmoid(g[j]) * u[j]
        elif activation == SWISH:
            for j in range(width):
                y[j] = silu(g[j]) * u[j]
        else:  # SELU (Klambauer et al., 2017), whose two constants are given in the paper
            for j in range(width):
                negative = f4(1.6732632) * (exp(min(g[j], f4(0.0))) - f4(1.0))
                y[j] = f4(1.0507010) * (g[j] if g[j] > f4(0.0) else negative) * u[j]


@outlined
def feed_forward(
    x: Float32Array, normed: Float32Array, block: IntArray, weights: Float32Array, scratch: Float32Array
) -> None:
    """Add the gated feed-forward net of ``normed`` to x, both (T, D)."""
    stay_apart()
    rows, inner = x.shape[0], block[FFN]
    hidden = matrix(scratch, 0, rows, 2 * inner)
    active = matrix(scratch, 2 * rows * inner, rows, inner)
    project(normed, block, weights, FFN_UP, hidden)
    gated(hidden, block[ACTIVATION], active)
    add_projection(active, block, weights, FFN_DOWN, x)
