"""What the forms of the mLSTM's memory are made of, see `simengine.model.memory`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

MemoryState = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
"""C (..., DHk, DHv), n (..., DHk, 1), m (..., 1, 1)."""

_GRID = 1024.0
_NEVER = float("-inf")


class Decay(NamedTuple):
    """Sum of log sigmoid(f) up to each step, in two parts, each (..., S).

    ``coarse`` sums multiples of 1 / 1024: exact in float32, so are its differences; ``fine`` sums the rest,
    which is small. A single sum would lose what matters, the difference of two large sums, to rounding.
    """

    coarse: tf.Tensor
    fine: tf.Tensor


def log_decay(forget_gate: tf.Tensor) -> Decay:
    """Return the summed logarithms of the forget gates, from their raw values (..., S)."""
    log_forget = tf.math.log_sigmoid(forget_gate)
    steps = forget_gate.shape[-1]
    # A product with a triangle of ones: faster than cumsum, whose gradient reverses the axis twice.
    causal = tf.constant(np.tril(np.ones((steps, steps))), log_forget.dtype)
    coarse = tf.stop_gradient(tf.round(log_forget * _GRID)) / _GRID
    return Decay(*(tf.einsum("...s,ts->...t", part, causal) for part in (coarse, log_forget - coarse)))


def read_with_queries(
    q: tf.Tensor,
    k: tf.Tensor,
    v: tf.Tensor,
    input_gate: tf.Tensor,
    decay: Decay,
    state: MemoryState | None,
    epsilon: float,
) -> tf.Tensor:
    """Return what the queries of the last steps read.

    ``fine`` of the reading step is common to all weights of a row, so it is left out of them and appears in
    the bound of the normaliser alone.
    """
    steps, queries = k.shape[-2], q.shape[-2]
    coarse, fine = decay.coarse[..., steps - queries :, None], decay.fine[..., steps - queries :, None]
    log_weight = (coarse - decay.coarse[..., None, :]) + (input_gate - decay.fine)[..., None, :]
    causal = np.tril(np.ones((steps, steps), bool))[steps - queries :]
    log_weight = tf.where(causal, log_weight, tf.constant(_NEVER, q.dtype))
    largest = tf.stop_gradient(tf.reduce_max(log_weight, -1, keepdims=True))
    if state is not None:
        log_kept = coarse + state[2]
        largest = tf.stop_gradient(tf.maximum(largest, log_kept))
    weight = tf.matmul(q * (1.0 / math.sqrt(k.shape[-1])), k, transpose_b=True)
    weight *= tf.exp(log_weight - largest)
    read, size = tf.matmul(weight, v), tf.reduce_sum(weight, -1, keepdims=True)
    if state is not None:
        kept = q * tf.exp(log_kept - largest)
        read += tf.matmul(kept, state[0])
        size += tf.matmul(kept, state[1])
    return quotient(read, size, largest, fine, epsilon)


def quotient(
    read: tf.Tensor, size: tf.Tensor, largest: tf.Tensor, fine: tf.Tensor, epsilon: float
) -> tf.Tensor:
    """Return ``read / (max(|size|, exp(-m)) + epsilon)`` with m = largest + fine, and ``largest`` constant.

    Both sides are multiplied by exp(min(m, 0)), so that exp(-m) does not overflow where all input gates are
    nearly closed.
    """
    m = tf.stop_gradient(largest + fine)
    below = tf.exp(tf.minimum(m, 0.0))
    bound = tf.exp(-tf.maximum(m, 0.0)) * tf.exp(tf.stop_gradient(fine) - fine)
    return read * (below / (tf.maximum(tf.abs(size) * below, bound) + epsilon * below))


def memorise(
    k: tf.Tensor, v: tf.Tensor, input_gate: tf.Tensor, decay: Decay, state: MemoryState | None
) -> MemoryState:
    """Return the state after the last step."""
    coarse, fine = decay.coarse[..., -1:], decay.fine[..., -1:]
    log_weight = ((coarse - decay.coarse) + (fine + (input_gate - decay.fine)))[..., None]
    m = tf.reduce_max(log_weight, -2, keepdims=True)
    if state is not None:
        log_kept = (coarse + fine)[..., None] + state[2]
        m = tf.maximum(m, log_kept)
    m = tf.stop_gradient(m)
    key = k * (tf.exp(log_weight - m) * (1.0 / math.sqrt(k.shape[-1])))
    memory, size = tf.matmul(key, v, transpose_a=True), tf.reduce_sum(key, -2)[..., None]
    if state is not None:
        kept = tf.exp(log_kept - m)
        memory, size = memory + kept * state[0], size + kept * state[1]
    return memory, size, m
