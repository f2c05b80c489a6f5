"""The matrix memory of the mLSTM, one bar after another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simengine.model.streaming.compiling import compiled, matrix, outlined, row, stay_apart
from simengine.model.streaming.layout import EPS_MEMORY, HEADS, NUMBERS, STATE_C, STATE_M, STATE_N
from simengine.model.streaming.linear import dot, vector_product
from simengine.model.streaming.maths import exp, log_sigmoid
from simengine.types import Float32Array, IntArray

f4 = np.float32


class Reading(NamedTuple):
    """What goes into the memory and out of it, one bar per row.

    k : float32 (T, H DK); v : (T, H DV); gates : (T, 2 H), raw, input gates first; q : (R, H DK) and
    h : (R, H DV), queries of the last R bars and what they read.
    """

    k: Float32Array
    v: Float32Array
    gates: Float32Array
    q: Float32Array
    h: Float32Array


@compiled
def _write(c: Float32Array, keep: np.float32, gain: np.float32, k: Float32Array, v: Float32Array) -> None:
    """Write ``keep c + gain k v^T``: c (DK, DV), k (DK,), v (DV,)."""
    keys, values = c.shape
    for a in range(keys):
        # One row at a time: with more, the compiler gives up telling the rows apart and uses no vectors.
        target, weight = row(c, a * values, values), gain * k[a]
        for b in range(values):
            target[b] = keep * target[b] + weight * v[b]


@compiled
def _read(
    c: Float32Array, n: Float32Array, m: np.float32, q: Float32Array, eps: np.float32, h: Float32Array
) -> None:
    """Write ``h = q C / (max(|q . n|, exp(-m)) + eps)``."""
    scale = f4(1.0) / (max(abs(dot(q, n)), exp(-m)) + eps)
    for b in range(h.shape[0]):
        h[b] = f4(0.0)
    vector_product(q, c, h)
    for b in range(h.shape[0]):
        h[b] *= scale


@outlined
def remember(block: IntArray, weights: Float32Array, state: Float32Array, io: Reading) -> None:
    """Store the keys and values of T bars in turn, and let the last R bars read.

    The state of a block with H heads is C (H, DK, DV), n (H, DK) and m (H,), -inf at first. With
    log f = log sigmoid(raw forget gate), i the raw input gate and k already divided by sqrt(DK):

        m' = max(m + log f, i),   keep = exp(m + log f - m'),   gain = exp(i - m'),
        C = keep C + gain k v^T,   n = keep n + gain k

    (Beck et al., 2024, "xLSTM: Extended Long Short-Term Memory").
    """
    stay_apart()
    rows, reads, heads = io.k.shape[0], io.q.shape[0], block[HEADS]
    keys, values = io.k.shape[1] // heads, io.v.shape[1] // heads
    stabiliser, eps = row(state, block[STATE_M], heads), weights[block[NUMBERS] + EPS_MEMORY]
    for t in range(rows):
        for head in range(heads):
            raw, kept = io.gates[t, head], stabiliser[head] + log_sigmoid(io.gates[t, heads + head])
            m = max(kept, raw)
            keep, gain = exp(kept - m), exp(raw - m)
            stabiliser[head] = m
            c = matrix(state, block[STATE_C] + head * keys * values, keys, values)
            n = row(state, block[STATE_N] + head * keys, keys)
            k, v = row(io.k, (t * heads + head) * keys, keys), row(io.v, (t * heads + head) * values, values)
            _write(c, keep, gain, k, v)
            for a in range(keys):
                n[a] = keep * n[a] + gain * k[a]
            place = (t - rows + reads) * heads + head
            if place >= 0:
                _read(c, n, m, row(io.q, place * keys, keys), eps, row(io.h, place * values, values))
