"""The hidden Markov chain behind the oracle market: its states, transitions and parameters."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from simengine.types import FloatArray, IntArray

BAR_NS = 300_000_000_000
"""Length of a bar: five minutes, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class MarketSpec:
    """The parameters of an oracle market.

    The hidden state is a triple of independent chains: drift regime s in {-1, 0, 1}, volatility regime
    v in {low, middle, high} and order flow f, an AR(1) of unit variance on ``flow_levels`` points.

    Parameters
    ----------
    drift_strength : float
        Mean of a bar's return per unit of s, in standard deviations of the bar.
    flow_strength : float
        Mean of a bar's return per unit of f, in standard deviations of the bar.
    flow_persistence : float
        Autocorrelation of f from bar to bar, in (-1, 1).
    flow_levels : int
        Points of the order-flow grid, at least 2.
    drift_stay_bars, volatility_stay_bars : float
        Mean length of a drift and of a volatility regime, in bars, above 1.
    sigmas : tuple of three floats
        Standard deviation of a one-bar log return in each volatility regime at season 1.
    bars_per_day : int
        Period of the seasonal pattern, in bars.
    jump_weights, jump_scales : tuples of float
        Weights and relative standard deviations of the normals that the noise is a mixture of; the
        scales are normalised so that the mixture has unit variance.
    wick_log_mean, wick_log_sd : float
        Of the log of the total wick length over the bar's standard deviation.
    balance_slope, balance_sd : float
        Log-odds of the lower wick's share: slope in f and noise.
    volume_level, volume_elasticity, volume_flow, volume_sd : float
        Log volume: level, slope in the log of sigma, slope in |f| and noise.
    """

    drift_strength: float = 0.10
    flow_strength: float = 0.10
    flow_persistence: float = 0.93
    flow_levels: int = 5
    drift_stay_bars: float = 300.0
    volatility_stay_bars: float = 400.0
    sigmas: tuple[float, float, float] = (0.0006, 0.0012, 0.0025)
    bars_per_day: int = 288
    jump_weights: tuple[float, ...] = (0.95, 0.05)
    jump_scales: tuple[float, ...] = (0.85, 2.6)
    wick_log_mean: float = -0.2
    wick_log_sd: float = 0.35
    balance_slope: float = 0.6
    balance_sd: float = 0.8
    volume_level: float = 6.0
    volume_elasticity: float = 0.8
    volume_flow: float = 0.25
    volume_sd: float = 0.45

    def __post_init__(self) -> None:
        if abs(sum(self.jump_weights) - 1.0) > 1e-12 or len(self.jump_weights) != len(self.jump_scales):
            raise ValueError(
                "jump_weights must sum to 1 and be as many as jump_scales, received "
                f"{self.jump_weights} and {self.jump_scales}"
            )


PRESETS = MappingProxyType(
    {
        "easy": MarketSpec(drift_strength=0.15, flow_strength=0.20),
        "medium": MarketSpec(drift_strength=0.08, flow_strength=0.09),
        "realistic": MarketSpec(drift_strength=0.04, flow_strength=0.035),
        "null": MarketSpec(drift_strength=0.0, flow_strength=0.0),
    }
)
"""Markets by name, from a strong signal to none; they differ in the two strengths only."""


@dataclass(frozen=True, slots=True)
class Market:
    """A market's parameters laid out over its K hidden states.

    Parameters
    ----------
    spec : MarketSpec
        What it was built from.
    transition : float64 array, shape (K, K)
        Probability of the next bar's state (column) given this bar's (row).
    stationary : float64 array, shape (K,)
        Long-run share of each state; the first bar is drawn from it.
    flow : float64 array, shape (K,)
        Order flow f of each state.
    sigma : float64 array, shape (K,)
        Standard deviation of a one-bar log return at season 1.
    mean : float64 array, shape (K,)
        Mean of the one-bar return in units of its standard deviation.
    volume_mean : float64 array, shape (K,)
        Mean log volume without its season.
    season, volume_season : float64 arrays, shape (bars_per_day,)
        Factor on sigma, and addition to log volume, at each phase of the day.
    jump_weights, jump_scales : float64 arrays, shape (J,)
        The noise mixture, of unit variance.
    """

    spec: MarketSpec
    transition: FloatArray
    stationary: FloatArray
    flow: FloatArray
    sigma: FloatArray
    mean: FloatArray
    volume_mean: FloatArray
    season: FloatArray
    volume_season: FloatArray
    jump_weights: FloatArray
    jump_scales: FloatArray

    @property
    def n_states(self) -> int:
        """Number of hidden states K."""
        return len(self.stationary)

    def phase(self, timestamp: IntArray) -> IntArray:
        """Return the phase of the day of bar open times (ns UTC): 0 to bars_per_day - 1."""
        phase: IntArray = (timestamp // BAR_NS) % self.spec.bars_per_day
        return phase

    def compensator(self, scale: FloatArray) -> FloatArray:
        """Return log E[exp(scale x noise)], elementwise.

        Subtracted from the log return, it makes the price (not its log) a martingale when the mean is
        zero. For a mixture of normals it is ``log(sum_j w_j exp((scale s_j)^2 / 2))``.
        """
        exponent = 0.5 * np.square(np.multiply.outer(scale, self.jump_scales))
        result: FloatArray = np.log1p(np.expm1(exponent) @ self.jump_weights)
        return result


def rouwenhorst(levels: int, persistence: float) -> tuple[FloatArray, FloatArray]:
    """Return the points and the transition matrix of a discretised AR(1) of unit variance.

    Rouwenhorst's method (Rouwenhorst 1995; Kopecky and Suen 2010) matches the autocorrelation exactly
    at any persistence.

    Parameters
    ----------
    levels : int
        Number of points n, at least 2.
    persistence : float
        First autocorrelation, in (-1, 1).

    Returns
    -------
    points : float64 array, shape (n,)
        Equally spaced from -sqrt(n - 1) to sqrt(n - 1).
    transition : float64 array, shape (n, n)
        Rows sum to one.

    Raises
    ------
    ValueError
        If an argument is outside its range.
    """
    if levels < 2 or not -1.0 < persistence < 1.0:
        raise ValueError(
            f"rouwenhorst needs levels >= 2 and -1 < persistence < 1, received {levels} and {persistence}"
        )
    stay = (1.0 + persistence) / 2.0
    matrix = np.array([[stay, 1.0 - stay], [1.0 - stay, stay]])
    for size in range(3, levels + 1):
        larger = np.zeros((size, size))
        larger[:-1, :-1] += stay * matrix
        larger[:-1, 1:] += (1.0 - stay) * matrix
        larger[1:, :-1] += (1.0 - stay) * matrix
        larger[1:, 1:] += stay * matrix
        larger[1:-1] /= 2.0
        matrix = larger
    return np.linspace(-1.0, 1.0, levels) * np.sqrt(levels - 1.0), matrix


def stationary_distribution(transition: FloatArray) -> FloatArray:
    """Return the distribution p with ``p @ transition = p`` of an irreducible chain, shape (K,)."""
    size = len(transition)
    equations = np.vstack([transition.T - np.eye(size), np.ones(size)])
    target = np.append(np.zeros(size), 1.0)
    solution = np.linalg.lstsq(equations, target, rcond=None)[0]
    result: FloatArray = solution / solution.sum()
    return result


def build_market(spec: MarketSpec) -> Market:
    """Lay a specification out over its hidden states."""
    drift = _any_to_any(spec.drift_stay_bars)
    volatility = _neighbours(spec.volatility_stay_bars)
    points, flow_transition = rouwenhorst(spec.flow_levels, spec.flow_persistence)
    drift_state, volatility_state, flow_state = (
        index.ravel() for index in np.indices((3, 3, spec.flow_levels))
    )
    flow = points[flow_state]
    sigma = np.array(spec.sigmas)[volatility_state]
    relative_sigma = np.log(sigma / np.mean(spec.sigmas))
    day = np.arange(spec.bars_per_day) / spec.bars_per_day
    daily = np.sin(2.0 * np.pi * (day - 0.3))
    weights = np.array(spec.jump_weights)
    scales = np.array(spec.jump_scales)
    parts = [stationary_distribution(part) for part in (drift, volatility, flow_transition)]
    return Market(
        spec=spec,
        transition=np.kron(np.kron(drift, volatility), flow_transition),
        stationary=np.kron(np.kron(parts[0], parts[1]), parts[2]),
        flow=flow,
        sigma=sigma,
        mean=spec.drift_strength * (drift_state - 1.0) + spec.flow_strength * flow,
        volume_mean=spec.volume_level
        + spec.volume_elasticity * relative_sigma
        + spec.volume_flow * np.abs(flow),
        season=1.0 + 0.35 * daily + 0.15 * np.sin(4.0 * np.pi * day),
        volume_season=0.6 * daily,
        jump_weights=weights,
        jump_scales=scales / np.sqrt(weights @ np.square(scales)),
    )


def _any_to_any(stay_bars: float) -> FloatArray:
    """Three regimes that are left for either other one with equal probability."""
    leave = 1.0 / stay_bars
    matrix = np.full((3, 3), leave / 2.0)
    np.fill_diagonal(matrix, 1.0 - leave)
    return matrix


def _neighbours(stay_bars: float) -> FloatArray:
    """Three regimes in a row that are left for a neighbour only."""
    leave = 1.0 / stay_bars
    return np.array(
        [[1.0 - leave, leave, 0.0], [leave / 2.0, 1.0 - leave, leave / 2.0], [0.0, leave, 1.0 - leave]]
    )
