"""Comparison with a benchmark, and its alignment."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.backtest.benchmark import align_benchmark, compare_to_benchmark
from simengine.errors import ConfigError, DataError

HOUR = 3_600 * 10**9
NAMES = [
    *("alpha", "beta", "correlation", "r_squared", "active_return"),
    *("tracking_error", "information_ratio", "up_capture", "down_capture"),
]

# Multiples of 2^-20 add and subtract without rounding, as real returns of either sign.
exact_returns = st.lists(
    st.integers(-(2**18), 2**18).map(lambda k: k * 2.0**-20), min_size=2, max_size=60
).map(np.array)


def hours(*numbers):
    return 1_577_836_800 * 10**9 + np.array(numbers, np.int64) * HOUR


@pytest.fixture
def pair():
    rng = np.random.default_rng(3)
    b = rng.normal(2e-4, 0.01, 5_000)
    return 0.7 * b + rng.normal(1e-4, 0.005, 5_000), b


def test_every_number_follows_its_definition(pair):
    r, b = pair
    got = compare_to_benchmark(r, b, 252.0)
    assert list(got) == NAMES
    assert all(type(value) is float for value in got.values())
    covariance = np.cov(r, b)
    beta = covariance[0, 1] / covariance[1, 1]
    active = r - b
    wanted = {
        "alpha": 252 * (r.mean() - beta * b.mean()),
        "beta": beta,
        "correlation": np.corrcoef(r, b)[0, 1],
        "r_squared": np.corrcoef(r, b)[0, 1] ** 2,
        "active_return": 252 * active.mean(),
        "tracking_error": active.std(ddof=1) * math.sqrt(252),
        "information_ratio": active.mean() / active.std(ddof=1) * math.sqrt(252),
        "up_capture": r[b > 0].mean() / b[b > 0].mean(),
        "down_capture": r[b < 0].mean() / b[b < 0].mean(),
    }
    assert got == pytest.approx(wanted, rel=1e-11)
    slope, intercept = np.polyfit(b, r, 1)
    assert (got["beta"], got["alpha"]) == pytest.approx((slope, 252 * intercept), rel=1e-9)


def test_a_hand_computed_comparison():
    got = compare_to_benchmark([0.02, -0.01, 0.03, 0.0], [0.01, -0.01, 0.01, -0.01], 4.0)
    # Deviations of b: +-1 %; cov = (2 + 1 + 3 - 0) / 3 * 1e-4, var = 4 / 3 * 1e-4.
    assert got == pytest.approx(
        {
            "alpha": 0.04,
            "beta": 1.5,
            "correlation": 1.5 * 0.01 / math.sqrt(10e-4 / 4),
            "r_squared": 0.9,
            "active_return": 0.04,
            "tracking_error": 2 * math.sqrt(2e-4 / 3),
            "information_ratio": 0.01 / math.sqrt(2e-4 / 3) * 2,
            "up_capture": 2.5,
            "down_capture": 0.5,
        }
    )


@given(b=exact_returns)
@settings(max_examples=100, deadline=None)
def test_a_benchmark_compared_with_itself(b):
    got = compare_to_benchmark(b, b, 252.0)
    assert (got["active_return"], got["tracking_error"]) == (0, 0)
    assert math.isnan(got["information_ratio"])
    if len(set(b)) > 1:
        assert (got["beta"], got["alpha"]) == (1, 0)
        assert got["correlation"] == pytest.approx(1, abs=1e-15)
    else:
        assert all(math.isnan(got[name]) for name in ("beta", "alpha", "correlation", "r_squared"))
    assert got["up_capture"] == 1 or not (b > 0).any()
    assert got["down_capture"] == 1 or not (b < 0).any()


@given(b=exact_returns, factor=st.sampled_from([-2.0, -0.5, 0.5, 4.0]))
@settings(max_examples=100, deadline=None)
def test_a_leveraged_benchmark_has_its_leverage_as_beta(b, factor):
    got = compare_to_benchmark(factor * b, b, 252.0)
    if len(set(b)) > 1:
        assert got["beta"] == pytest.approx(factor, rel=1e-9)
        assert got["alpha"] == pytest.approx(0, abs=1e-9)
        assert got["correlation"] == pytest.approx(math.copysign(1, factor), abs=1e-9)
    for name, part in (("up_capture", b > 0), ("down_capture", b < 0)):
        assert got[name] == factor if part.any() else math.isnan(got[name])


def test_flat_returns_and_a_flat_benchmark():
    moving, flat = np.array([0.01, -0.02, 0.03]), np.zeros(3)
    idle = compare_to_benchmark(flat, moving, 252.0)
    assert (idle["beta"], idle["alpha"], idle["up_capture"], idle["down_capture"]) == (0, 0, 0, 0)
    assert math.isnan(idle["correlation"])
    against_cash = compare_to_benchmark(moving, flat, 252.0)
    for name in ("alpha", "beta", "correlation", "r_squared", "up_capture", "down_capture"):
        assert math.isnan(against_cash[name])
    assert against_cash["active_return"] == pytest.approx(252 * 0.02 / 3)
    assert all(math.isnan(compare_to_benchmark([0.01], [0.01], 252.0)[name]) for name in NAMES[:4])


def test_a_benchmark_of_constant_growth_has_no_beta_made_of_rounding():
    prices = 100 * 1.0001 ** np.arange(1_000)
    rng = np.random.default_rng(1)
    b = np.diff(prices) / prices[:-1]
    got = compare_to_benchmark(rng.normal(0, 0.01, 999), b, 252.0)
    assert b.std() > 0
    assert math.isnan(got["beta"])
    assert math.isnan(got["correlation"])


def test_the_same_account_at_another_price_level_is_not_told_apart_by_rounding():
    rng = np.random.default_rng(2)
    prices = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 1_000)))
    equity = prices * (1e5 / prices[0])
    r, b = (np.diff(x) / x[:-1] for x in (equity, prices))
    got = compare_to_benchmark(r, b, 252.0)
    assert (got["tracking_error"], got["active_return"]) == (0, 0)
    assert math.isnan(got["information_ratio"])
    assert got["beta"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("r", "b", "message"),
    [
        (
            [0.1, 0.2],
            [0.1],
            "returns and benchmark_returns must cover the same bars, received 2 and 1 rows",
        ),
        ([0.1, math.nan], [0.1, 0.2], "returns must be finite, received nan in row 1"),
        ([0.1, 0.2], [-math.inf, 0.2], "benchmark_returns must be finite, received -inf in row 0"),
        ([], [], "returns must be a one-dimensional array with rows, received shape (0,)"),
    ],
)
def test_faulty_returns_are_refused(r, b, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        compare_to_benchmark(r, b, 252.0)


def test_impossible_annualisation_is_refused():
    with pytest.raises(ConfigError, match=r"^bars_per_year must be a finite number above 0, received 0\.0$"):
        compare_to_benchmark([0.1], [0.1], 0.0)


def test_each_bar_takes_the_last_price_at_or_before_it():
    got = align_benchmark(hours(1, 2, 3, 4, 6), hours(0, 1, 3, 5, 9), [90.0, 100.0, 110.0, 121.0, 999.0])
    # Known at 1, 2, 3, 4, 6 o'clock: 100, 100, 110, 110, 121.
    np.testing.assert_allclose(got, [0, 0, 0.1, 0, 0.1])


def test_prices_on_the_bars_themselves_give_their_own_returns():
    prices = np.array([100.0, 120.0, 90.0])
    np.testing.assert_allclose(align_benchmark(hours(0, 1, 2), hours(0, 1, 2), prices), [0, 0.2, -0.25])


@given(
    times=st.lists(st.integers(0, 200), min_size=1, max_size=40, unique=True).map(sorted),
    known=st.lists(st.integers(-50, 250), min_size=1, max_size=40, unique=True).map(sorted),
    change=st.integers(0, 40),
)
@settings(max_examples=100, deadline=None)
def test_later_prices_are_never_looked_at(times, known, change):
    known = sorted({-60, *known, 260})
    prices = np.linspace(50, 90, len(known)) * np.where(np.arange(len(known)) % 2, 1.1, 0.9)
    got = align_benchmark(hours(*times), hours(*known), prices)
    rows = [max(k for k, at in enumerate(known) if at <= t) for t in times]
    np.testing.assert_allclose(got[1:], prices[rows][1:] / prices[rows][:-1] - 1, atol=1e-12)
    cut = change % len(times)
    altered = np.where(np.array(known) > times[cut], prices * 7, prices)
    np.testing.assert_array_equal(
        align_benchmark(hours(*times), hours(*known), altered)[: cut + 1], got[: cut + 1]
    )


@pytest.mark.parametrize(
    ("known", "prices", "message"),
    [
        (
            hours(1, 2, 3),
            [1.0, 2.0, 3.0],
            "the benchmark starts at 2020-01-01 01:00:00 UTC, after the first bar at "
            "2020-01-01 00:00:00 UTC: give its prices from there on",
        ),
        (
            hours(0, 1, 2),
            [1.0, 2.0, 3.0],
            "the benchmark ends at 2020-01-01 02:00:00 UTC, before the last bar at "
            "2020-01-01 04:00:00 UTC by more than the longest gap between its prices: "
            "give its prices up to there",
        ),
        (hours(0, 3), [1.0, 0.0], "benchmark prices must be above 0, received 0.0 in row 1"),
        (hours(0, 3), [1.0, math.nan], "benchmark prices must be finite, received nan in row 1"),
        (
            hours(0, 3),
            [1.0],
            "benchmark_timestamp must have one row per row of prices (1), received shape (2,)",
        ),
        (
            hours(3, 0),
            [1.0, 2.0],
            "benchmark_timestamp must increase strictly: row 1 (2020-01-01 00:00:00 UTC) is not after "
            "row 0 (2020-01-01 03:00:00 UTC)",
        ),
    ],
)
def test_a_benchmark_that_does_not_cover_the_bars_or_is_faulty_is_refused(known, prices, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        align_benchmark(hours(0, 2, 4), known, prices)


def test_no_bars_to_align_with_is_refused():
    with pytest.raises(
        DataError, match=r"^there are no bars to align the benchmark with: timestamp is empty$"
    ):
        align_benchmark(hours(), hours(0), [1.0])
