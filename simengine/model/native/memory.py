"""The memory of one mLSTM head in its parallel form, and its gradient.

See `simengine.model.memory.mlstm_parallel` for the formula. Here, with a[t] the sum of log sigmoid(f) up to
t and u[s] = i[s] - a[s], the stabiliser is M[t] = a[t] + max of u[s] over s <= t, so the weight of key s for
query t is exp(u[s] - max u): a difference of the gates alone.
"""

from __future__ import annotations

from typing import NamedTuple

from simengine.model.native.attention import REACH, mix, mix_back, scores
from simengine.model.native.compiling import part
from simengine.model.native.lanes import Array, choose, load, magnitude, maximum, splat, store
from simengine.model.native.maths import exp, log_sigmoid, sigmoid

EPSILON = 1e-6


class Head(NamedTuple):
    """What one head works on; arrays are (DH, S, LANES) unless it says otherwise."""

    q: Array  # scaled by 1 / sqrt(DH)
    k: Array
    v: Array
    sums: Array  # (3, S, LANES), filled by `gate_sums`
    pairs: Array  # (S, S, LANES): queries and keys
    factor: Array  # (2, S, LANES): sums of the weighted scores of each query, inverse normalisers
    mixed: Array  # values, mixed by the weighted scores


class HeadSlopes(NamedTuple):
    """Gradients by what one head works on, by the same names."""

    q: Array
    k: Array
    v: Array
    sums: Array  # rows a and u
    pairs: Array
    mixed: Array  # by the read values


@part
def gate_sums(gates: Array, heads: int, head: int, sums: Array) -> None:
    """Fill ``sums`` (3, S, LANES) with a, u and the running maximum of u of one head.

    ``gates`` (2 heads, S, LANES) holds the raw input gates of all heads, then the forget gates.
    """
    a = splat(0.0, gates)
    largest = splat(0.0, gates)
    for t in range(gates.shape[1]):
        a = a + log_sigmoid(load(gates, heads + head, t))
        u = load(gates, head, t) - a
        largest = u if t == 0 else maximum(u, largest)
        store(sums, 0, t, a)
        store(sums, 1, t, u)
        store(sums, 2, t, largest)


@part
def _weigh(head: Head, first: int) -> None:
    """Multiply the scores by the weights of the gates and fill ``head.factor``."""
    sums, pairs, factor = head.sums, head.pairs, head.factor
    steps = pairs.shape[0]
    for t in range(first, steps):
        largest = load(sums, 2, t)
        summed = splat(0.0, pairs)
        for s in range(t + 1):
            w = load(pairs, t, s) * exp(load(sums, 1, s) - largest)
            store(pairs, t, s, w)
            summed = summed + w
        for s in range(t + 1, min(t + 1 + REACH, steps)):
            store(pairs, t, s, splat(0.0, pairs))
        smallest = exp((load(sums, 0, t) + largest) * -1.0)
        store(factor, 0, t, summed)
        store(factor, 1, t, 1.0 / (maximum(magnitude(summed), smallest) + EPSILON))


@part
def read(head: Head, first: int, hidden: Array, row: int) -> None:
    """Read the memory of one head with the queries from step ``first`` on.

    Needs the head's q, k, v and sums, and fills the rest: ``head.pairs`` is left with the weighted scores.
    The result goes to the rows ``row`` onwards of ``hidden`` (.., S - first, LANES).
    """
    mixed, factor = head.mixed, head.factor
    scores(head.q, head.k, first, head.pairs)
    _weigh(head, first)
    mix(head.pairs, head.v, first, mixed)
    for d in range(mixed.shape[0]):
        for t in range(first, mixed.shape[1]):
            store(hidden, row + d, t - first, load(mixed, d, t) * load(factor, 1, t))


@part
def _weigh_back(head: Head, slopes: HeadSlopes, first: int) -> None:
    """Turn ``slopes.pairs``, the products dh . v, into the gradient by the scores q . k.

    ``head.pairs`` becomes the weights with which the values were mixed; ``slopes.sums`` gets the gradients
    by a and u. The stabiliser is a constant here, as in `mlstm_parallel`.
    """
    sums, pairs, factor = head.sums, head.pairs, head.factor
    dsums, dpairs = slopes.sums, slopes.pairs
    steps = pairs.shape[0]
    zero = splat(0.0, pairs)
    for t in range(steps):
        store(dsums, 0, t, zero)
        store(dsums, 1, t, zero)
    for t in range(first, steps):
        largest, summed, inverse = load(sums, 2, t), load(factor, 0, t), load(factor, 1, t)
        along = zero
        for s in range(t + 1):
            along = along + load(pairs, t, s) * load(dpairs, t, s)
        size = magnitude(summed)
        smallest = exp((load(sums, 0, t) + largest) * -1.0)
        # The normaliser is |sum| where that is larger, else a constant.
        by_sum = choose(summed, along, along * -1.0) * inverse * inverse * -1.0
        by_sum = choose(size - smallest, by_sum, zero)
        # The weights do not depend on a[t], which cancels in them; the constant is exp(-a[t]) times another.
        store(dsums, 0, t, choose(size - smallest, zero, along * inverse * inverse * smallest))
        for s in range(t + 1):
            w = load(pairs, t, s)
            by_weight = load(dpairs, t, s) * inverse + by_sum
            by_log = by_weight * w
            store(dsums, 1, s, load(dsums, 1, s) + by_log)
            store(dpairs, t, s, by_weight * exp(load(sums, 1, s) - largest))
            store(pairs, t, s, w * inverse)
        for s in range(t + 1, min(t + 1 + REACH, steps)):
            store(dpairs, t, s, zero)


@part
def read_back(head: Head, slopes: HeadSlopes, first: int) -> None:
    """Fill ``slopes`` given ``slopes.mixed``, the gradient by what `read` wrote to ``hidden``."""
    scores(slopes.mixed, head.v, first, slopes.pairs)
    _weigh_back(head, slopes, first)
    mix(slopes.pairs, head.k, first, slopes.q)
    mix_back(slopes.pairs, head.q, first, slopes.k)
    mix_back(head.pairs, slopes.mixed, first, slopes.v)


@part
def gate_sums_back(gates: Array, heads: int, head: int, dsums: Array, dgates: Array) -> None:
    """Write the gradients by the raw gates of one head, given those by a and u."""
    later = splat(0.0, gates)
    for back in range(gates.shape[1]):
        t = gates.shape[1] - 1 - back
        du = load(dsums, 1, t)
        later = later + load(dsums, 0, t) - du
        store(dgates, head, t, du)
        store(dgates, heads + head, t, later * sigmoid(load(gates, heads + head, t) * -1.0))
