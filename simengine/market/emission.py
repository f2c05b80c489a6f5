"""From bars back to observations, and from observations to likelihoods of the hidden states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simengine.errors import DataError
from simengine.market.chain import Market
from simengine.types import Bars, FloatArray, IntArray

_CHUNK_BARS = 16_384  # bounds the temporaries of one pass to a few times 6 MB


@dataclass(frozen=True, slots=True)
class Observations:
    """What a bar of the oracle market reveals; together these determine the bar.

    Parameters
    ----------
    phase : int64 array, shape (n,)
        Phase of the day.
    log_return : float64 array, shape (n,)
        log(close / open).
    wick : float64 array, shape (n,)
        Upper plus lower wick in log price.
    balance : float64 array, shape (n,)
        log(lower wick / upper wick).
    log_volume : float64 array, shape (n,)
        Log of the volume.
    """

    phase: IntArray
    log_return: FloatArray
    wick: FloatArray
    balance: FloatArray
    log_volume: FloatArray


def recover_observations(market: Market, bars: Bars) -> Observations:
    """Read the observations off OHLCV bars, exactly up to the rounding of the prices.

    Raises
    ------
    DataError
        If a bar has a wick of zero or a volume of zero: no bar of the oracle market has.
    """
    body_high = np.maximum(bars.open, bars.close)
    body_low = np.minimum(bars.open, bars.close)
    # The difference of two close floats is exact, so log1p keeps tiny wicks accurate.
    upper = np.log1p((bars.high - body_high) / body_high)
    lower = -np.log1p((bars.low - body_low) / body_low)
    impossible = ~((upper > 0) & (lower > 0) & (bars.volume > 0))
    if impossible.any():
        row = int(np.argmax(impossible))
        raise DataError(
            f"{bars.symbol}: bar {row} has upper wick {upper[row]:.3g}, lower wick {lower[row]:.3g} and "
            f"volume {bars.volume[row]:.6g}; the oracle market makes all of them positive: pass bars that "
            "it simulated"
        )
    return Observations(
        phase=market.phase(bars.timestamp),
        log_return=np.log1p((bars.close - bars.open) / bars.open),
        wick=upper + lower,
        balance=np.log(lower / upper),
        log_volume=np.log(bars.volume),
    )


def log_likelihood(market: Market, observations: Observations) -> FloatArray:
    """Return log p(observations of a bar | state), shape (n, K), up to a constant per bar.

    The constant (Jacobians and factors that do not depend on the state) cancels in Bayes' rule.
    """
    spec = market.spec
    scale = market.season[observations.phase][:, None] * market.sigma
    log_scale = np.log(scale)
    shock = (observations.log_return[:, None] + market.compensator(scale)) / scale - market.mean
    result = np.full_like(scale, -np.inf)
    for weight, width in zip(market.jump_weights, market.jump_scales, strict=True):
        result = np.logaddexp(result, np.log(weight / width) - 0.5 * np.square(shock / width))
    result -= log_scale
    wick = (np.log(observations.wick)[:, None] - log_scale - spec.wick_log_mean) / spec.wick_log_sd
    balance = (observations.balance[:, None] - spec.balance_slope * market.flow) / spec.balance_sd
    expected_volume = market.volume_mean + market.volume_season[observations.phase][:, None]
    volume = (observations.log_volume[:, None] - expected_volume) / spec.volume_sd
    result -= 0.5 * (np.square(wick) + np.square(balance) + np.square(volume))
    return result


def emission_likelihood(market: Market, bars: Bars) -> FloatArray:
    """Return p(bar | state), shape (n, K), each row scaled so that its largest entry is one."""
    result = np.empty((len(bars), market.n_states))
    for start in range(0, len(bars), _CHUNK_BARS):
        stop = min(start + _CHUNK_BARS, len(bars))
        rows = log_likelihood(market, recover_observations(market, bars.slice(start, stop)))
        result[start:stop] = np.exp(rows - rows.max(axis=1, keepdims=True))
    return result
