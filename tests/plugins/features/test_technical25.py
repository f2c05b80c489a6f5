"""Causality, invariance and finiteness of the 25 features, and some of them by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simengine.types import Bars
from simengine_plugins.features.technical25 import Technical25

HOUR = 3_600_000_000_000
FEATURES = Technical25()


def market(n=600, seed=0, turnover=False):
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    open_ = np.concatenate([[50.0], close[:-1]]) * np.exp(rng.normal(0, 0.002, n))
    high = np.maximum(open_, close) * np.exp(rng.exponential(0.003, n))
    low = np.minimum(open_, close) * np.exp(-rng.exponential(0.003, n))
    volume = rng.lognormal(3, 1, n)
    traded = volume * (high + low) / 2 if turnover else None
    return Bars("X", np.arange(n, dtype=np.int64) * HOUR, open_, high, low, close, volume, traded)


def change(bars, **factors):
    columns = {name: values * factors.get(name, 1.0) for name, values in bars.columns()}
    return Bars(bars.symbol, bars.timestamp, **columns)


def prices(factor):
    return dict.fromkeys(["open", "high", "low", "close", "turnover"], factor)


def column(matrix, name):
    return matrix[:, FEATURES.names.index(name)]


def test_twenty_five_named_float32_columns_finite_after_the_declared_warmup():
    matrix = FEATURES.compute(market())
    assert matrix.shape == (600, 25)
    assert matrix.dtype == np.float32
    assert len(set(FEATURES.names)) == 25
    assert np.isnan(matrix[:192]).all()
    assert np.isfinite(matrix[192:]).all()


@pytest.mark.parametrize("cut", [193, 250, 400])
@pytest.mark.parametrize("kind", ["scale", "spike and flat"])
@pytest.mark.parametrize("turnover", [False, True])
def test_bars_after_t_change_nothing_up_to_t(cut, kind, turnover):
    bars = market(turnover=turnover)
    future = np.arange(600) >= cut
    if kind == "scale":
        factor = np.where(future, 3.0, 1.0)
        changed = change(bars, **prices(factor), volume=factor)
    else:
        level = np.where(np.arange(600) == cut, 1e4, 7.0)
        columns = {name: np.where(future, level, values) for name, values in bars.columns()}
        changed = Bars("X", bars.timestamp, **columns)
    before, after = FEATURES.compute(bars), FEATURES.compute(changed)
    assert before[:cut].tobytes() == after[:cut].tobytes()
    assert before[cut:].tobytes() != after[cut:].tobytes()


def test_rows_depend_on_nothing_before_their_warmup():
    bars = market()
    whole = FEATURES.compute(bars)
    for start in (1, 77, 300):
        part = FEATURES.compute(bars.slice(start, 600))
        assert part[192:].tobytes() == whole[start + 192 :].tobytes()


def test_price_and_turnover_in_another_unit_give_the_same_features():
    bars = market(turnover=True)
    scaled = FEATURES.compute(change(bars, **prices(100.0)))
    np.testing.assert_allclose(scaled, FEATURES.compute(bars), rtol=0, atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-4, 1e6), st.floats(1e-3, 1e6))
def test_units_of_price_and_volume_do_not_matter(price, volume):
    bars = market(260)
    scaled = FEATURES.compute(change(bars, **prices(price), volume=volume))
    np.testing.assert_allclose(scaled[192:], FEATURES.compute(bars)[192:], rtol=0, atol=1e-5)


def test_flat_bars_without_volume_are_neutral():
    ones = np.full(300, 5.0)
    bars = Bars("X", np.arange(300, dtype=np.int64) * HOUR, ones, ones, ones, ones, np.zeros(300))
    matrix = FEATURES.compute(bars)
    assert (matrix[192:, :-2] == 0).all()
    assert np.isfinite(matrix[192:]).all()


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float64, (4, 230), elements=st.sampled_from([1.0, 1.0, 1.0, 1.5, 100.0, 1e-3])),
    arrays(np.float64, 230, elements=st.sampled_from([0.0, 0.0, 1.0, 1e9])),
)
def test_finite_and_bounded_on_any_valid_bars(values, volume):
    open_, close, a, b = values
    high, low = np.maximum.reduce([open_, close, a]), np.minimum.reduce([open_, close, b])
    matrix = FEATURES.compute(Bars("X", np.arange(230, dtype=np.int64), open_, high, low, close, volume))[
        192:
    ]
    assert np.isfinite(matrix).all()
    assert np.abs(matrix).max() <= np.sqrt(96) + 1e-4


def test_candle_by_hand():
    bars = market()
    e = np.exp
    for name, value in {"open": e(1), "high": e(5), "low": e(0), "close": e(3)}.items():
        getattr(bars, name)[500] = value
    matrix = FEATURES.compute(bars)
    np.testing.assert_allclose(column(matrix, "body")[500], 2 / 5, rtol=1e-6)
    np.testing.assert_allclose(column(matrix, "close_location")[500], 1 / 5, rtol=1e-6)
    np.testing.assert_allclose(column(matrix, "lower_wick")[500], 1 / 3 - 1 / 2, rtol=1e-6)
    mean = column(matrix, "lower_wick")[493:501].astype(np.float64).mean()
    np.testing.assert_allclose(column(matrix, "lower_wick_8")[500], mean, rtol=1e-5)


def test_returns_and_volume_by_hand():
    bars = market()
    matrix = FEATURES.compute(bars)
    r = np.diff(np.log(bars.close), prepend=np.nan)
    rms = np.sqrt((r[453:501] ** 2).mean())
    np.testing.assert_allclose(column(matrix, "return_1")[500], r[500] / rms, rtol=1e-6)
    np.testing.assert_allclose(column(matrix, "return_4")[500], r[497:501].sum() / (2 * rms), rtol=1e-5)
    ratio = bars.volume[500] / bars.volume[453:501].mean()
    np.testing.assert_allclose(column(matrix, "volume_ratio")[500], np.log1p(ratio) - np.log(2), rtol=1e-5)
    low, high = bars.low[453:501].min(), bars.high[453:501].max()
    position = 2 * np.log(bars.close[500] / low) / np.log(high / low) - 1
    np.testing.assert_allclose(column(matrix, "range_position")[500], position, rtol=1e-5)


def test_vwap_uses_turnover_when_there():
    bars = market(turnover=True)
    part = slice(453, 501)
    vwap = bars.turnover[part].sum() / bars.volume[part].sum()
    span = np.log(bars.high[part].max() / bars.low[part].min())
    expected = np.log(bars.close[500] / vwap) / span
    np.testing.assert_allclose(column(FEATURES.compute(bars), "vwap_distance")[500], expected, rtol=1e-5)
    without = Bars("X", bars.timestamp, bars.open, bars.high, bars.low, bars.close, bars.volume)
    assert column(FEATURES.compute(without), "vwap_distance")[500] != np.float32(expected)


def test_time_of_day_is_the_open_time():
    matrix = FEATURES.compute(market())
    assert column(matrix, "time_of_day_sin")[24 * 10 + 6] == 1.0  # 06:00 UTC
    assert column(matrix, "time_of_day_cos")[24 * 10] == 1.0


def test_fewer_bars_than_the_warmup_are_all_missing():
    assert np.isnan(FEATURES.compute(market(100))).all()
    assert FEATURES.compute(market(100).slice(0, 0)).shape == (0, 25)
