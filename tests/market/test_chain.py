"""The hidden chain: transitions, stationary distribution, presets."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine.market import (
    PRESETS,
    MarketSpec,
    build_market,
    rouwenhorst,
    stationary_distribution,
)


@given(levels=st.integers(2, 9), persistence=st.floats(-0.95, 0.99))
def test_rouwenhorst_has_unit_variance_and_the_stated_autocorrelation(levels, persistence):
    points, transition = rouwenhorst(levels, persistence)
    share = stationary_distribution(transition)
    np.testing.assert_allclose(transition.sum(axis=1), 1.0, atol=1e-12)
    assert (transition >= 0).all()
    assert share @ points == pytest.approx(0.0, abs=1e-8)
    assert share @ points**2 == pytest.approx(1.0, abs=1e-8)
    np.testing.assert_allclose(transition @ points, persistence * points, atol=1e-10)


def test_rouwenhorst_of_three_levels_by_hand():
    points, transition = rouwenhorst(3, 0.5)
    np.testing.assert_allclose(points, [-np.sqrt(2), 0, np.sqrt(2)])
    np.testing.assert_allclose(transition, np.array([[9, 6, 1], [3, 10, 3], [1, 6, 9]]) / 16)


@pytest.mark.parametrize(("levels", "persistence"), [(1, 0.5), (3, 1.0), (3, -1.0)])
def test_rouwenhorst_refuses_arguments_out_of_range(levels, persistence):
    with pytest.raises(ValueError, match="needs levels >= 2 and -1 < persistence < 1, received"):
        rouwenhorst(levels, persistence)


@pytest.mark.parametrize("name", PRESETS)
def test_rows_sum_to_one_and_the_stationary_distribution_stays(name):
    market = build_market(PRESETS[name])
    assert market.n_states == 45
    np.testing.assert_allclose(market.transition.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(market.stationary @ market.transition, market.stationary, atol=1e-13)
    assert market.stationary.sum() == pytest.approx(1.0, abs=1e-13)


def test_stationary_distribution_of_the_parts_by_hand():
    market = build_market(PRESETS["easy"])
    drift, volatility, flow = np.full(3, 1 / 3), np.array([1, 2, 1]) / 4, np.array([1, 4, 6, 4, 1]) / 16
    np.testing.assert_allclose(market.stationary, np.kron(np.kron(drift, volatility), flow), atol=1e-12)


def test_regimes_last_as_long_as_stated():
    market = build_market(MarketSpec(drift_stay_bars=300, volatility_stay_bars=400, flow_levels=2))
    drift, volatility = (np.indices((3, 3, 2)).reshape(3, -1))[:2]
    stays = (market.transition * (drift[:, None] == drift)).sum(axis=1)
    np.testing.assert_allclose(stays, 1 - 1 / 300)
    stays = (market.transition * (volatility[:, None] == volatility)).sum(axis=1)
    np.testing.assert_allclose(stays, 1 - 1 / 400)


def test_presets_differ_in_the_strength_of_the_signal_only():
    strengths = {name: (spec.drift_strength, spec.flow_strength) for name, spec in PRESETS.items()}
    assert strengths == {
        "easy": (0.15, 0.20),
        "medium": (0.08, 0.09),
        "realistic": (0.04, 0.035),
        "null": (0.0, 0.0),
    }
    rest = {dataclasses.replace(spec, drift_strength=0.0, flow_strength=0.0) for spec in PRESETS.values()}
    assert len(rest) == 1
    assert not build_market(PRESETS["null"]).mean.any()


def test_the_noise_has_unit_variance_and_the_compensator_is_its_cumulant():
    market = build_market(PRESETS["easy"])
    assert market.jump_weights @ market.jump_scales**2 == pytest.approx(1.0, abs=1e-15)
    scale = np.array([0.001, 0.3])
    by_hand = np.log(
        sum(
            weight * np.exp(0.5 * (scale * width) ** 2)
            for weight, width in zip(market.jump_weights, market.jump_scales, strict=True)
        )
    )
    np.testing.assert_allclose(market.compensator(scale), by_hand, atol=1e-15)


def test_phase_counts_bars_from_midnight_utc():
    market = build_market(PRESETS["easy"])
    midnight = np.datetime64("2024-02-29T00:00", "ns").astype(np.int64)
    minutes = np.array([0, 5, 1435, 1440])
    assert market.phase(midnight + minutes * 60_000_000_000).tolist() == [0, 1, 287, 0]


def test_jump_mixture_must_be_a_distribution():
    with pytest.raises(
        ValueError, match=r"^jump_weights must sum to 1 and be as many as jump_scales, received "
    ):
        MarketSpec(jump_weights=(0.5, 0.4))
