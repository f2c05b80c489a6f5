"""The mLSTM block on packed arrays: ``x + mLSTM(norm(x))``."""

from __future__ import annotations

from simengine.model.streaming.compiling import matrix, outlined, row, stay_apart
from simengine.model.streaming.layout import (
    DOWN,
    EPS_HEADS,
    EPS_NORM,
    GATES_BIAS,
    GATES_FAST,
    GATES_SLOW,
    HEADS,
    INNER,
    KEY,
    NUMBERS,
    QUERY,
    SCALE,
    SKIP,
    UP,
    VALUE,
)
from simengine.model.streaming.linear import add_projection, dot, normalise_heads, normalise_rows, project
from simengine.model.streaming.maths import silu
from simengine.model.streaming.memory import Reading, remember
from simengine.model.streaming.rows import convolve, project_banded
from simengine.types import Float32Array, IntArray


@outlined
def prepare(
    x: Float32Array, block: IntArray, weights: Float32Array, scratch: Float32Array, up: Float32Array
) -> None:
    """Write the up-projection of norm(x), (T, 2 I): what depends on each bar of x, (T, D), alone."""
    stay_apart()
    normed = matrix(scratch, 0, x.shape[0], x.shape[1])
    normalise_rows(x, weights[block[NUMBERS] + EPS_NORM], normed)
    project(normed, block, weights, UP, up)


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
    before = convolved.shape[0] - reads
    scale, skip = row(weights, block[SCALE], inner), row(weights, block[SKIP], inner)
    normalise_heads(h, block[HEADS], weights[block[NUMBERS] + EPS_HEADS])
    for t in range(reads):
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
    inner = block[INNER]
    full, short = rows * inner, reads * inner
    convolved = matrix(scratch, 0, rows, inner)
    k, v = matrix(scratch, full, rows, inner), matrix(scratch, 2 * full, rows, inner)
    q, h = matrix(scratch, 3 * full, reads, inner), matrix(scratch, 3 * full + short, reads, inner)
    gates = matrix(scratch, 3 * full + 2 * short, rows, 2 * block[HEADS])
    convolve(up, block, weights, state, convolved)
    project_banded(matrix(convolved, full - short, reads, inner), block, weights, QUERY, q)
    project_banded(convolved, block, weights, KEY, k)
    project_banded(up, block, weights, VALUE, v)
    _gates(up, convolved, block, weights, gates)
    remember(block, weights, state, Reading(k, v, gates, q, h))
    _leave(h, convolved, up, block, weights)
    add_projection(h, block, weights, DOWN, matrix(x, (rows - reads) * width, reads, width))
