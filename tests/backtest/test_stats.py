"""Every statistic against its textbook definition."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as sps

from simengine.backtest import backtest
from simengine.backtest.stats import (
    calendar_bars_per_year,
    growth_rate,
    probabilistic_sharpe,
    return_statistics,
)
from simengine.types import Bars

DAY = 86_400 * 10**9


@pytest.fixture
def equity():
    rng = np.random.default_rng(5)
    return 1_000 * np.exp(np.cumsum(np.concatenate([[0], rng.standard_t(4, 400) * 0.01])))


def test_return_statistics_follow_their_definitions(equity):
    got = return_statistics(equity, 252.0)
    r = pd.Series(equity).pct_change().dropna()
    assert got["net_return"] == pytest.approx(equity[-1] / equity[0] - 1)
    assert got["volatility"] == pytest.approx(r.std() * math.sqrt(252))
    assert got["sharpe"] == pytest.approx(r.mean() / r.std() * math.sqrt(252))
    assert got["sortino"] == pytest.approx(
        r.mean() / math.sqrt((r.clip(upper=0) ** 2).mean()) * math.sqrt(252)
    )
    assert got["years"] == pytest.approx(400 / 252)
    assert got["cagr"] == pytest.approx((equity[-1] / equity[0]) ** (252 / 400) - 1)
    drawdown = (1 - equity / np.maximum.accumulate(equity)).max()
    assert got["max_drawdown"] == pytest.approx(drawdown)
    assert got["calmar"] == pytest.approx(got["cagr"] / drawdown)
    assert got["skewness"] == pytest.approx(sps.skew(r))
    assert got["kurtosis"] == pytest.approx(sps.kurtosis(r, fisher=False))


def test_probabilistic_sharpe_gives_the_numbers_of_the_paper():
    # Bailey and Lopez de Prado (2012), numerical example: two years of monthly returns.
    assert probabilistic_sharpe(0.458, 24, 0, 3) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


def test_drawdown_duration_counts_from_the_peak_until_it_is_reached_again():
    def longest(*equity):
        return return_statistics(np.array(equity, dtype=float), 252.0)["max_drawdown_bars"]

    assert longest(10, 12, 11, 9, 12, 13, 12) == 3
    assert longest(10, 12, 11, 9, 10, 11) == 4
    assert longest(10, 11, 12, 13) == 0


def test_the_largest_drawdown_is_that_of_its_own_peak():
    # 1 - 5/10 = 0.5 from the first peak, 1 - 30/50 = 0.4 from the second, though 20 is more than 5.
    equity = np.array([10.0, 5, 50, 30, 60])
    assert return_statistics(equity, 252.0)["max_drawdown"] == 0.5


def test_returns_after_nothing_is_left_count_as_zero():
    equity = np.array([10.0, 12, -3, -3, -3])
    got = return_statistics(equity, 4.0)
    r = np.array([0.2, -1.25, 0, 0])
    assert got["sharpe"] == pytest.approx(r.mean() / r.std(ddof=1) * 2)
    assert got["max_drawdown"] == pytest.approx(1.25)


def test_returns_that_are_all_alike_have_no_variance():
    got = return_statistics(100 * 1.01 ** np.arange(300), 252.0)
    assert got["volatility"] == 0
    assert got["sharpe"] == got["sortino"] == math.inf
    assert math.isnan(got["skewness"])


def test_the_engine_sums_up_what_its_curve_shows(random_bars):
    bars = random_bars(2, 300)
    targets = np.random.default_rng(2).choice([-1.0, 0.0, 0.5, np.nan], 300)
    result = backtest(bars, targets=targets, fee_bps=5)
    again = return_statistics(np.ascontiguousarray(result.equity), result.bars_per_year)
    assert {name: result.stats[name] for name in again} == again
    gross = np.abs(result.value)
    assert result.stats["exposure"] == pytest.approx((gross / result.equity).mean(), rel=1e-12)
    assert result.stats["time_in_market"] == pytest.approx((gross > 0).mean())


def test_bars_per_year_count_calendar_time_not_bar_spacing():
    daily = np.arange(366) * DAY
    assert calendar_bars_per_year(daily) == pytest.approx(365.25)
    weekdays = daily[(np.arange(366) % 7) < 5]
    assert calendar_bars_per_year(weekdays) == pytest.approx(365.25 * 5 / 7, rel=0.01)


def test_growth_rate_limits():
    assert growth_rate(1.21, 2) == pytest.approx(0.1)
    assert growth_rate(0, 1) == growth_rate(-0.5, 1) == -1
    assert growth_rate(1.5, 1e-9) == math.inf
    assert math.isnan(growth_rate(1.5, 0))


def test_trade_statistics(make_bars):
    prices = [100, 100, 110, 110, 99, 99, 99]
    bars = make_bars([(p, p, p, p) for p in prices])
    result = backtest(bars, targets=[1, 0, 1, 0, np.nan, np.nan, np.nan], cash=1_000)
    # 1000 -> 1100 (one bar), then 1100 -> 990 (one bar).
    assert result.stats["trades"] == 2
    assert result.stats["win_rate"] == 0.5
    assert result.stats["profit_factor"] == pytest.approx(100 / 110)
    assert result.stats["expectancy"] == pytest.approx(-5)
    assert result.stats["best_trade"] == pytest.approx(0.1)
    assert result.stats["worst_trade"] == pytest.approx(-0.1)
    assert result.stats["average_trade_return"] == pytest.approx(0, abs=1e-12)
    assert result.stats["average_bars_held"] == 1
    assert (result.stats["long_share"], result.stats["short_share"]) == (1, 0)


def test_a_record_without_losses_has_an_infinite_profit_factor(make_bars):
    bars = make_bars([(p, p, p, p) for p in (100, 100, 110, 110)])
    assert backtest(bars, targets=[1, 0, np.nan, np.nan]).stats["profit_factor"] == math.inf


def test_exposure_and_turnover(make_bars):
    bars = make_bars([(100, 100, 100, 100)] * 5)
    result = backtest(bars, targets=[0.5, np.nan, 0, np.nan, np.nan], cash=1_000, bars_per_year=4)
    # Half invested at two of five closes; 500 bought and 500 sold on an equity of 1000 in one year.
    assert result.stats["exposure"] == pytest.approx(0.2)
    assert result.stats["time_in_market"] == pytest.approx(0.4)
    assert result.stats["turnover"] == pytest.approx(1.0)
    assert result.stats["years"] == 1


def test_annualisation_is_by_calendar_time_unless_told(random_bars):
    bars = random_bars(1, 300)
    targets = np.sign(np.sin(np.arange(300) / 5))
    daily = Bars(**{"symbol": "X", "timestamp": np.arange(300) * DAY, **dict(bars.columns())})
    by_time = backtest(daily, targets=targets).stats
    assert by_time["bars_per_year"] == pytest.approx(365.25)
    told = backtest(daily, targets=targets, bars_per_year=252).stats
    assert told["sharpe"] == pytest.approx(by_time["sharpe"] * math.sqrt(252 / 365.25))
