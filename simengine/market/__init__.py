"""The oracle market: simulated bars with exact class probabilities."""

from __future__ import annotations

from simengine.market.chain import (
    PRESETS,
    Market,
    MarketSpec,
    build_market,
    rouwenhorst,
    stationary_distribution,
)
from simengine.market.emission import Observations, emission_likelihood, log_likelihood, recover_observations
from simengine.market.forward import ReturnSpectrum, return_spectrum
from simengine.market.oracle import Oracle
from simengine.market.simulate import Simulation, simulate

__all__ = [
    "PRESETS",
    "Market",
    "MarketSpec",
    "Observations",
    "Oracle",
    "ReturnSpectrum",
    "Simulation",
    "build_market",
    "emission_likelihood",
    "log_likelihood",
    "recover_observations",
    "return_spectrum",
    "rouwenhorst",
    "simulate",
    "stationary_distribution",
]
