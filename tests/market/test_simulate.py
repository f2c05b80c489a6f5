"""Simulated bars: validity, determinism, recovery of the draws, the martingale of the null market."""

import numpy as np
import pytest

from simengine.errors import DataError
from simengine.market import PRESETS, build_market, recover_observations, simulate


def bars_of(name="easy", n=5000, seed=3):
    return simulate(build_market(PRESETS[name]), n, np.random.default_rng(seed)).bars


@pytest.mark.parametrize("name", PRESETS)
def test_bars_are_valid_ohlcv(name):
    bars = bars_of(name)
    assert (bars.low < np.minimum(bars.open, bars.close)).all()
    assert (bars.high > np.maximum(bars.open, bars.close)).all()
    assert (bars.low > 0).all()
    assert (bars.volume > 0).all()
    assert all(column.dtype == np.float64 and np.isfinite(column).all() for _, column in bars.columns())


def test_time_runs_in_five_minute_steps_from_2020_and_opens_join_closes():
    bars = bars_of(n=600)
    frame = bars.to_frame()
    assert str(frame.index[0]) == "2020-01-01 00:00:00+00:00"
    assert str(frame.index[288]) == "2020-01-02 00:00:00+00:00"
    assert set(np.diff(bars.timestamp)) == {300_000_000_000}
    assert bars.open[0] == 100.0
    assert (bars.open[1:] == bars.close[:-1]).all()


def test_same_seed_gives_the_same_bytes_and_another_seed_another_market():
    first, again, other = bars_of(), bars_of(), bars_of(seed=4)
    for (_, a), (_, b), (_, c) in zip(first.columns(), again.columns(), other.columns(), strict=True):
        assert a.tobytes() == b.tobytes()
        assert a.tobytes() != c.tobytes()


def test_more_bars_extend_the_same_market():
    short, long = bars_of(n=777), bars_of(n=2000)
    for (_, a), (_, b) in zip(short.columns(), long.slice(0, 777).columns(), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", ["easy", "null"])
def test_ohlcv_reveals_every_draw(name):
    market = build_market(PRESETS[name])
    simulation = simulate(market, 50_000, np.random.default_rng(1))
    seen = recover_observations(market, simulation.bars)
    np.testing.assert_allclose(seen.log_return, simulation.log_return, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(seen.wick, simulation.wick, rtol=1e-9)
    np.testing.assert_allclose(np.exp(seen.balance), np.exp(simulation.balance), rtol=1e-6)
    np.testing.assert_allclose(seen.log_volume, simulation.log_volume, rtol=1e-13)


def test_recovery_holds_for_the_shortest_wicks():
    market = build_market(PRESETS["easy"])
    simulation = simulate(market, 200_000, np.random.default_rng(2))
    seen = recover_observations(market, simulation.bars)
    shorter = simulation.wick / (1 + np.exp(np.abs(simulation.balance)))
    rows = np.argsort(shorter)[:50]
    assert shorter[rows[0]] < 1e-5
    np.testing.assert_allclose(np.exp(seen.balance[rows]), np.exp(simulation.balance[rows]), rtol=1e-6)


@pytest.mark.parametrize("length", [1e-7, 1e-9])
def test_a_wick_of_almost_nothing_is_still_read_to_a_millionth(length):
    market = build_market(PRESETS["easy"])
    bars = bars_of(n=100)
    bars.high[:] = np.maximum(bars.open, bars.close) * np.exp(length)
    seen = recover_observations(market, bars)
    np.testing.assert_allclose(seen.wick / (1 + np.exp(seen.balance)), length, rtol=1e-6)


def test_the_first_bar_has_its_own_return():
    market = build_market(PRESETS["easy"])
    simulation = simulate(market, 1, np.random.default_rng(5))
    seen = recover_observations(market, simulation.bars)
    assert seen.log_return[0] == pytest.approx(np.log(simulation.bars.close[0] / 100.0), abs=1e-15)
    assert seen.log_return[0] == pytest.approx(simulation.log_return[0], rel=1e-9)


def test_recovery_depends_on_each_bar_alone():
    market = build_market(PRESETS["easy"])
    bars = bars_of(n=500)
    whole, part = recover_observations(market, bars), recover_observations(market, bars.slice(123, 400))
    assert whole.phase[123:400].tobytes() == part.phase.tobytes()
    np.testing.assert_allclose(whole.balance[123:400], part.balance, rtol=1e-14)


def test_foreign_bars_are_refused_by_name_and_row():
    market = build_market(PRESETS["easy"])
    bars = bars_of(n=10)
    bars.high[4] = max(bars.open[4], bars.close[4])
    message = (
        r"^ORACLE1: bar 4 has upper wick 0, lower wick \S+ and volume \S+; the oracle market makes all of "
        r"them positive: pass bars that it simulated$"
    )
    with pytest.raises(DataError, match=message):
        recover_observations(market, bars)


def test_states_are_visited_at_their_stationary_share():
    market = build_market(PRESETS["easy"])
    visits = np.zeros(market.n_states)
    for seed in range(400):  # independent short chains: no regime is long against the sample
        visits[simulate(market, 3, np.random.default_rng(seed)).states[-1]] += 1
    error = np.sqrt(market.stationary * (1 - market.stationary) / 400)
    assert (np.abs(visits / 400 - market.stationary) <= 4.5 * error).all()


def test_price_of_the_null_market_is_a_martingale():
    market = build_market(PRESETS["null"])
    bars = simulate(market, 300_000, np.random.default_rng(6)).bars
    gross = bars.close / bars.open - 1
    assert abs(gross.mean()) <= 4 * gross.std() / np.sqrt(len(gross))
    scale = np.multiply.outer(market.season, market.sigma)
    mixture = sum(
        weight * np.exp(0.5 * (scale * width) ** 2)
        for weight, width in zip(market.jump_weights, market.jump_scales, strict=True)
    )
    np.testing.assert_allclose(mixture * np.exp(-market.compensator(scale)), 1.0, atol=1e-15)


def test_returns_look_like_a_market():
    bars = bars_of("realistic", n=60_000)
    r = np.log(bars.close / bars.open)
    kurtosis = np.mean((r - r.mean()) ** 4) / r.var() ** 2 - 3
    size = np.abs(r)
    assert kurtosis > 2
    assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.15
    assert abs(np.corrcoef(r[1:], r[:-1])[0, 1]) < 0.03
