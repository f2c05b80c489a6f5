"""The three products of the parallel mLSTM, sample by sample in the lanes, below the diagonal only.

Arrays of pairs are (queries, keys, LANES); those of a head (channels, steps, LANES). Tiles may compute a
few pairs above the diagonal; `simengine.model.native.memory` sets them to 0 where they would be summed.
"""

from __future__ import annotations

from simengine.model.native.compiling import inlined, part
from simengine.model.native.lanes import Array, load, splat, store

REACH = 2
"""Keys after its own step up to which the pairs of a query must hold zeros for `mix` and `mix_back`."""


@inlined
def _score_tile(left: Array, right: Array, t: int, s: int, out: Array) -> None:
    a00 = a01 = a02 = a03 = splat(0.0, left)
    a10 = a11 = a12 = a13 = splat(0.0, left)
    for d in range(left.shape[0]):
        q0, q1 = load(left, d, t), load(left, d, t + 1)
        k = load(right, d, s)
        a00, a10 = a00 + q0 * k, a10 + q1 * k
        k = load(right, d, s + 1)
        a01, a11 = a01 + q0 * k, a11 + q1 * k
        k = load(right, d, s + 2)
        a02, a12 = a02 + q0 * k, a12 + q1 * k
        k = load(right, d, s + 3)
        a03, a13 = a03 + q0 * k, a13 + q1 * k
    store(out, t, s, (a00, a01, a02, a03))
    store(out, t + 1, s, (a10, a11, a12, a13))


@part
def scores(left: Array, right: Array, first: int, out: Array) -> None:
    """Write ``out[t, s] = sum_d left[d, t] right[d, s]`` for queries ``first`` onwards and s <= t."""
    steps = left.shape[1]
    if steps >= 4 and first <= steps - 2:
        for query in range(first, steps, 2):
            t = min(query, steps - 2)
            for key in range(0, t + 2, 4):
                _score_tile(left, right, t, min(key, steps - 4), out)
        return
    for t in range(first, steps):
        for s in range(t + 1):
            a = splat(0.0, left)
            for d in range(left.shape[0]):
                a = a + load(left, d, t) * load(right, d, s)
            store(out, t, s, a)


@inlined
def _mix_tile(
    pairs: Array, values: Array, out: Array, d: int, step: int, first: int, end: int, back: bool
) -> None:
    """Compute four channels from ``d`` on at two steps, as sums over ``first`` to ``end``.

    The steps are queries and the sums go over keys; on the way ``back`` it is the other way round.
    """
    a00 = a01 = a10 = a11 = splat(0.0, pairs)
    a20 = a21 = a30 = a31 = splat(0.0, pairs)
    for other in range(first, end):
        if back:
            p0, p1 = load(pairs, other, step), load(pairs, other, step + 1)
        else:
            p0, p1 = load(pairs, step, other), load(pairs, step + 1, other)
        v = load(values, d, other)
        a00, a01 = a00 + p0 * v, a01 + p1 * v
        v = load(values, d + 1, other)
        a10, a11 = a10 + p0 * v, a11 + p1 * v
        v = load(values, d + 2, other)
        a20, a21 = a20 + p0 * v, a21 + p1 * v
        v = load(values, d + 3, other)
        a30, a31 = a30 + p0 * v, a31 + p1 * v
    store(out, d, step, (a00, a01))
    store(out, d + 1, step, (a10, a11))
    store(out, d + 2, step, (a20, a21))
    store(out, d + 3, step, (a30, a31))


@part
def mix(pairs: Array, values: Array, first: int, out: Array) -> None:
    """Write ``out[d, t] = sum of pairs[t, s] values[d, s] over s <= t`` for queries ``first`` onwards."""
    steps, width = values.shape[1], values.shape[0]
    if width >= 4 and first <= steps - 2:
        for query in range(first, steps, 2):
            t = min(query, steps - 2)
            for channel in range(0, width, 4):
                _mix_tile(pairs, values, out, min(channel, width - 4), t, 0, t + 2, False)
        return
    for t in range(first, steps):
        for d in range(width):
            a = splat(0.0, pairs)
            for s in range(t + 1):
                a = a + load(pairs, t, s) * load(values, d, s)
            store(out, d, t, a)


@part
def mix_back(pairs: Array, values: Array, first: int, out: Array) -> None:
    """Write ``out[d, s] = sum of pairs[t, s] values[d, t] over t >= s``, queries t from ``first`` on."""
    steps, width = values.shape[1], values.shape[0]
    if width >= 4 and steps >= 2:
        for key in range(0, steps, 2):
            s = min(key, steps - 2)
            for channel in range(0, width, 4):
                _mix_tile(pairs, values, out, min(channel, width - 4), s, max(s, first), steps, True)
        return
    for s in range(steps):
        for d in range(width):
            a = splat(0.0, pairs)
            for t in range(max(s, first), steps):
                a = a + load(pairs, t, s) * load(values, d, t)
            store(out, d, s, a)
