"""The whole classifier on packed arrays: bar after bar from carried state, or one window per bar."""

from __future__ import annotations

import numpy as np

from simengine.model.streaming import large, mlstm, slstm
from simengine.model.streaming.compiling import entry, matrix, merged, row
from simengine.model.streaming.layout import (
    BARS,
    CHUNK,
    DOWN,
    DOWN_BIAS,
    EPS_NORM,
    FEATURES,
    HEADS,
    KIND,
    LAYER_NORM,
    MLSTM,
    NUMBERS,
    PREPARED,
    RMS_NORM,
    SLSTM,
    STATE_M,
    UP,
    WIDTH,
)
from simengine.model.streaming.linear import behind, dot, normalise, normalise_size, project, spread
from simengine.types import N_CLASSES, Float32Array, IntArray


@merged
def _embed(features: Float32Array, network: IntArray, weights: Float32Array, x: Float32Array) -> None:
    """Write the embedding, (T, D), of features (T, F)."""
    project(features, network, weights, UP, x)


@merged
def _prepare(
    x: Float32Array, block: IntArray, weights: Float32Array, scratch: Float32Array, out: Float32Array
) -> None:
    """Write what a block computes from each bar alone, (T, PREPARED)."""
    if block[KIND] == MLSTM:
        mlstm.prepare(x, block, weights, scratch, out)
    elif block[KIND] == SLSTM:
        slstm.prepare(x, block, weights, scratch, out)
    else:
        large.prepare(x, block, weights, scratch, out)


@merged
def _finish(
    x: Float32Array,
    prepared: Float32Array,
    block: IntArray,
    weights: Float32Array,
    state: Float32Array,
    scratch: Float32Array,
    reads: int,
) -> None:
    """Do the rest of a block: take all rows in, add its output to the last ``reads`` rows of x."""
    if block[KIND] == MLSTM:
        mlstm.finish(x, prepared, block, weights, state, scratch, reads)
    elif block[KIND] == SLSTM:
        slstm.finish(x, prepared, block, weights, state, scratch, reads)
    else:
        large.finish(x, prepared, block, weights, state, scratch, reads)


@merged
def _head(
    x: Float32Array, network: IntArray, weights: Float32Array, scratch: Float32Array, logits: Float32Array
) -> None:
    """Write the logits, (T, 3), of the last rows of x."""
    late, width = x.shape[0] - logits.shape[0], x.shape[1]
    eps, normed = weights[network[NUMBERS] + EPS_NORM], row(scratch, 0, width)
    for t in range(logits.shape[0]):
        y = row(x, (late + t) * width, width)
        if network[KIND] == LAYER_NORM:
            normalise(y, eps, normed)
            y = normed
        elif network[KIND] == RMS_NORM:
            normalise_size(y, eps, normed)
            y = normed
        for label in range(N_CLASSES):
            total = dot(y, row(weights, network[DOWN] + label * width, width))
            logits[t, label] = weights[network[DOWN_BIAS] + label] + total


@merged
def _from_block(
    index: int,
    x: Float32Array,
    plan: IntArray,
    weights: Float32Array,
    state: Float32Array,
    scratch: Float32Array,
    logits: Float32Array,
) -> None:
    """Run the blocks from ``index`` on and the head; only as many rows leave the last block as logits ask."""
    rows, count = x.shape[0], plan.shape[0] - 1
    for number in range(index, count):
        block = row(plan, (number + 1) * plan.shape[1], plan.shape[1])
        width = block[PREPARED]
        prepared, rest = matrix(scratch, 0, rows, width), behind(scratch, rows * width)
        _prepare(x, block, weights, rest, prepared)
        reads = logits.shape[0] if number == count - 1 else rows
        _finish(x, prepared, block, weights, state, rest, reads)
    _head(x, row(plan, 0, plan.shape[1]), weights, scratch, logits)


@merged
def _first_not_finite(values: Float32Array) -> int:
    """Return the flat index of the first value of a matrix that is inf or NaN, -1 without one."""
    rows, columns = values.shape
    for t in range(rows):
        for j in range(columns):
            if not np.isfinite(values[t, j]):
                return int(t * columns + j)
    return -1


@merged
def _forget(plan: IntArray, state: Float32Array) -> None:
    """Set the state to that before the first bar: zeros, and -inf in every stabiliser."""
    for j in range(state.shape[0]):
        state[j] = 0.0
    for number in range(1, plan.shape[0]):
        block = plan[number]
        count = plan[0, WIDTH] if block[KIND] == SLSTM else block[HEADS]
        for j in range(count):
            state[block[STATE_M] + j] = -np.inf


@merged
def _advance(
    features: Float32Array,
    logits: Float32Array,
    plan: IntArray,
    weights: Float32Array,
    state: Float32Array,
    scratch: Float32Array,
) -> None:
    """Score bars in turn from the state, which moves on."""
    network = row(plan, 0, plan.shape[1])
    width, wanted = network[WIDTH], network[FEATURES]
    for t in range(0, features.shape[0], network[CHUNK]):
        rows = min(network[CHUNK], features.shape[0] - t)
        x, rest = matrix(scratch, 0, rows, width), behind(scratch, rows * width)
        _embed(matrix(features, t * wanted, rows, wanted), network, weights, x)
        out = matrix(logits, t * N_CLASSES, rows, N_CLASSES)
        _from_block(0, x, plan, weights, state, rest, out)


@merged
def _keep(
    features: Float32Array,
    bar: int,
    plan: IntArray,
    weights: Float32Array,
    scratch: Float32Array,
    ring: Float32Array,
) -> None:
    """Put what the first block computes from one bar alone, features (1, F), into the ring."""
    network, first = row(plan, 0, plan.shape[1]), row(plan, plan.shape[1], plan.shape[1])
    bars, width, made = network[BARS], network[WIDTH], first[PREPARED]
    place, base = bar % bars, 2 * bars * width
    x, prepared = matrix(ring, place * width, 1, width), matrix(ring, base + place * made, 1, made)
    _embed(features, network, weights, x)
    _prepare(x, first, weights, scratch, prepared)
    spread(row(x, 0, width), matrix(ring, (place + bars) * width, 1, width))
    spread(row(prepared, 0, made), matrix(ring, base + (place + bars) * made, 1, made))


@merged
def _window(
    bar: int,
    logits: Float32Array,
    plan: IntArray,
    weights: Float32Array,
    state: Float32Array,
    scratch: Float32Array,
    ring: Float32Array,
) -> None:
    """Write the logits, (1, 3), of the window in the ring that ends at this bar."""
    network, first = row(plan, 0, plan.shape[1]), row(plan, plan.shape[1], plan.shape[1])
    bars, width, made = network[BARS], network[WIDTH], first[PREPARED]
    oldest = (bar + 1) % bars
    window, rest = matrix(scratch, 0, bars, width), behind(scratch, bars * width)
    spread(row(ring, oldest * width, bars * width), matrix(scratch, 0, 1, bars * width))
    prepared = matrix(ring, 2 * width * bars + oldest * made, bars, made)
    _forget(plan, state)
    _finish(window, prepared, first, weights, state, rest, 1 if plan.shape[0] == 2 else bars)
    _from_block(1, window, plan, weights, state, rest, logits)


@entry
def score(
    features: Float32Array,
    logits: Float32Array,
    seen: int,
    plan: IntArray,
    weights: Float32Array,
    state: Float32Array,
    scratch: Float32Array,
    ring: Float32Array,
) -> int:
    """Score bars (T, F), after ``seen`` earlier ones; write logits (T, 3).

    Without a ``ring`` (of no values) the state is carried on from bar to bar, from an empty one after 0
    bars. With a ring, each bar is scored as the last of a window, NaN before a window is full: what the
    first block computes from a bar alone is done once and kept there, as rows (embedding, prepared) of the
    last L bars, each at bar mod L and again L rows later, so that a window that ends anywhere lies in one
    piece; the state is working space then. Logits of no rows only fill the ring.

    Returns
    -------
    int
        -1, or the flat index of the first feature that is not finite: then nothing has changed. Or the number
        of features plus the first bar whose logits are not finite: then state and ring are lost.
    """
    wrong = _first_not_finite(features)
    if wrong >= 0:
        return wrong
    if ring.size == 0:
        if seen == 0:
            _forget(plan, state)
        _advance(features, logits, plan, weights, state, scratch)
        wrong = _first_not_finite(logits)
        return features.size + wrong // N_CLASSES if wrong >= 0 else -1
    wanted = features.shape[1]
    for t in range(features.shape[0]):
        bar = seen + t
        _keep(matrix(features, t * wanted, 1, wanted), bar, plan, weights, scratch, ring)
        if t < logits.shape[0]:
            out = matrix(logits, t * N_CLASSES, 1, N_CLASSES)
            # Before the window is full too: a bar that overflows must not wait in the ring.
            _window(bar, out, plan, weights, state, scratch, ring)
            if _first_not_finite(out) >= 0:
                return features.size + t
            if bar + 1 < plan[0, BARS]:
                logits[t] = np.nan
    return -1
