"""The table of drawdowns."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.backtest.drawdowns import DRAWDOWN_DTYPE, drawdown_periods
from simengine.backtest.stats import return_statistics
from simengine.errors import ConfigError

DAY = 86_400 * 10**9


def days(n):
    return 18_262 * DAY + np.arange(n) * DAY  # from 2020-01-01


def test_a_hand_computed_table():
    equity = [100.0, 110, 99, 104.5, 110, 110, 55, 55, 121, 120, 60.5, 100]
    got = drawdown_periods(days(12), equity)
    assert got.dtype == DRAWDOWN_DTYPE
    first = np.datetime64("2020-01-01", "ns")
    rows = [tuple((row[k] - first) / np.timedelta64(1, "D") for k in DRAWDOWN_DTYPE.names[:3]) for row in got]
    np.testing.assert_array_equal(rows, [(5, 6, 8), (8, 10, np.nan), (1, 2, 4)])
    np.testing.assert_allclose(got["depth"], [0.5, 0.5, 0.1])
    assert got["bars"].tolist() == [3, 3, 3]
    assert got["bars_to_trough"].tolist() == [1, 2, 1]
    assert np.isnat(got["recovery_time"]).tolist() == [False, True, False]


def test_only_the_deepest_are_kept():
    equity = [10.0, 9, 11, 7, 12, 11.5, 13]
    every = drawdown_periods(days(7), equity, None)
    np.testing.assert_allclose(every["depth"], [4 / 11, 0.1, 0.5 / 12])
    np.testing.assert_array_equal(drawdown_periods(days(7), equity, top=2), every[:2])
    np.testing.assert_array_equal(drawdown_periods(days(7), equity, top=9), every)


def test_a_curve_that_never_falls_has_none():
    assert len(drawdown_periods(days(4), [1.0, 1.0, 2.0, 3.0])) == 0
    assert len(drawdown_periods(days(1), [1.0])) == 0


def test_bankruptcy_is_deeper_than_everything():
    got = drawdown_periods(days(4), [100.0, 200.0, -20.0, -20.0])
    np.testing.assert_allclose(got["depth"], [1.1])
    assert got["bars"].tolist() == [2]
    assert np.isnat(got["recovery_time"]).all()


@given(
    # Few levels, so that peaks are reached again exactly.
    levels=st.lists(st.integers(1, 6), min_size=1, max_size=80),
    power=st.integers(-20, 20),
)
@settings(max_examples=150, deadline=None)
def test_against_a_walk_over_the_bars(levels, power):
    equity = np.array(levels, float)
    times = days(len(equity))
    got = drawdown_periods(times, equity, None)
    wanted = []
    peak, trough = 0, None
    for i in range(1, len(equity)):
        if equity[i] >= equity[peak]:
            if trough is not None:
                wanted.append((1 - equity[trough] / equity[peak], peak, trough, i, i - peak))
            peak, trough = i, None
        elif trough is None or equity[i] < equity[trough]:
            trough = i
    if trough is not None:
        wanted.append((1 - equity[trough] / equity[peak], peak, trough, None, len(equity) - 1 - peak))
    wanted.sort(key=lambda row: -row[0])
    stamps = times.view("M8[ns]")
    recovered = [np.datetime64("NaT") if row[3] is None else stamps[row[3]] for row in wanted]
    np.testing.assert_array_equal(got["depth"], [row[0] for row in wanted])
    np.testing.assert_array_equal(got["peak_time"], stamps[[row[1] for row in wanted]])
    np.testing.assert_array_equal(got["trough_time"], stamps[[row[2] for row in wanted]])
    np.testing.assert_array_equal(got["recovery_time"], np.array(recovered, "M8[ns]"))
    assert got["bars"].tolist() == [row[4] for row in wanted]
    assert got["bars_to_trough"].tolist() == [row[2] - row[1] for row in wanted]
    assert drawdown_periods(times, equity * 2.0**power, None).tobytes() == got.tobytes()


def test_the_extremes_are_the_statistics_of_the_curve():
    equity = 100 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.01, 500)))
    got = drawdown_periods(days(500), equity, None)
    stats = return_statistics(equity, 252.0)
    assert got["depth"][0] == stats["max_drawdown"]
    assert got["bars"].max() == stats["max_drawdown_bars"]


@pytest.mark.parametrize("top", [0, -1, 2.5, True, "5"])
def test_a_senseless_number_of_drawdowns_is_refused(top):
    message = f"top must be a whole number of drawdowns from 1 on, or None, received {top!r}"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        drawdown_periods(days(2), [1.0, 2.0], top)
