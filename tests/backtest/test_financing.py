"""Funding falls due at multiples of its interval; bad schedules and arrays are refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine.backtest import backtest
from simengine.backtest.financing import YEAR_NS, Financing, funding_rates
from simengine.errors import ConfigError, DataError

HOUR = 3600 * 10**9


def test_no_funding_is_a_rate_of_nothing():
    assert funding_rates(Financing(), np.arange(3)).tolist() == [0.0, 0.0, 0.0]


def test_a_rate_falls_due_in_the_bar_that_begins_at_or_after_its_time():
    times = np.array([0, 7, 8, 9, 16, 17]) * HOUR  # every 8 h: at 0 (before the first bar), 8 and 16
    rates = funding_rates(Financing({"rate": 0.001, "every": "8h"}), times)
    assert rates.tolist() == [0.0, 0.0, 0.001, 0.0, 0.001, 0.0]
    assert rates.dtype == np.float64


def test_a_hole_pays_every_time_that_lies_in_it():
    times = np.array([1, 25]) * HOUR  # 8, 16 and 24
    assert funding_rates(Financing({"rate": -0.01, "every": "8h"}), times)[1] == pytest.approx(-0.03)


def test_times_before_1970():
    times = np.array([-9, -8, -7, 1]) * HOUR
    assert funding_rates(Financing({"rate": 0.5, "every": "8h"}), times).tolist() == [0, 0.5, 0, 0.5]


@given(
    st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=20, unique=True),
    st.sampled_from(["30s", "30min", "5m", "8h", "1d"]),
)
def test_bars_left_out_change_no_total(times, every):
    times = np.sort(np.array(times, np.int64)) * 1000
    schedule = Financing({"rate": 0.5, "every": every})
    assert funding_rates(schedule, times).sum() == funding_rates(schedule, times[[0, -1]]).sum()


def test_an_array_is_taken_as_it_is():
    given = np.array([0.0, 0.1, -0.1])
    rates = funding_rates(Financing(given), np.arange(3))
    np.testing.assert_array_equal(rates, given)
    assert rates is not given


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"borrow_rate": -0.1},
            "borrow_rate is a fraction a year, 0 or more (0.05 = 5 %), received -0.1",
        ),
        (
            {"funding": {"rate": 0.1}},
            'funding takes a rate and an interval, {"rate": 0.0001, "every": "8h"}, received {\'rate\': 0.1}',
        ),
        (
            {"funding": {"rate": math.nan, "every": "8h"}},
            "the funding rate is a fraction of notional between -1 and 1 (0.0001 = 0.01 %), received nan",
        ),
        (
            {"funding": {"rate": "1", "every": "8h"}},
            "the funding rate is a fraction of notional between -1 and 1 (0.0001 = 0.01 %), received '1'",
        ),
        (
            {"funding": {"rate": 0.1, "every": 8}},
            "the funding interval is a duration like '8h', received 8",
        ),
        (
            {"funding": {"rate": 0.1, "every": "8 hours"}},
            "the funding interval: expected a duration like '3h', '90m', '2d' or '30s', received '8 hours'",
        ),
        (
            {"borrow_rate": 101},
            "borrow_rate is a fraction a year (0.05 = 5 %), at most 100, received 101",
        ),
        (
            {"funding": {"rate": -1, "every": "8h"}},
            "the funding rate is a fraction of notional between -1 and 1 (0.0001 = 0.01 %), received -1",
        ),
        (
            {"funding": {"rate": np.zeros(10_000), "every": "8h"}},
            "the funding rate is a fraction of notional between -1 and 1 (0.0001 = 0.01 %), "
            "received ndarray of 10000",
        ),
        (
            {"funding": {"X": np.zeros(10_000), "Y": 0.1}},
            'funding takes a rate and an interval, {"rate": 0.0001, "every": "8h"}, '
            "received {'X': ndarray of 10000, 'Y': 0.1}",
        ),
        (
            {"funding": {"X": None, "Y": {"rate": 2, "every": "8h"}}},
            "the funding rate is a fraction of notional between -1 and 1 (0.0001 = 0.01 %), received 2",
        ),
    ],
)
def test_financing_that_makes_no_sense(options, message):
    with pytest.raises(ConfigError) as caught:
        Financing(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("funding", "message"),
    [
        ([0.1], "funding needs one rate per bar, shape (3,), received the shape (1,)"),
        (0.1, "funding needs one rate per bar, shape (3,), received the shape ()"),
        ([0.0, 0.1, math.nan], "the funding rate is nan at row 2; use 0 where none falls due"),
        (
            [0.0, -1.0, 0.1],
            "the funding rate is -1.0 at row 1; a rate is a fraction of notional between -1 and 1",
        ),
        ("8h", "funding must be an array of rates or a mapping of rate and interval"),
    ],
)
def test_arrays_that_do_not_fit_the_bars(funding, message):
    with pytest.raises(DataError) as caught:
        funding_rates(Financing(funding), np.arange(3))
    assert str(caught.value) == message


def test_a_year_has_365_and_a_quarter_days():
    assert YEAR_NS == 365.25 * 24 * HOUR


def test_each_symbol_can_have_funding_of_its_own(random_bars):
    bars = {name: random_bars(k, 20, symbol=name) for k, name in enumerate("ABC")}
    targets = {name: np.ones(20) for name in bars}
    own = {"A": np.full(20, 0.001), "B": {"rate": 0.002, "every": "8h"}, "C": None}
    together = backtest(bars, targets=targets, funding=own)
    for name, sleeve in together.by_symbol.items():
        alone = backtest(bars[name], targets=targets[name], funding=own[name], cash=100_000 / 3)
        assert sleeve.equity.tobytes() == alone.equity.tobytes()
    assert together.by_symbol["A"].costs["funding"] > 0
    assert together.by_symbol["C"].costs["funding"] == 0


@pytest.mark.parametrize(
    ("funding", "message"),
    [
        ({"A": [0.0] * 20}, "funding is missing for B; None is none"),
        (
            {"A": None, "B": None, "AA": None},
            "funding given for an unknown symbol 'AA' (did you mean 'A'?); known: A, B",
        ),
    ],
)
def test_funding_by_symbol_fits_the_symbols(random_bars, funding, message):
    bars = {name: random_bars(1, 20, symbol=name) for name in "AB"}
    with pytest.raises(ConfigError) as caught:
        backtest(bars, targets={name: np.ones(20) for name in bars}, funding=funding)
    assert str(caught.value) == message
