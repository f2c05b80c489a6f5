"""The mLSTM block of xLSTM-7B on packed arrays: ``x + mLSTM(rms(x))``, then ``x + feed_forward(rms(x))``."""

from __future__ import annotations

import numpy as np

from simengine.model.streaming.compiling import matrix, outlined, row, stay_apart
from simengine.model.streaming.layout import (
    CAP,
    DOWN,
    DOWN_BIAS,
    EPS_HEADS,
    EPS_MEMORY,
    EPS_NORM,
    HEADS,
    INNER,
    KEYS,
    NUMBERS,
    PREPARED,
    SCALE,
    SHIFT,
    STATE_C,
    STATE_M,
    STATE_N,
    UP,
    UP_BIAS,
)
from simengine.model.streaming.linear import add_to_each, normalise, normalise_size, product, spread
from simengine.model.streaming.maths import sigmoid, tanh
from simengine.model.streaming.memory import Memory, Reading, remember
from simengine.model.streaming.rows import feed_forward
from simengine.types import Float32Array, IntArray

f4 = np.float32


@outlined
def prepare(
    x: Float32Array, block: IntArray, weights: Float32Array, scratch: Float32Array, out: Float32Array
) -> None:
    """Write all projections of rms(x), (T, 2 K + 2 V + 2 H): q, k, v, output gates and capped gates."""
    stay_apart()
    rows, width = x.shape
    total, heads, eps = block[PREPARED], block[HEADS], weights[block[NUMBERS] + EPS_NORM]
    cap = weights[block[NUMBERS] + CAP]
    normed = matrix(scratch, 0, rows, width)
    for t in range(rows):
        normalise_size(row(x, t * width, width), eps, row(normed, t * width, width))
    spread(row(weights, block[UP_BIAS], total), out)
    product(normed, 0, matrix(weights, block[UP], width, total), 0, out)
    for t in range(rows):
        for g in range(total - 2 * heads, total):
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
    memory = Memory(
        row(state, block[STATE_C], keys * (values // heads)),
        row(state, block[STATE_N], keys),
        row(state, block[STATE_M], heads),
    )
    remember(memory, Reading(k, v, gates, q, h), weights[block[NUMBERS] + EPS_MEMORY])
    _leave(h, made, block, weights)
    out = matrix(x, late * width, reads, width)
    add_to_each(row(weights, block[DOWN_BIAS], width), out)
    product(h, 0, matrix(weights, block[DOWN], values, width), 0, out)
    normed, eps = matrix(scratch, 0, reads, width), weights[block[NUMBERS] + EPS_NORM]
    for t in range(reads):
        normalise_size(row(out, t * width, width), eps, row(normed, t * width, width))
    used = reads * width
    feed_forward(out, normed, block, weights, row(scratch, used, scratch.shape[0] - used))


@outlined
def _leave(h: Float32Array, made: Float32Array, block: IntArray, weights: Float32Array) -> None:
    """Normalise what was read, (R, V), per head, and multiply it by sigmoid of the output gate, in place."""
    stay_apart()
    reads, values = h.shape
    late, heads = made.shape[0] - reads, block[HEADS]
    size, eps = values // heads, weights[block[NUMBERS] + EPS_HEADS]
    scale, shift = row(weights, block[SCALE], values), row(weights, block[SHIFT], values)
    for t in range(reads):
        for head in range(heads):
            part = row(h, t * values + head * size, size)
            normalise(part, eps, part)
        y = row(h, t * values, values)
        gate = row(made, (late + t) * made.shape[1] + 2 * block[KEYS] + values, values)
        for j in range(values):
            y[j] = (y[j] * scale[j] + shift[j]) * sigmoid(gate[j])
