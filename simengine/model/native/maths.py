"""Functions of lanes: exponentials and what gates are made of.

Each is written for all lanes at once; the library's exponential would be called lane by lane, which takes
ten times as long. Errors are a few units in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import overload

from simengine.model.native.compiling import inlined
from simengine.model.native.lanes import (
    Lanes,
    choose,
    magnitude,
    maximum,
    minimum,
    power_of_two,
    round_half_even,
)

_LOG2_E = 1.0 / math.log(2.0)
# ln 2 in two parts: a multiple of the first is exact, so x - n ln 2 keeps its digits (Cody and Waite, 1980).
_LN2_HIGH, _LN2_LOW = 0.693359375, math.log(2.0) - 0.693359375


def exp(x: Any) -> Any:  # noqa: ANN401 - lanes exist in compiled code only
    """Return e to the power of lanes, between the smallest normal and about the largest number.

    Arguments beyond those bounds give the bounds: 1e-38 instead of 0, 2e38 instead of infinity in float32.
    """
    raise NotImplementedError("for compiled code only")


@overload(exp)
def _exp(x: Lanes) -> Callable[[Lanes], Lanes]:  # numba wants the parameters of what is returned
    single = x.dtype == types.float32
    low, high = (-87.3, 88.3) if single else (-708.0, 709.0)
    if single:

        def exp_single(x: Lanes) -> Lanes:
            x = minimum(maximum(x, low), high)
            n = round_half_even(x * _LOG2_E)
            r = x - n * _LN2_HIGH
            r = r - n * _LN2_LOW
            p = r * (1 / 5040) + 1 / 720
            p = p * r + 1 / 120
            p = p * r + 1 / 24
            p = p * r + 1 / 6
            p = p * r + 0.5
            return (p * r * r + r + 1.0) * power_of_two(n)

        return exp_single
    factorials = tuple(1.0 / math.factorial(k) for k in range(13, 1, -1))

    def exp_double(x: Lanes) -> Lanes:
        x = minimum(maximum(x, low), high)
        n = round_half_even(x * _LOG2_E)
        r = x - n * _LN2_HIGH
        r = r - n * _LN2_LOW
        p = r * 0.0
        for factor in factorials:
            p = p * r + factor
        return (p * r * r + r + 1.0) * power_of_two(n)

    return exp_double


def log_one_plus(u: Any) -> Any:  # noqa: ANN401
    """Return log(1 + u) of lanes in [0, 1]."""
    raise NotImplementedError("for compiled code only")


@overload(log_one_plus)
def _log_one_plus(u: Lanes) -> Callable[[Lanes], Lanes]:
    # log(1 + u) = 2 artanh(u / (2 + u)), a power series in a square of at most 1/9.
    terms = 8 if u.dtype == types.float32 else 17
    odd = tuple(1.0 / (2 * k + 1) for k in range(terms - 1, -1, -1))

    def series(u: Lanes) -> Lanes:
        s = u / (u + 2.0)
        square = s * s
        p = square * 0.0
        for factor in odd:
            p = p * square + factor
        return s * p * 2.0

    return series


@inlined
def log_sigmoid(x: Lanes) -> Lanes:
    """Return log(1 / (1 + exp(-x)))."""
    return minimum(x, 0.0) - log_one_plus(exp(magnitude(x) * -1.0))


@inlined
def sigmoid(x: Lanes) -> Lanes:
    """Return 1 / (1 + exp(-x)) without losing the digits of small values."""
    e = exp(magnitude(x) * -1.0)
    r = 1.0 / (e + 1.0)
    return choose(x, r, e * r)


@inlined
def tanh(x: Lanes) -> Lanes:
    """Return the hyperbolic tangent."""
    # Near 0 the quotient would lose the digits of x: there the odd power series is used.
    size = magnitude(x)
    e = exp(size * -2.0)
    large = (1.0 - e) / (1.0 + e)
    large = choose(x, large, large * -1.0)
    s = x * x
    series = s * (21844 / 6081075) - 1382 / 155925
    series = series * s + 62 / 2835
    series = series * s - 17 / 315
    series = series * s + 2 / 15
    series = series * s - 1 / 3
    return choose(size - 0.1, large, series * s * x + x)


@inlined
def silu(x: Lanes) -> Lanes:
    """Return x sigmoid(x)."""
    return x * sigmoid(x)


@inlined
def silu_slope(x: Lanes) -> Lanes:
    """Return the derivative of `silu`."""
    s = sigmoid(x)
    return s * (x * (1.0 - s) + 1.0)
