"""The mLSTM block of xLSTM-7B on packed arrays: ``x + mLSTM(rms(x))``, then ``x + feed_forward(rms(x))``."""

from __future__ import annotations

from simengine.model.streaming.compiling import matrix, outlined, row, stay_apart
from simengine.model.streaming.layout import (
    CAP,
    DOWN,
    EPS_HEADS,
    EPS_NORM,
    HEADS,
    INNER,
    KEYS,
    NUMBERS,
    PREPARED,
    SCALE,
    SHIFT,
    UP,
)
from simengine.model.streaming.linear import (
    add_projection,
    behind,
    normalise_heads,
    normalise_sizes,
    project,
)
from simengine.model.streaming.maths import sigmoid, tanh
from simengine.model.streaming.memory import Reading, remember
from simengine.model.streaming.rows import feed_forward
from simengine.types import Float32Array, IntArray


@outlined
def prepare(
    x: Float32Array, block: IntArray, weights: Float32Array, scratch: Float32Array, out: Float32Array
) -> None:
    """Write all projections of rms(x), (T, 2 K + 2 V + 2 H): q, k, v, output gates and capped gates."""
    stay_apart()
    rows, width = x.shape
    total, cap = block[PREPARED], weights[block[NUMBERS] + CAP]
    normed = matrix(scratch, 0, rows, width)
    normalise_sizes(x, weights[block[NUMBERS] + EPS_NORM], normed)
    project(normed, block, weights, UP, out)
    for t in range(rows):
        for g in range(total - 2 * block[HEADS], total):
            out[t, g] = cap * tanh(out[t, g] / cap)


@outlined
def _columns(x: Float32Array, first: int, late: int, out: Float32Array) -> None:
    """Copy columns from ``first`` and rows from ``late`` on."""
    stay_apart()
    for t in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[t, j] = x[late + t, first + j]


@outlined
def finish(
    x: Float32Array,
    made: Float32Array,
    block: IntArray,
    weights: Float32Array,
    state: Float32Array,
    scratch: Float32Array,
    reads: int,
) -> None:
    """Let the memory take in T bars and add the block's output to the last ``reads`` rows of x, (T, D)."""
    stay_apart()
    rows, width = x.shape
    heads, keys, values = block[HEADS], block[KEYS], block[INNER]
    late = rows - reads
    k, v = matrix(scratch, 0, rows, keys), matrix(scratch, rows * keys, rows, values)
    used = rows * (keys + values)
    gates = matrix(scratch, used, rows, 2 * heads)
    used += rows * 2 * heads
    q, h = matrix(scratch, used, reads, keys), matrix(scratch, used + reads * keys, reads, values)
    _columns(made, 0, late, q)
    _columns(made, keys, 0, k)
    _columns(made, 2 * keys, 0, v)
    _columns(made, 2 * keys + 2 * values, 0, gates)
    remember(block, weights, state, Reading(k, v, gates, q, h))
    _leave(h, made, block, weights)
    out = matrix(x, late * width, reads, width)
    add_projection(h, block, weights, DOWN, out)
    normed = matrix(scratch, 0, reads, width)
    normalise_sizes(out, weights[block[NUMBERS] + EPS_NORM], normed)
    feed_forward(out, normed, block, weights, behind(scratch, reads * width))


@outlined
def _leave(h: Float32Array, made: Float32Array, block: IntArray, weights: Float32Array) -> None:
    """Normalise what was read, (R, V), per head, and multiply it by sigmoid of the output gate, in place."""
    stay_apart()
    reads, values = h.shape
    late = made.shape[0] - reads
    scale, shift = row(weights, block[SCALE], values), row(weights, block[SHIFT], values)
    normalise_heads(h, block[HEADS], weights[block[NUMBERS] + EPS_HEADS])
    for t in range(reads):
        y = row(h, t * values, values)
        gate = row(made, (late + t) * made.shape[1] + 2 * block[KEYS] + values, values)
        for j in range(values):
            y[j] = (y[j] * scale[j] + shift[j]) * sigmoid(gate[j])
