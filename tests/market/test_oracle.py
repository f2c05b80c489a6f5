"""The exact classifier against brute force, closed forms, Monte Carlo and its own calibration."""

import itertools
from statistics import NormalDist

import numpy as np
import pytest

from simengine.errors import DataError
from simengine.market import (
    PRESETS,
    MarketSpec,
    Oracle,
    build_market,
    log_likelihood,
    recover_observations,
    return_spectrum,
    simulate,
)

TINY = MarketSpec(
    drift_strength=0.3,
    flow_strength=0.4,
    flow_persistence=0.7,
    flow_levels=2,
    drift_stay_bars=5,
    volatility_stay_bars=4,
    bars_per_day=4,
)


@pytest.fixture(scope="module")
def tiny():
    market = build_market(TINY)
    return market, simulate(market, 400, np.random.default_rng(0)).bars


@pytest.fixture(scope="module")
def easy():
    market = build_market(PRESETS["easy"])
    return Oracle(market), simulate(market, 12_000, np.random.default_rng(7)).bars


def normal_density(x, mean, sd):
    return np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))


def density(market, simulation, t, k):
    """Density of bar t in state k, written from the definition of the market, not from the package."""
    spec, phase = market.spec, t % market.spec.bars_per_day
    scale = market.season[phase] * market.sigma[k]
    mixture = list(zip(market.jump_weights, market.jump_scales, strict=True))
    compensation = np.log(sum(w * np.exp(0.5 * (scale * s) ** 2) for w, s in mixture))
    location = scale * market.mean[k] - compensation
    of_return = sum(w * normal_density(simulation.log_return[t], location, scale * s) for w, s in mixture)
    of_wick = normal_density(np.log(simulation.wick[t]), np.log(scale) + spec.wick_log_mean, spec.wick_log_sd)
    of_balance = normal_density(simulation.balance[t], spec.balance_slope * market.flow[k], spec.balance_sd)
    volume_mean = market.volume_mean[k] + market.volume_season[phase]
    return (
        of_return
        * of_wick
        * of_balance
        * normal_density(simulation.log_volume[t], volume_mean, spec.volume_sd)
    )


def test_likelihood_is_the_density_up_to_a_constant_per_bar(tiny):
    market, _ = tiny
    simulation = simulate(market, 30, np.random.default_rng(1))
    result = log_likelihood(market, recover_observations(market, simulation.bars))
    by_hand = np.log([[density(market, simulation, t, k) for k in range(market.n_states)] for t in range(30)])
    difference = result - by_hand
    np.testing.assert_allclose(difference, np.broadcast_to(difference[:, :1], difference.shape), atol=1e-6)


def test_filter_equals_the_sum_over_all_paths():
    market = build_market(TINY)
    n, size = 3, market.n_states
    simulation = simulate(market, n, np.random.default_rng(2))
    weight = np.array([[density(market, simulation, t, k) for k in range(size)] for t in range(n)])
    posterior = np.zeros(size)
    for path in itertools.product(range(size), repeat=n):
        mass = market.stationary[path[0]] * weight[0, path[0]]
        for t in range(1, n):
            mass *= market.transition[path[t - 1], path[t]] * weight[t, path[t]]
        posterior[path[-1]] += mass
    result = Oracle(market).posterior(simulation.bars, np.array([n - 1]))[0]
    np.testing.assert_allclose(result, posterior / posterior.sum(), rtol=1e-6)


def test_one_bar_ahead_equals_the_closed_form(easy):
    oracle, bars = easy
    market = oracle.market
    ends = np.arange(100, 1000, 9)
    x = np.linspace(-0.01, 0.01, len(ends))
    result = oracle.class_probabilities(bars, ends, x, x + 0.001, horizon_bars=1)
    scale = market.season[(ends + 1) % 288][:, None] * market.sigma
    predicted = oracle.posterior(bars, ends) @ market.transition
    cdf = np.vectorize(NormalDist().cdf)

    def below(threshold):
        z = (threshold[:, None] + market.compensator(scale)) / scale - market.mean
        mixture = sum(w * cdf(z / s) for w, s in zip(market.jump_weights, market.jump_scales, strict=True))
        return (predicted * mixture).sum(axis=1)

    expected = np.stack([below(x), below(x + 0.001) - below(x), 1 - below(x + 0.001)], axis=1)
    np.testing.assert_allclose(result, expected, atol=2e-9)


@pytest.mark.parametrize("horizon", [2, 12])
def test_probabilities_equal_monte_carlo(easy, horizon):
    oracle, bars = easy
    market, rng, paths = oracle.market, np.random.default_rng(horizon), 200_000
    end = 5000
    posterior = oracle.posterior(bars, np.array([end]), history=60)[0]
    states = rng.choice(market.n_states, paths, p=posterior)
    total = np.zeros(paths)
    cumulative = np.cumsum(market.transition, axis=1)
    for ahead in range(1, horizon + 1):
        states = np.minimum(
            (cumulative[states] < rng.random(paths)[:, None]).sum(axis=1), market.n_states - 1
        )
        scale = market.season[(end + ahead) % 288] * market.sigma[states]
        width = market.jump_scales[(rng.random(paths) < market.jump_weights[1]).astype(int)]
        shock = width * rng.standard_normal(paths)
        total += scale * (market.mean[states] + shock) - market.compensator(scale)
    spread = np.std(total)
    for lower, upper in ((-0.5, 0.3), (-2.0, -1.0), (0.0, 3.0)):
        result = oracle.class_probabilities(
            bars, np.array([end]), np.array([lower * spread]), np.array([upper * spread]), horizon, history=60
        )[0]
        sell, buy = np.mean(total <= lower * spread), np.mean(total > upper * spread)
        frequency = np.array([sell, 1 - sell - buy, buy])
        assert (np.abs(result - frequency) <= 4 * np.sqrt(result * (1 - result) / paths)).all()


@pytest.mark.parametrize("horizon", [1, 5, 48])
def test_distribution_function_has_the_moments_of_the_chain(horizon):
    spectrum = return_spectrum(market := build_market(TINY), horizon)
    x = np.linspace(-spectrum.reach, spectrum.reach, 20_001)
    states = np.eye(market.n_states)[[0, 9, 17]]
    cdf = spectrum.cdf(states, np.array([0, 1, 3]), np.broadcast_to(x, (3, len(x))))
    assert (np.diff(cdf, axis=1) > -1e-8).all()
    np.testing.assert_allclose(cdf[:, 0], 0.0, atol=1e-8)
    np.testing.assert_allclose(cdf[:, -1], 1.0, atol=1e-8)
    # E[R] = reach - integral of F, against the sum of the expected means of the coming bars.
    mean = spectrum.reach - np.trapezoid(cdf, x, axis=1)
    expected = np.zeros(3)
    for row, phase in enumerate((0, 1, 3)):
        future = states[row]
        for ahead in range(1, horizon + 1):
            future = future @ market.transition
            scale = market.season[(phase + ahead) % 4] * market.sigma
            expected[row] += future @ (scale * market.mean - market.compensator(scale))
    np.testing.assert_allclose(mean, expected, atol=1e-7)


def test_probabilities_are_calibrated(easy):
    oracle, bars = easy
    horizon = 4
    ends = np.arange(60, len(bars) - horizon, horizon)  # forward returns do not overlap
    forward = np.log(bars.close[ends + horizon] / bars.close[ends])
    lower, upper = np.full(len(ends), -0.001), np.full(len(ends), 0.0012)
    labels = np.where(forward <= lower, 0, np.where(forward > upper, 2, 1))
    for history in (None, 60):
        proba = oracle.class_probabilities(bars, ends, lower, upper, horizon, history)
        for c in range(3):
            for rows in np.array_split(np.argsort(proba[:, c]), 6):
                expected = proba[rows, c]
                error = np.sqrt(np.sum(expected * (1 - expected))) / len(rows)
                assert abs(np.mean(labels[rows] == c) - expected.mean()) <= 4 * error


def test_seeing_more_is_worth_more_and_beats_the_prior(easy):
    oracle, bars = easy
    ends = np.arange(500, len(bars) - 4)
    forward = np.log(bars.close[ends + 4] / bars.close[ends])
    lower, upper = np.full(len(ends), -0.001), np.full(len(ends), 0.0012)
    labels = np.where(forward <= lower, 0, np.where(forward > upper, 2, 1))
    share = np.bincount(labels, minlength=3) / len(labels)
    losses = [
        -np.log(
            oracle.class_probabilities(bars, ends, lower, upper, 4, history)[range(len(ends)), labels]
        ).mean()
        for history in (None, 20, 1)
    ]
    assert losses == sorted(losses)
    assert losses[-1] < -np.sum(share * np.log(share))


def test_probabilities_do_not_know_the_future(easy):
    oracle, bars = easy
    end = np.array([800])
    threshold = np.array([0.001])
    changed = bars.slice(0, 1000)
    for name in ("open", "high", "low", "close", "volume"):
        column = getattr(changed, name).copy()
        column[801:] *= 3.0
        object.__setattr__(changed, name, column)
    for history in (None, 60):
        before = oracle.class_probabilities(bars, end, -threshold, threshold, 4, history)
        after = oracle.class_probabilities(changed, end, -threshold, threshold, 4, history)
        assert before.tobytes() == after.tobytes()


def test_probabilities_know_nothing_before_the_window(easy):
    oracle, bars = easy
    end = np.array([800])
    within = oracle.posterior(bars, end, history=60)
    alone = oracle.posterior(bars.slice(741, 801), np.array([59]))
    np.testing.assert_allclose(within, alone, rtol=1e-13)


def test_a_window_that_holds_all_bars_equals_the_full_history(easy):
    oracle, bars = easy
    ends = np.array([0, 5, 59, 199])
    full = oracle.posterior(bars, ends)
    assert oracle.posterior(bars, ends, history=200).tobytes() == full.tobytes()
    assert oracle.posterior(bars, ends[:3], history=60).tobytes() == full[:3].tobytes()
    assert oracle.posterior(bars, ends[3:], history=60).tobytes() != full[3:].tobytes()


def test_each_end_is_answered_alone_and_in_the_order_given(easy):
    oracle, bars = easy
    ends = np.array([700, 65, 700, 3])
    for history in (None, 60):
        together = oracle.posterior(bars, ends, history)
        alone = np.concatenate([oracle.posterior(bars, ends[i : i + 1], history) for i in range(4)])
        assert together.tobytes() == alone.tobytes()


def test_rows_sum_to_one_and_extreme_thresholds_are_certain(easy):
    oracle, bars = easy
    ends = np.array([100, 200, 300])
    infinite = np.array([-np.inf, np.inf, -5.0])
    result = oracle.class_probabilities(bars, ends, infinite, np.array([np.inf, np.inf, 5.0]), 12)
    assert result.tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]]
    plain = oracle.class_probabilities(bars, ends, np.zeros(3), np.zeros(3), 12)
    np.testing.assert_allclose(plain.sum(axis=1), 1.0, atol=1e-15)
    assert (plain[:, 1] == 0).all()


def test_no_ends_give_no_rows(easy):
    oracle, bars = easy
    empty = np.empty(0)
    assert oracle.class_probabilities(bars, empty.astype(np.int64), empty, empty, 4).shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ends": [5, 12_000]}, r"^ORACLE1: ends must be bar rows 0 to 11999, received 12000$"),
        ({"ends": [5, -1]}, r"^ORACLE1: ends must be bar rows 0 to 11999, received -1$"),
        ({"history": 0}, r"^history must be at least 1 bar or None for all bars, received 0$"),
        ({"horizon_bars": 0}, r"^horizon_bars must be at least 1, received 0$"),
        (
            {"lower": [0.0, np.nan]},
            r"^ORACLE1: thresholds must be numbers with lower <= upper, received nan and 0.01 at bar 6$",
        ),
        (
            {"lower": [0.0, 0.02]},
            r"^ORACLE1: thresholds must be numbers with lower <= upper, received 0.02 and 0.01 at bar 6$",
        ),
        (
            {"lower": [0.0]},
            r"^ORACLE1: one lower and one upper threshold per end, received 1 and 2 for 2 ends$",
        ),
    ],
)
def test_wrong_arguments_are_named(easy, change, message):
    oracle, bars = easy
    arguments = {
        "ends": [5, 6],
        "lower": [-0.01, -0.01],
        "upper": [0.01, 0.01],
        "horizon_bars": 4,
        "history": 60,
    }
    arguments |= change
    for name in ("ends", "lower", "upper"):
        arguments[name] = np.array(arguments[name])
    with pytest.raises(DataError, match=message):
        oracle.class_probabilities(bars, **arguments)


def test_bars_that_the_market_cannot_make_are_refused(easy):
    oracle, bars = easy
    foreign = bars.slice(0, 100)
    object.__setattr__(foreign, "volume", np.where(np.arange(100) == 50, np.inf, foreign.volume))
    message = r"^ORACLE1: the bars are impossible under this market; pass bars that it simulated$"
    with np.errstate(invalid="ignore"), pytest.raises(DataError, match=message):
        oracle.posterior(foreign, np.array([99]))
