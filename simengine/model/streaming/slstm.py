"""The sLSTM block on packed arrays: ``x + sLSTM(norm(x))``, then ``x + feed_forward(norm(x))``."""

from __future__ import annotations

from typing import NamedTuple

from simengine.model.streaming.compiling import compiled, matrix, outlined, row, stay_apart
from simengine.model.streaming.layout import (
    EPS_HEADS,
    EPS_NORM,
    FFN,
    GATES_BIAS,
    GATES_FAST,
    GATES_SLOW,
    HEADS,
    NORM,
    NUMBERS,
    RECURRENT,
    SCALE,
    STATE_C,
    STATE_H,
    STATE_M,
    STATE_N,
)
from simengine.model.streaming.linear import (
    behind,
    normalise_heads,
    normalise_rows,
    product,
    spread,
    vector_product,
)
from simengine.model.streaming.maths import exp, log_sigmoid, sigmoid, tanh
from simengine.model.streaming.rows import convolve, feed_forward
from simengine.types import Float32Array, IntArray


class Cells(NamedTuple):
    """The state of one sLSTM: hidden state, cell, normaliser and stabiliser (-inf at first), each (D,)."""

    h: Float32Array
    c: Float32Array
    n: Float32Array
    m: Float32Array


@outlined
def prepare(
    x: Float32Array, block: IntArray, weights: Float32Array, scratch: Float32Array, normed: Float32Array
) -> None:
    """Write norm(x), (T, D)."""
    stay_apart()
    rows, width = x.shape
    scale = row(weights, block[NORM], width)
    normalise_rows(x, weights[block[NUMBERS] + EPS_NORM], normed)
    for t in range(rows):
        for j in range(width):
            normed[t, j] *= scale[j]


@compiled
def _remember(cells: Cells, head: int, raw: Float32Array) -> None:
    """Take the raw gates (4 DH,) of one head in: input, forget, cell and output."""
    size = raw.shape[0] // 4
    first = head * size
    h, c = row(cells.h, first, size), row(cells.c, first, size)
    n, m = row(cells.n, first, size), row(cells.m, first, size)
    i, f, z, o = row(raw, 0, size), row(raw, size, size), row(raw, 2 * size, size), row(raw, 3 * size, size)
    for j in range(size):
        kept = m[j] + log_sigmoid(f[j])
        new = max(i[j], kept)
        gain, keep = exp(i[j] - new), exp(kept - new)
        cell = keep * c[j] + gain * tanh(z[j])
        norm = keep * n[j] + gain
        m[j] = new
        c[j] = cell
        n[j] = norm
        h[j] = sigmoid(o[j]) * cell / norm


@outlined
def _recur(gates: Float32Array, recurrent: Float32Array, cells: Cells, hidden: Float32Array) -> None:
    """Run all bars: gates (T, 4 D) per head, replaced by the raw ones; the last R go to hidden, (R, D).

    With (i, f, z, o) = gates[t] + h R of each head, recurrent (H DH, 4 DH) holding R head after head:

        m' = max(i, m + log sigmoid(f)),   gain = exp(i - m'),   keep = exp(m + log sigmoid(f) - m'),
        c = keep c + gain tanh(z),   n = keep n + gain,   h = sigmoid(o) c / n

    (Beck et al., 2024, "xLSTM: Extended Long Short-Term Memory").
    """
    stay_apart()
    rows, (reads, width) = gates.shape[0], hidden.shape
    size = recurrent.shape[1] // 4
    for t in range(rows):
        for head in range(width // size):
            raw = row(gates, (t * width + head * size) * 4, 4 * size)
            weight = matrix(recurrent, head * size * 4 * size, size, 4 * size)
            vector_product(row(cells.h, head * size, size), weight, raw)
            _remember(cells, head, raw)
        place = t - rows + reads
        if place >= 0:
            for j in range(width):
                hidden[place, j] = cells.h[j]


@outlined
def _gates(
    normed: Float32Array, convolved: Float32Array, block: IntArray, weights: Float32Array, out: Float32Array
) -> None:
    """Write what inputs and bias contribute to the gates, (T, 4 D), the four gates of each head together.

    Input and forget gate see the convolved input, cell input and output gate the input itself.
    """
    stay_apart()
    width, heads = normed.shape[1], block[HEADS]
    size = width // heads
    spread(row(weights, block[GATES_BIAS], 4 * width), out)
    for head in range(heads):
        first, part = head * size, head * size * 2 * size
        slow = matrix(weights, block[GATES_SLOW] + part, size, 2 * size)
        fast = matrix(weights, block[GATES_FAST] + part, size, 2 * size)
        product(convolved, first, slow, 4 * first, out)
        product(normed, first, fast, 4 * first + 2 * size, out)


@outlined
def finish(
    x: Float32Array,
    normed: Float32Array,
    block: IntArray,
    weights: Float32Array,
    state: Float32Array,
    scratch: Float32Array,
    reads: int,
) -> None:
    """Let the memory take in T bars and add the block's output to the last ``reads`` rows of x, (T, D)."""
    stay_apart()
    rows, width = x.shape
    heads, scale = block[HEADS], row(weights, block[SCALE], width)
    convolved, gates = matrix(scratch, 0, rows, width), matrix(scratch, rows * width, rows, 4 * width)
    convolve(normed, block, weights, state, convolved)
    _gates(normed, convolved, block, weights, gates)
    cells = Cells(
        row(state, block[STATE_H], width),
        row(state, block[STATE_C], width),
        row(state, block[STATE_N], width),
        row(state, block[STATE_M], width),
    )
    hidden = matrix(scratch, 5 * rows * width, reads, width)
    _recur(gates, matrix(weights, block[RECURRENT], width, 4 * (width // heads)), cells, hidden)
    normalise_heads(hidden, heads, weights[block[NUMBERS] + EPS_HEADS])
    out = matrix(x, (rows - reads) * width, reads, width)
    for t in range(reads):
        for j in range(width):
            out[t, j] += hidden[t, j] * scale[j]
    if block[FFN]:
        normalise_rows(out, weights[block[NUMBERS] + EPS_NORM], hidden)
        feed_forward(out, hidden, block, weights, behind(scratch, (5 * rows + reads) * width))
