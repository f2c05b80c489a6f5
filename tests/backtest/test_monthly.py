"""The monthly table against hand-computed months and pandas."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.backtest.monthly import MONTHS, monthly_frame, monthly_returns
from simengine.errors import DataError

HOUR = 3_600 * 10**9


def ns(*times):
    return np.array(times, "M8[ns]").astype(np.int64)


def test_a_hand_computed_table():
    times = ns(
        "2019-11-30T23:00", "2019-12-01T00:00", "2019-12-31T23:59:59.999999999", "2020-01-01", "2020-03-15"
    )
    years, table, year_returns = monthly_returns(times, [100.0, 110.0, 99.0, 99.0, 198.0])
    assert years.tolist() == [2019, 2020]
    wanted = np.full((2, 12), np.nan)
    wanted[0, 10] = 0.0  # one bar: the starting cash
    wanted[0, 11] = -0.01
    wanted[1, 0] = 0.0
    wanted[1, 2] = 1.0  # measured from the last close of January: February has no bar
    np.testing.assert_allclose(table, wanted, atol=1e-15)
    np.testing.assert_allclose(year_returns, [-0.01, 1.0])


def test_a_bar_belongs_to_the_month_in_which_it_opens():
    times = ns("2020-01-31T22:00", "2020-01-31T23:00", "2020-02-01T00:00")
    _, table, _ = monthly_returns(times, [100.0, 150.0, 150.0])
    assert table[0, :2].tolist() == [0.5, 0.0]


def test_years_without_bars_are_rows_of_nan():
    years, table, year_returns = monthly_returns(ns("1968-12-31", "1971-01-01"), [1.0, 3.0])
    assert years.tolist() == [1968, 1969, 1970, 1971]
    assert np.isnan(table[1:3]).all()
    assert np.isnan(year_returns[1:3]).all()
    assert year_returns[[0, 3]].tolist() == [0.0, 2.0]
    assert table[3, 0] == 2.0


def test_a_single_bar():
    years, table, year_returns = monthly_returns(ns("2020-07-05"), [5.0])
    assert years.tolist() == [2020]
    assert table[0, 6] == 0.0
    assert np.isnan(np.delete(table[0], 6)).all()
    assert year_returns.tolist() == [0.0]


@given(seed=st.integers(0, 2**32), n=st.integers(2, 300), spacing=st.integers(1, 40 * 24))
@settings(max_examples=60, deadline=None)
def test_months_and_years_chain_to_the_growth_of_the_run(seed, n, spacing):
    rng = np.random.default_rng(seed)
    times = ns("2015-05-17")[0] + np.cumsum(rng.integers(1, spacing + 1, n)) * HOUR
    equity = 1e5 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    _, table, year_returns = monthly_returns(times, equity)
    growth = equity[-1] / equity[0]
    assert np.nanprod(1 + table) == pytest.approx(growth, rel=1e-12)
    assert np.nanprod(1 + year_returns) == pytest.approx(growth, rel=1e-12)
    with_bars = np.isfinite(table).any(axis=1)
    np.testing.assert_allclose(
        np.nanprod(1 + table[with_bars], axis=1) - 1, year_returns[with_bars], atol=1e-12
    )
    np.testing.assert_array_equal(monthly_returns(times, equity * 8)[1], table)
    frame = pd.Series(equity, pd.DatetimeIndex(times.view("M8[ns]")))
    last = frame.groupby([frame.index.year, frame.index.month]).last()
    wanted = last / last.shift(fill_value=equity[0]) - 1
    np.testing.assert_allclose(table[np.isfinite(table)], wanted, atol=1e-12)


def test_after_bankruptcy_months_return_nothing():
    times = ns("2020-01-01", "2020-01-02", "2020-02-01", "2020-03-01")
    _, table, year_returns = monthly_returns(times, [100.0, -5.0, -5.0, -5.0])
    np.testing.assert_allclose(table[0, :3], [-1.05, 0.0, 0.0])
    np.testing.assert_allclose(year_returns, [-1.05])


def test_the_frame_shows_the_same_numbers():
    times = ns("2019-11-30", "2019-12-01", "2020-01-01")
    equity = [100.0, 110.0, 121.0]
    years, table, year_returns = monthly_returns(times, equity)
    frame = monthly_frame(times, equity)
    assert list(frame.columns) == [*MONTHS, "Year"]
    assert frame.index.name == "year"
    assert frame.index.tolist() == years.tolist()
    np.testing.assert_array_equal(frame[list(MONTHS)], table)
    np.testing.assert_array_equal(frame["Year"], year_returns)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (
            ns("2020-01-02", "2020-01-02"),
            "timestamp must increase strictly: row 1 (2020-01-02 00:00:00 UTC) is not after "
            "row 0 (2020-01-02 00:00:00 UTC)",
        ),
        (ns("2020-01-02"), "timestamp must have one row per row of equity (2), received shape (1,)"),
        (np.array([1.0, 2.0]), "timestamp must be int64 nanoseconds UTC, received float64"),
    ],
)
def test_faulty_times_are_refused(times, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        monthly_returns(times, [1.0, 2.0])
