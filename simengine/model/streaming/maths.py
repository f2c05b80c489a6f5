"""Elementary functions in float32 that the compiler turns into vector instructions."""

from __future__ import annotations

import numpy as np

from simengine.model.streaming.compiling import compiled

f4 = np.float32


@compiled
def exp(x: np.float32) -> np.float32:
    """Return e^x to about 1 ulp, for x between -87 and 88; beyond, its value there.

    Reduction by ln 2 in two parts and the polynomial of Cephes' ``expf`` (Moshier).
    """
    x = min(max(x, f4(-87.0)), f4(88.0))
    power = np.floor(x * f4(1.44269504) + f4(0.5))
    r = x - power * f4(0.693359375) + power * f4(2.12194440e-4)
    p = f4(1.9875691500e-4)
    p = p * r + f4(1.3981999507e-3)
    p = p * r + f4(8.3334519073e-3)
    p = p * r + f4(4.1665795894e-2)
    p = p * r + f4(1.6666665459e-1)
    p = p * r + f4(5.0000001201e-1)
    p = p * r * r + r + f4(1.0)
    bits = np.int32((np.int32(power) + np.int32(127)) << np.int32(23))
    result: np.float32 = p * bits.view(np.float32)
    return result


@compiled
def sigmoid(x: np.float32) -> np.float32:
    """Return 1 / (1 + e^-x)."""
    return f4(1.0) / (f4(1.0) + exp(-x))


@compiled
def silu(x: np.float32) -> np.float32:
    """Return x sigmoid(x)."""
    return x / (f4(1.0) + exp(-x))


@compiled
def tanh(x: np.float32) -> np.float32:
    """Return the hyperbolic tangent, to a few units in the last place.

    Near 0 the quotient would lose the digits of x, which the normalisation of a head brings back to size 1:
    there the odd power series is used. Both are computed, so that the choice stays in vector registers.
    """
    large = f4(1.0) - f4(2.0) / (exp(f4(2.0) * x) + f4(1.0))
    s = x * x
    p = f4(62.0 / 2835.0)
    p = p * s + f4(-17.0 / 315.0)
    p = p * s + f4(2.0 / 15.0)
    p = p * s + f4(-1.0 / 3.0)
    series = x + x * s * p
    result: np.float32 = series if abs(x) < f4(0.1) else large
    return result


@compiled
def log_sigmoid(x: np.float32) -> np.float32:
    """Return log(sigmoid(x)) = min(x, 0) - log(1 + e^-|x|).

    log(1 + u) = 2 artanh(s) with s = u / (2 + u) <= 1/3, whose series ends here with s^13.
    """
    u = exp(-abs(x))
    s = u / (f4(2.0) + u)
    q = s * s
    p = f4(1.0 / 13.0)
    p = p * q + f4(1.0 / 11.0)
    p = p * q + f4(1.0 / 9.0)
    p = p * q + f4(1.0 / 7.0)
    p = p * q + f4(0.2)
    p = p * q + f4(1.0 / 3.0)
    p = p * q + f4(1.0)
    return min(x, f4(0.0)) - f4(2.0) * s * p


@compiled
def gelu(x: np.float32) -> np.float32:
    """Return x Phi(x) with the normal distribution function Phi, to 1e-6 absolute.

    Abramowitz and Stegun 7.1.26: erfc(z) = t (a1 + ... + a5 t^4) e^(-z^2), t = 1 / (1 + 0.3275911 z).
    """
    z = abs(x) * f4(0.70710678)
    t = f4(1.0) / (f4(1.0) + f4(0.3275911) * z)
    p = f4(1.061405429)
    p = p * t + f4(-1.453152027)
    p = p * t + f4(1.421413741)
    p = p * t + f4(-0.284496736)
    p = p * t + f4(0.254829592)
    tail = f4(0.5) * p * t * exp(-z * z)
    return x * (f4(1.0) - tail if x > f4(0.0) else tail)
