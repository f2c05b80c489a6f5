"""Bars from the hidden chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simengine.market.chain import BAR_NS, Market
from simengine.types import Bars, FloatArray, IntArray

START_NS = 1_577_836_800_000_000_000
"""Open time of the first bar: 2020-01-01 00:00 UTC."""

START_PRICE = 100.0
"""Open of the first bar."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """Simulated bars with what an observer does not see directly.

    Parameters
    ----------
    bars : Bars
        The observable bars, n of them.
    states : int64 array, shape (n,)
        Hidden state of each bar.
    log_return, wick, balance, log_volume : float64 arrays, shape (n,)
        The draws that the bars were made of, in the meaning of `simengine.market.Observations`.
    """

    bars: Bars
    states: IntArray
    log_return: FloatArray
    wick: FloatArray
    balance: FloatArray
    log_volume: FloatArray


def simulate(market: Market, n_bars: int, rng: np.random.Generator, symbol: str = "ORACLE1") -> Simulation:
    """Simulate ``n_bars`` five-minute bars from 2020-01-01 UTC, starting at a price of 100.

    With hidden state k, season g and scale ``sg = g sigma_k`` a bar draws

    - log return ``sg (mean_k + e) - log E[exp(sg e)]``, e from a mixture of two normals (rare jumps),
    - total wick ``sg exp(N(wick_log_mean, wick_log_sd))`` in log price,
    - balance ``balance_slope f_k + N(0, balance_sd)``, the log-odds of the lower wick's share,
    - log volume ``volume_mean_k + volume season + N(0, volume_sd)``.

    A longer simulation from an equally seeded ``rng`` begins with the shorter one.

    Parameters
    ----------
    market : Market
        The market.
    n_bars : int
        Number of bars, at least 1.
    rng : numpy Generator
        Its spawned children drive one kind of draw each.
    symbol : str
        Name given to the bars.
    """
    from simengine.market.kernels import sample_chain

    spec = market.spec
    chain, jump, noise, wick_draw, balance_draw, volume_draw = rng.spawn(6)
    uniforms = chain.random(n_bars)
    start = min(int(np.searchsorted(np.cumsum(market.stationary), uniforms[0])), market.n_states - 1)
    states = sample_chain(np.cumsum(market.transition, axis=1), start, uniforms)

    timestamp = START_NS + BAR_NS * np.arange(n_bars, dtype=np.int64)
    phase = market.phase(timestamp)
    scale = market.season[phase] * market.sigma[states]
    component = np.searchsorted(np.cumsum(market.jump_weights)[:-1], jump.random(n_bars))
    shock = noise.standard_normal(n_bars) * market.jump_scales[component]
    log_return = scale * (market.mean[states] + shock) - market.compensator(scale)
    wick = scale * np.exp(spec.wick_log_mean + spec.wick_log_sd * wick_draw.standard_normal(n_bars))
    balance = spec.balance_slope * market.flow[states] + spec.balance_sd * balance_draw.standard_normal(
        n_bars
    )
    log_volume = (
        market.volume_mean[states]
        + market.volume_season[phase]
        + spec.volume_sd * volume_draw.standard_normal(n_bars)
    )
    bars = _bars(symbol, timestamp, log_return, wick, balance, np.exp(log_volume))
    return Simulation(bars, states, log_return, wick, balance, log_volume)


def _bars(
    symbol: str,
    timestamp: IntArray,
    log_return: FloatArray,
    wick: FloatArray,
    balance: FloatArray,
    volume: FloatArray,
) -> Bars:
    close = START_PRICE * np.exp(np.cumsum(log_return))
    open_ = np.concatenate([[START_PRICE], close[:-1]])
    lower = wick / (1.0 + np.exp(-balance))
    upper = wick / (1.0 + np.exp(balance))
    # Multiplying the body's edge keeps a tiny wick to the last bit; exp of a summed log would lose it.
    high = np.maximum(open_, close) * np.exp(upper)
    low = np.minimum(open_, close) * np.exp(-lower)
    return Bars(symbol, timestamp, open_, high, low, close, volume)
