"""The exact distribution of the forward return, by characteristic functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simengine.market.chain import Market
from simengine.types import FloatArray, IntArray

TOLERANCE = 1e-9
"""Bound on the neglected tail of the return and on the neglected end of its characteristic function."""


@dataclass(frozen=True, slots=True)
class ReturnSpectrum:
    """The characteristic function of R = log(close[t+H] / close[t]) given the state and phase of bar t.

    Parameters
    ----------
    horizon_bars : int
        H.
    reach : float
        |R| exceeds it with a probability below `TOLERANCE` in every state.
    step : float
        Spacing of the W frequencies ``(i + 1/2) step``.
    cosine, sine : float64 arrays, shape (bars_per_day, K, W)
        Real and imaginary part, each times ``step / (pi frequency)``: the weights of the Gil-Pelaez sum.
    """

    horizon_bars: int
    reach: float
    step: float
    cosine: FloatArray
    sine: FloatArray

    def cdf(self, posterior: FloatArray, phase: IntArray, x: FloatArray) -> FloatArray:
        """Return P(R <= x) under each row's distribution over states.

        Parameters
        ----------
        posterior : float64 array, shape (n, K)
            Probabilities of the states of bar t.
        phase : int64 array, shape (n,)
            Phase of the day of bar t.
        x : float64 array, shape (n, M)
            Log returns.

        Returns
        -------
        float64 array, shape (n, M)
            In [0, 1]. Beyond ``reach`` it is exactly 0 or 1.
        """
        from simengine.market.kernels import mixed_cdf

        inside = np.clip(x, -self.reach, self.reach)
        result = mixed_cdf(posterior, phase, inside, self.cosine, self.sine, self.step)
        result = np.where(x > self.reach, 1.0, np.where(x < -self.reach, 0.0, result))
        # The quadrature error leaves values such as -1e-10 in the tails.
        bounded: FloatArray = np.clip(result, 0.0, 1.0)
        return bounded


def return_spectrum(market: Market, horizon_bars: int) -> ReturnSpectrum:
    """Compute the characteristic function of the H-bar log return for every phase and state.

    With phi_h(w) the diagonal of one-bar characteristic functions at phase p + h, the vector over the
    states of bar t is ``P phi_1 P phi_2 ... P phi_H 1``, evaluated from the right. The distribution
    function follows from Gil-Pelaez (1951),
    ``F(x) = 1/2 - (1/pi) integral of Im[exp(-iwx) phi(w)] / w dw``, by the midpoint rule, whose
    aliasing and truncation errors are below `TOLERANCE` by the choice of step and range
    (Davies 1973).

    Parameters
    ----------
    market : Market
        The market.
    horizon_bars : int
        H, at least 1.
    """
    day = market.spec.bars_per_day
    reach = _reach(market, horizon_bars)
    step = float(np.pi / reach)
    count = int(np.ceil(_bandwidth(market, horizon_bars) / step))
    frequency = (np.arange(count, dtype=np.float64) + 0.5) * step
    one_bar = np.stack([_one_bar(market, phase, frequency) for phase in range(day)])
    cosine = np.empty((day, market.n_states, count))
    sine = np.empty((day, market.n_states, count))
    weight = step / (np.pi * frequency)
    for phase in range(day):
        value = np.ones((market.n_states, count), np.complex128)
        for ahead in range(horizon_bars, 0, -1):
            value *= one_bar[(phase + ahead) % day]
            # P is real: one real product over interleaved parts costs half of the complex one.
            value = (market.transition @ value.view(np.float64)).view(np.complex128)
        cosine[phase] = value.real * weight
        sine[phase] = value.imag * weight
    return ReturnSpectrum(horizon_bars, reach, step, cosine, sine)


def _one_bar(
    market: Market, phase: int, frequency: FloatArray
) -> np.ndarray[tuple[int, int], np.dtype[np.complex128]]:
    scale = market.season[phase] * market.sigma
    location = scale * market.mean - market.compensator(scale)
    widths = np.multiply.outer(market.jump_scales, scale)[:, :, None] * frequency
    envelope = np.tensordot(market.jump_weights, np.exp(-0.5 * np.square(widths)), axes=1)
    return np.asarray(envelope * np.exp(1j * np.multiply.outer(location, frequency)))


def _reach(market: Market, horizon_bars: int) -> float:
    """Chernoff bound on |R|, with every bar at the largest scale and mean."""
    largest = float(market.season.max() * market.sigma.max())
    theta = np.geomspace(1e-3, 30.0 / market.jump_scales.max(), 400)  # its end keeps exp() finite
    log_moment = np.log1p(
        np.expm1(0.5 * np.square(np.multiply.outer(theta, market.jump_scales))) @ market.jump_weights
    )
    noise = float(np.min((horizon_bars * log_moment + np.log(2.0 / TOLERANCE)) / theta))
    drift = horizon_bars * float(np.abs(market.mean).max())
    compensation = horizon_bars * float(market.compensator(np.array(largest)))
    return largest * (noise + drift) + compensation


def _bandwidth(market: Market, horizon_bars: int) -> float:
    """Frequency from which the characteristic function stays below the tolerance in every state."""
    smallest = float(market.season.min() * market.sigma.min() * market.jump_scales.min())
    return float(np.sqrt(2.0 * np.log(1.0 / TOLERANCE) / horizon_bars)) / smallest
