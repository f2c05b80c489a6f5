"""Rolling statistics against pandas, against whole-curve statistics, and at the edges."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.backtest.rolling import rolling_statistics
from simengine.errors import ConfigError, DataError

NAMES = ["return", "volatility", "sharpe", "sortino", "drawdown", "max_drawdown"]


def curve(n, seed=5, scale=0.01):
    rng = np.random.default_rng(seed)
    return 1_000 * np.exp(np.cumsum(np.concatenate([[0], rng.standard_t(4, n - 1) * scale])))


def by_definition(equity, window, bars_per_year, row):
    """The statistics of one row, from the slice that the window covers."""
    part = equity[row - window : row + 1]
    r = np.diff(part) / part[:-1]
    annual = math.sqrt(bars_per_year)
    downside = math.sqrt((np.minimum(r, 0) ** 2).mean())
    return {
        "return": part[-1] / part[0] - 1,
        "volatility": r.std(ddof=1) * annual,
        "sharpe": r.mean() / r.std(ddof=1) * annual,
        "sortino": r.mean() / downside * annual if downside else math.inf,
        "drawdown": 1 - part[-1] / equity[: row + 1].max(),
        "max_drawdown": (1 - part / np.maximum.accumulate(part)).max(),
    }


def test_a_hand_computed_window():
    got = rolling_statistics([100.0, 110.0, 99.0, 99.0, 108.9], 2, 4.0)
    # Returns: +10 %, -10 %, 0, +10 %.
    assert list(got) == NAMES
    np.testing.assert_allclose(got["return"], [np.nan, np.nan, -0.01, -0.1, 0.1], atol=1e-15)
    np.testing.assert_allclose(
        got["volatility"], [np.nan, np.nan, 0.2 * math.sqrt(2), 0.1 * math.sqrt(2), 0.1 * math.sqrt(2)]
    )
    np.testing.assert_allclose(got["sharpe"][3:], [-math.sqrt(2), math.sqrt(2)])
    np.testing.assert_allclose(got["sortino"][3], -0.05 / (0.1 / math.sqrt(2)) * 2)
    assert got["sortino"][4] == math.inf  # no loss in the window
    np.testing.assert_allclose(got["drawdown"][2:], [0.1, 0.1, 0.01])
    np.testing.assert_allclose(got["max_drawdown"], [np.nan, np.nan, 0.1, 0.1, 0.0], atol=1e-15)


@pytest.mark.parametrize("window", [2, 3, 7, 50, 149, 299])
def test_every_row_follows_the_definitions(window):
    equity = curve(300)
    got = rolling_statistics(equity, window, 252.0)
    wanted = [by_definition(equity, window, 252.0, row) for row in range(window, 300)]
    for name in NAMES:
        assert got[name].shape == equity.shape
        assert np.isnan(got[name][:window]).all()
        of_rows = [row[name] for row in wanted]
        np.testing.assert_allclose(got[name][window:], of_rows, rtol=1e-10, atol=1e-14)


def test_a_million_bars_do_not_drift():
    equity = curve(1_000_000, scale=1e-3)
    window = 1_000
    got = rolling_statistics(equity, window, 365.25 * 1_440)
    r = pd.Series(equity).pct_change()
    annual = math.sqrt(365.25 * 1_440)
    mean, deviation = r.rolling(window).mean(), r.rolling(window).std()
    np.testing.assert_allclose(got["volatility"], deviation * annual, rtol=1e-9)
    np.testing.assert_allclose(got["sharpe"], mean / deviation * annual, rtol=1e-9, atol=1e-9)
    downside = np.sqrt((r.clip(upper=0) ** 2).rolling(window).mean())
    np.testing.assert_allclose(got["sortino"], mean / downside * annual, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(got["return"][window:], equity[window:] / equity[:-window] - 1, rtol=1e-12)
    last = by_definition(equity, window, 365.25 * 1_440, len(equity) - 1)
    for name in NAMES:
        assert got[name][-1] == pytest.approx(last[name], rel=1e-12)


def test_the_window_of_all_returns_gives_the_statistics_of_the_whole_curve():
    from simengine.backtest.stats import growth_rate

    equity = curve(500)
    got = {name: values[-1] for name, values in rolling_statistics(equity, 499, 252.0).items()}
    whole = by_definition(equity, 499, 252.0, 499)
    assert got == pytest.approx(whole, rel=1e-12)
    assert growth_rate(1 + got["return"], 499 / 252) == pytest.approx(
        (equity[-1] / equity[0]) ** (252 / 499) - 1
    )


def test_a_crash_leaves_no_trace_once_it_has_left_the_window():
    calm = np.tile([1.0, 1.0 + 2**-20], 100)
    equity = np.concatenate([[1e12, 1e-3, 1e12], calm])
    got = rolling_statistics(equity, 10, 1.0)
    alone = rolling_statistics(calm, 10, 1.0)
    for name in ("volatility", "sharpe", "sortino", "max_drawdown", "return"):
        np.testing.assert_allclose(got[name][-150:], alone[name][-150:], rtol=1e-9, atol=1e-18)


def test_a_flat_window_has_no_sharpe_even_after_a_wild_one():
    equity = np.concatenate([curve(100, scale=0.3), np.full(60, 123.456)])
    got = rolling_statistics(equity, 20, 252.0)
    flat = slice(-40, None)
    for name in ("return", "volatility", "max_drawdown"):
        assert (got[name][flat] == 0).all()
    for name in ("sharpe", "sortino"):
        assert np.isnan(got[name][flat]).all()


def test_bankruptcy_counts_no_returns_afterwards():
    equity = np.array([100.0, 90.0, -10.0, -10.0, -10.0, -10.0, -10.0])
    got = rolling_statistics(equity, 2, 1.0)
    np.testing.assert_allclose(got["return"][2:], [-1.1, -10 / 90 - 1, 0, 0, 0])
    np.testing.assert_allclose(got["drawdown"][2:], [1.1] * 5)
    np.testing.assert_allclose(got["max_drawdown"][2:], [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(got["volatility"][4:], [0, 0, 0])
    assert np.isnan(got["sharpe"][4:]).all()


@given(
    values=st.lists(st.sampled_from([-3.0, 0.0, 0.5, 1.0, 1.0, 2.0, 5.0, 7.0]), min_size=2, max_size=30),
    window=st.integers(2, 30),
)
@settings(max_examples=200, deadline=None)
def test_curves_that_reach_zero_or_repeat_themselves(values, window):
    equity = np.array([4.0, *values])
    window = min(window, len(values))
    got = rolling_statistics(equity, window, 1.0)
    solvent = equity[:-1] > 0
    r = np.zeros(len(equity))
    np.divide(np.diff(equity), equity[:-1], out=r[1:], where=solvent)
    for row in range(window, len(equity)):
        part, of_window = np.maximum(equity[row - window : row + 1], 0), r[row - window + 1 : row + 1]
        peaks = np.maximum.accumulate(part)
        falls = np.divide(peaks - part, peaks, out=np.zeros_like(part), where=peaks > 0)
        assert got["max_drawdown"][row] == pytest.approx(falls.max(), abs=1e-12)
        assert got["volatility"][row] == pytest.approx(of_window.std(ddof=1), abs=1e-12)
        if (of_window == of_window[0]).all():
            assert got["volatility"][row] == 0
            assert math.isnan(got["sharpe"][row]) == (of_window[0] == 0)


@given(
    steps=st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=60),
    window=st.integers(2, 60),
    power=st.integers(-20, 20),
)
@settings(max_examples=60, deadline=None)
def test_the_currency_does_not_matter_and_the_future_is_not_known(steps, window, power):
    equity = 100 * np.cumprod(np.concatenate([[1.0], 1 + np.array(steps)]))
    window = min(window, len(equity) - 1)
    got = rolling_statistics(equity, window, 252.0)
    for name, values in rolling_statistics(equity * 2.0**power, window, 252.0).items():
        np.testing.assert_array_equal(values, got[name])
    cut = max(window + 1, 3, len(equity) // 2)
    for name, values in rolling_statistics(equity[:cut], window, 252.0).items():
        np.testing.assert_array_equal(values, got[name][:cut])
    whole = got["max_drawdown"][window:]
    assert ((whole >= 0) & (whole < 1)).all()
    assert (got["drawdown"][window:] >= 0).all()


def test_the_input_is_not_changed_and_results_repeat():
    equity = curve(200)
    before = equity.copy()
    first, second = (rolling_statistics(equity, 20, 252.0) for _ in range(2))
    np.testing.assert_array_equal(equity, before)
    for name in NAMES:
        assert first[name].tobytes() == second[name].tobytes()


@pytest.mark.parametrize("window", [1, 5, 0, -3, 2.0, "20", True, math.nan])
def test_a_window_that_does_not_fit_is_refused(window):
    message = (
        f"window must be a whole number of bars from 2 to 4 (one less than the bars), received {window!r}"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        rolling_statistics([1.0, 2.0, 3.0, 2.0, 1.0], window, 252.0)


def test_numpy_integers_are_windows():
    assert np.isfinite(rolling_statistics([1.0, 2.0, 3.0], np.int32(2), 252.0)["return"][2])


@pytest.mark.parametrize(
    ("equity", "message"),
    [
        ([1.0, math.nan, 2.0], "equity must be finite, received nan in row 1"),
        ([1.0, 2.0, math.inf], "equity must be finite, received inf in row 2"),
        ([0.0, 1.0, 2.0], "equity must start above 0, received 0.0 in row 0"),
        ([[1.0, 2.0, 3.0]], "equity must be a one-dimensional array with rows, received shape (1, 3)"),
        ([], "equity must be a one-dimensional array with rows, received shape (0,)"),
        (["a", "b", "c"], "equity must be an array of numbers, received list"),
    ],
)
def test_faulty_equity_is_refused(equity, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        rolling_statistics(equity, 2, 252.0)


def test_too_few_bars_and_impossible_annualisation_are_refused():
    with pytest.raises(ConfigError, match=r"^rolling statistics need at least 3 bars, received 2$"):
        rolling_statistics([1.0, 2.0], 2, 252.0)
    for value in (0.0, -1.0, math.nan, math.inf):
        message = f"bars_per_year must be a finite number above 0, received {value}"
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            rolling_statistics([1.0, 2.0, 3.0], 2, value)


def test_the_analysis_modules_cost_neither_numba_nor_pandas_to_import():
    code = (
        "import sys, simengine.backtest.rolling, simengine.backtest.monthly, "
        "simengine.backtest.drawdowns, simengine.backtest.benchmark; "
        "assert not {'numba', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
