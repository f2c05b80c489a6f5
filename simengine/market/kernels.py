"""The compiled loops of the oracle market: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np

from simengine.types import FloatArray, IntArray

Function = TypeVar("Function", bound=Callable[..., object])


def _compiled(function: Function) -> Function:
    return cast("Function", numba.njit(cache=True, error_model="numpy")(function))


@_compiled
def sample_chain(cumulative: FloatArray, start: int, uniforms: FloatArray) -> IntArray:
    """Return the states (n,) of a chain that starts in ``start``.

    ``cumulative`` (K, K) holds the running sums of the transition rows; ``uniforms[t]`` moves the
    chain from bar t - 1 to bar t, ``uniforms[0]`` is not used.
    """
    n = len(uniforms)
    last = cumulative.shape[0] - 1
    states = np.empty(n, np.int64)
    state = start
    for t in range(n):
        if t > 0:
            # A row's sum may round to just below one, hence the bound.
            state = min(np.searchsorted(cumulative[state], uniforms[t], side="right"), last)
        states[t] = state
    return states


@_compiled
def _step(transition: FloatArray, likelihood: FloatArray, prior: FloatArray, posterior: FloatArray) -> None:
    size = len(prior)
    for j in range(size):
        posterior[j] = 0.0
    for k in range(size):
        weight = prior[k]
        for j in range(size):
            posterior[j] += weight * transition[k, j]
    total = 0.0
    for j in range(size):
        posterior[j] *= likelihood[j]
        total += posterior[j]
    for j in range(size):
        posterior[j] /= total


@_compiled
def filter_rows(
    transition: FloatArray, stationary: FloatArray, likelihood: FloatArray, rows: IntArray
) -> FloatArray:
    """Return P(state at a row | bars 0 to that row), shape (len(rows), K).

    ``likelihood`` (n, K) may be scaled by any positive factor per bar; ``rows`` must not decrease.
    """
    size = len(stationary)
    result = np.empty((len(rows), size))
    current = stationary.copy()
    following = np.empty(size)
    row = 0
    for t in range(len(likelihood)):
        _step(transition, likelihood[t], current, following)
        current, following = following, current
        while row < len(rows) and rows[row] == t:
            result[row] = current
            row += 1
    return result


@_compiled
def filter_windows(
    transition: FloatArray, stationary: FloatArray, likelihood: FloatArray, rows: IntArray, length: int
) -> FloatArray:
    """Return P(state at a row | the last ``length`` bars up to that row), shape (len(rows), K)."""
    size = len(stationary)
    result = np.empty((len(rows), size))
    current = np.empty(size)
    following = np.empty(size)
    for i in range(len(rows)):
        current[:] = stationary
        for t in range(max(rows[i] - length + 1, 0), rows[i] + 1):
            _step(transition, likelihood[t], current, following)
            current, following = following, current
        result[i] = current
    return result


@_compiled
def mixed_cdf(
    posterior: FloatArray,
    phase: IntArray,
    x: FloatArray,
    cosine: FloatArray,
    sine: FloatArray,
    step: float,
) -> FloatArray:
    """Return the distribution function at ``x`` (n, M) of each row's mixture of states, shape (n, M).

    ``cosine`` and ``sine`` (phases, K, W) are the real and imaginary part of the characteristic
    function at frequencies ``(i + 1/2) step``, already weighted for the Gil-Pelaez sum.
    """
    n, points = x.shape
    size = posterior.shape[1]
    count = cosine.shape[2]
    result = np.empty((n, points))
    real = np.empty(count)
    imag = np.empty(count)
    for i in range(n):
        real[:] = 0.0
        imag[:] = 0.0
        for k in range(size):
            weight = posterior[i, k]
            for w in range(count):
                real[w] += weight * cosine[phase[i], k, w]
                imag[w] += weight * sine[phase[i], k, w]
        for m in range(points):
            turn_cos, turn_sin = np.cos(step * x[i, m]), np.sin(step * x[i, m])
            c, s = np.cos(0.5 * step * x[i, m]), np.sin(0.5 * step * x[i, m])
            total = 0.0
            for w in range(count):
                total += imag[w] * c - real[w] * s
                c, s = c * turn_cos - s * turn_sin, s * turn_cos + c * turn_sin
            result[i, m] = 0.5 - total
    return result
