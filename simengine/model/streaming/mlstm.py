"""The mLSTM block on packed arrays: ``x + mLSTM(norm(x))``."""

from __future__ import annotations

import numpy as np

from simengine.model.streaming.compiling import matrix, outlined, row, stay_apart
from simengine.model.streaming.layout import (
    BAND,
    CONV,
    CONV_BIAS,
    CONV_STATE,
    DOWN,
    DOWN_BIAS,
    EPS_HEADS,
    EPS_MEMORY,
    EPS_NORM,
    GATES_BIAS,
    GATES_FAST,
    GATES_SLOW,
    HEADS,
    INNER,
    KEY,
    KEY_BIAS,
    NUMBERS,
    QUERY,
    QUERY_BIAS,
    SCALE,
    SKIP,
    STATE_C,
    STATE_M,
    STATE_N,
    TAPS,
    UP,
    UP_BIAS,
    VALUE,
    VALUE_BIAS,
)
from simengine.model.streaming.linear import add_to_each, dot, normalise, product, spread
from simengine.model.streaming.maths import silu
from simengine.model.streaming.memory import Memory, Reading, remember
from simengine.model.streaming.rows import banded, convolve
from simengine.types import Float32Array, IntArray

f4 = np.float32


@outlined
def prepare(
    x: Float32Array, block: IntArray, weights: Float32Array, scratch: Float32Array, up: Float32Array
) -> None:
    """Write the up-projection of norm(x), (T, 2 I): what depends on each bar of x, (T, D), alone."""
    stay_apart()
    rows, width = x.shape
    inner, eps = block[INNER], weights[block[NUMBERS] + EPS_NORM]
    normed = matrix(scratch, 0, rows, width)
    for t in range(rows):
        normalise(row(x, t * width, width), eps, row(normed, t * width, width))
    spread(row(weights, block[UP_BIAS], 2 * inner), up)
    product(normed, 0, matrix(weights, block[UP], width, 2 * inner), 0, up)


@outlined
def _gates(
    main: Float32Array, convolved: Float32Array, block: IntArray, weights: Float32Array, out: Float32Array
) -> None:
    """Write the raw gates, (T, 2 H); they are folded into what queries, keys and values are made of."""
    stay_apart()
    rows, inner = convolved.shape
    bias = row(weights, block[GATES_BIAS], out.shape[1])
    for t in range(rows):
        slow, fast = row(convolved, t * inner, inner), row(main, t * main.shape[1], inner)
        for g in range(out.shape[1]):
            total = dot(slow, row(weights, block[GATES_SLOW] + g * inner, inner))
            out[t, g] = bias[g] + total + dot(fast, row(weights, block[GATES_FAST] + g * inner, inner))


@outlined
def _leave(
    h: Float32Array, convolved: Float32Array, up: Float32Array, block: IntArray, weights: Float32Array
) -> None:
    """Turn what was read, (R, I), into the input of the down-projection, in place.

    Per head normalised and scaled, plus the skipped convolution, times silu of the gate: the last R rows of
    ``convolved`` (T, I) and of ``up`` (T, 2 I) belong to the rows of h.
    """
    stay_apart()
    reads, inner = h.shape
    before, heads = convolved.shape[0] - reads, block[HEADS]
    size, eps = inner // heads, weights[block[NUMBERS] + EPS_HEADS]
    scale, skip = row(weights, block[SCALE], inner), row(weights, block[SKIP], inner)
    for t in range(reads):
        for head in range(heads):
            part = row(h, t * inner + head * size, size)
            normalise(part, eps, part)
        y, xc = row(h, t * inner, inner), row(convolved, (before + t) * inner, inner)
        gate = row(up, (2 * (before + t) + 1) * inner, inner)
        for j in range(inner):
            y[j] = (y[j] * scale[j] + skip[j] * xc[j]) * silu(gate[j])


@outlined
def finish(
    x: Float32Array,
    up: Float32Array,
    block: IntArray,
    weights: Float32Array,
    state: Float32Array,
    scratch: Float32Array,
    reads: int,
) -> None:
    """Let the memory take in T bars and add the block's output to the last ``reads`` rows of x, (T, D)."""
    stay_apart()
    rows, width = x.shape
    heads, inner, taps = block[HEADS], block[INNER], block[TAPS]
    size, full, short = inner // heads, rows * inner, reads * inner
    convolved = matrix(scratch, 0, rows, inner)
    k, v = matrix(scratch, full, rows, inner), matrix(scratch, 2 * full, rows, inner)
    q, h = matrix(scratch, 3 * full, reads, inner), matrix(scratch, 3 * full + short, reads, inner)
    gates = matrix(scratch, 3 * full + 2 * short, rows, 2 * heads)
    kernel, history = matrix(weights, block[CONV], taps, inner), matrix(state, block[CONV_STATE], taps, inner)
    convolve(up, kernel, row(weights, block[CONV_BIAS], inner), history, convolved)
    late = matrix(convolved, (rows - reads) * inner, reads, inner)
    diagonals = 2 * block[BAND] - 1
    query = matrix(weights, block[QUERY], diagonals, inner)
    banded(late, query, row(weights, block[QUERY_BIAS], inner), q)
    key = matrix(weights, block[KEY], diagonals, inner)
    banded(convolved, key, row(weights, block[KEY_BIAS], inner), k)
    value = matrix(weights, block[VALUE], diagonals, inner)
    banded(up, value, row(weights, block[VALUE_BIAS], inner), v)
    _gates(up, convolved, block, weights, gates)
    memory = Memory(
        row(state, block[STATE_C], inner * size),
        row(state, block[STATE_N], inner),
        row(state, block[STATE_M], heads),
    )
    remember(memory, Reading(k, v, gates, q, h), weights[block[NUMBERS] + EPS_MEMORY])
    _leave(h, convolved, up, block, weights)
    out = matrix(x, (rows - reads) * width, reads, width)
    add_to_each(row(weights, block[DOWN_BIAS], width), out)
    product(h, 0, matrix(weights, block[DOWN], inner, width), 0, out)
