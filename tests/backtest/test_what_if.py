"""The same decisions otherwise: other conventions, nothing to pay, no stops, and beside a benchmark."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from simengine.backtest import backtest
from simengine.backtest.inputs import FILL_CONVENTIONS
from simengine.backtest.rolling import rolling_statistics
from simengine.errors import ConfigError, DataError
from simengine.types import Bars

NAN = np.nan
HOUR = 3_600 * 10**9
DAY = 24 * HOUR
COSTLY = {
    "fee_bps": 5,
    "slippage_bps": 2,
    "stop_loss": 0.02,
    "take_profit": 0.03,
    "leverage": 2.0,
    "borrow_rate": 0.1,
    "funding": {"rate": 1e-4, "every": "8h"},
}
ORDER = ["open_first", "stop_first_drop", "open_first_skip_entry"]


@pytest.fixture(scope="module")
def market(random_bars):
    """Bars, targets and the result of trading them at some cost."""
    bars = random_bars(1, 600)
    targets = np.random.default_rng(2).choice([-1.0, -0.5, 0, 1, NAN], 600)
    return bars, targets, backtest(bars, targets=targets, **COSTLY)


@pytest.fixture(scope="module")
def portfolio(random_bars):
    bars = {name: random_bars(i, 300, symbol=name) for i, name in enumerate("AB")}
    targets = {name: np.random.default_rng(i).choice([-1.0, 0, 1, NAN], 300) for i, name in enumerate("AB")}
    return bars, targets


def test_a_row_of_the_sensitivity_table_is_the_backtest_under_that_convention(market):
    bars, targets, result = market
    found = result.sensitivity()
    assert list(found.table) == ORDER == list(FILL_CONVENTIONS)
    for convention, row in found.table.items():
        alone = backtest(bars, targets=targets, fill_convention=convention, **COSTLY)
        assert row == {name: alone.stats[name] for name in row}
    assert len({row["final_equity"] for row in found.table.values()}) == 3


def test_the_convention_of_the_result_is_marked(market):
    bars, targets, result = market
    frame = result.sensitivity().to_frame()
    assert frame.index.tolist() == ORDER
    assert frame["used"].tolist() == [True, False, False]
    assert frame.loc["open_first", "net_return"] == result.stats["net_return"]
    other = backtest(bars, targets=targets, fill_convention="stop_first_drop", **COSTLY).sensitivity()
    assert other.table == result.sensitivity().table
    assert [line[2] for line in repr(other).splitlines()[2:]] == [" ", "*", " "]


def test_without_stops_conventions_agree(market):
    rows = backtest(market[0], targets=np.sign(market[1])).sensitivity().table.values()
    assert len({tuple(row.values()) for row in rows}) == 1


def test_print_shows_the_table_below_the_result(market):
    result = market[2]
    assert str(result) == f"{result!r}\n\n{result.sensitivity()!r}"
    assert "Same decisions" not in repr(result)
    assert str(replace(result, simulation=None)) == repr(result)


def test_a_convention_that_cannot_be_traded_has_dashes(make_bars):
    # In bar 2 the take-profit comes first and the sale is dropped, which the volume would give no price for.
    bars = make_bars([(100, 100, 100, 100), (100, 100, 100, 100), (100, 120, 100, 100)])
    bars = replace(bars, volume=np.array([1e9, 1e9, 1e-9]))
    slippage = {"type": "volume_impact", "slippage_bps": 0.0, "on_stops": False}
    given = {"targets": [1, -1, NAN], "cash": 1_000.0, "slippage": slippage, "take_profit": 0.1}
    with pytest.raises(DataError, match="too large for the volume of its bar"):
        backtest(bars, **given)
    result = backtest(bars, fill_convention="stop_first_drop", **given)
    found = result.sensitivity()
    assert found.table["stop_first_drop"]["final_equity"] == pytest.approx(1_100, rel=1e-6)
    assert np.isnan([*found.table["open_first"].values()]).all()
    assert repr(found).splitlines()[2].split() == ["open_first", *["-"] * 6]


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("fees", {"fee_bps": 0.0}),
        ("slippage", {"slippage_bps": 0.0}),
        ("financing", {"borrow_rate": 0.0, "funding": None}),
        ("stops", {"stop_loss": None, "take_profit": None}),
    ],
)
def test_attribution_is_the_difference_to_a_run_without_it(market, name, off):
    bars, targets, result = market
    without = backtest(bars, targets=targets, **{**COSTLY, **off})
    assert result.attribution()[name] == without.equity[-1] - result.equity[-1] != 0


def test_what_is_off_took_nothing(market):
    free = backtest(market[0], targets=market[1])
    assert free.attribution() == {"fees": 0.0, "slippage": 0.0, "financing": 0.0, "stops": 0.0}


def test_one_round_trip_lost_what_it_paid(make_bars):
    # 10 units, fixed in number: nothing but the fees changes. 10 x 100 and 10 x 110 at 1 %.
    bars = make_bars([(p, p, p, p) for p in (100, 100, 110, 110)])
    result = backtest(bars, targets=[1, 0, NAN, NAN], size=10, size_unit="units", fee_bps=100)
    assert result.attribution()["fees"] == pytest.approx(21) == result.costs["fees"]


def test_the_fee_of_a_liquidation_is_a_fee(make_bars):
    bars = make_bars([(100, 100, 100, 100), (100, 100, 100, 100), (100, 100, 40, 40)])
    result = backtest(bars, targets=[2, NAN, NAN], cash=1_000, leverage=2.0, liquidation_fee_bps=100)
    assert result.trades_frame()["exit_reason"].tolist() == ["liquidation"]
    assert result.attribution()["fees"] == pytest.approx(10) == result.costs["fees"]  # 1 % of 20 x 50


@pytest.mark.parametrize("capital", ["sleeves", "shared"])
def test_several_symbols_are_run_again_as_they_were(portfolio, capital):
    bars, targets = portfolio
    given = {"fee_bps": 5, "stop_loss": 0.02, "size": 0.5, "capital": capital}
    result = backtest(bars, targets=targets, **given)
    other = backtest(bars, targets=targets, fill_convention="stop_first_drop", **given)
    assert result.sensitivity().table["stop_first_drop"]["final_equity"] == other.equity[-1]
    assert f"capital               {capital}" in repr(result)


def test_a_sleeve_can_be_asked_as_a_result_of_its_own(portfolio):
    bars, targets = portfolio
    sleeve = backtest(bars, targets=targets, fee_bps=5, cash=2_000).by_symbol["B"]
    alone = backtest(bars["B"], targets=targets["B"], fee_bps=5, cash=1_000)
    assert sleeve.stats == pytest.approx(alone.stats, nan_ok=True)
    assert sleeve.attribution() == alone.attribution()


def test_buying_and_holding_has_a_beta_of_one(market):
    bars = market[0]
    found = backtest(bars, targets=[1.0] + [NAN] * 599).versus()
    assert found["beta"] == pytest.approx(1)
    assert found["alpha"] == pytest.approx(0, abs=1e-9)
    assert found["tracking_error"] == pytest.approx(0, abs=1e-9)


def test_holding_costs_nothing_beside_a_result_that_pays(market):
    bars, targets, result = market
    held = backtest(bars, targets=[1.0] + [NAN] * 599)
    assert result.versus() == result.versus(held)
    limited = backtest(bars, targets=targets, limit_offset=0.001, rebalance="every_bar", lot_size=50.0)
    assert limited.versus() == limited.versus(held)


def test_every_symbol_is_held_for_an_equal_share(portfolio):
    bars, targets = portfolio
    held = backtest(bars, targets={name: [1.0] + [NAN] * 299 for name in bars})
    for capital in ("sleeves", "shared"):
        result = backtest(bars, targets=targets, size=0.5, capital=capital)
        assert result.versus() == result.versus(held)


def test_bars_and_pairs_are_the_same_benchmark(market, random_bars):
    other = random_bars(7, 600, symbol="INDEX")
    result = market[2]
    found = result.versus(other)
    assert found == result.versus((other.timestamp, other.close))
    r, b = result.returns[1:], np.diff(other.close) / other.close[:-1]
    assert found["beta"] == pytest.approx(np.cov(r, b)[0, 1] / np.var(b, ddof=1))
    assert found["active_return"] == pytest.approx(result.bars_per_year * np.mean(r - b))


@pytest.mark.parametrize("what", ["bars", "result"])
def test_the_close_of_a_day_is_known_in_its_last_hour(market, what):
    result = market[2]  # 25 days of hours from midnight on
    start = int(result.timestamp[0]) - DAY
    close = 100 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.03, 26)))
    days = Bars("INDEX", start + np.arange(26) * DAY, close, close, close, close, np.ones(26))
    stamped = (days.timestamp + 23 * HOUR, days.close)
    if what == "result":
        days = backtest(days, targets=[1.0] + [NAN] * 25)
        stamped = (days.timestamp + 23 * HOUR, days.equity)
    too_early = (days.timestamp, stamped[1])
    assert result.versus(days) == result.versus(stamped) != result.versus(too_early)


def test_something_else_is_no_benchmark(market):
    with pytest.raises(DataError) as error:
        market[2].versus("SPY")
    assert str(error.value) == (
        "a benchmark is Bars, a BacktestResult, a pair of timestamps and prices, or None for buying and "
        "holding, received str"
    )


@pytest.mark.parametrize("ask", ["sensitivity", "attribution", "versus"])
def test_what_was_not_simulated_cannot_be_simulated_again(market, ask):
    with pytest.raises(DataError) as error:
        getattr(replace(market[2], simulation=None), ask)()
    assert str(error.value) == "this result was not simulated here and cannot be simulated again"


def test_rolling_statistics_by_time(market):
    result = market[2]
    frame = result.rolling(48)
    expected = rolling_statistics(result.equity, 48, result.bars_per_year)
    assert list(frame) == list(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(frame[name], column)
    assert frame.index.equals(result.to_frame().index)
    with pytest.raises(ConfigError, match=r"^window must be a whole number of bars from 2 to 599"):
        result.rolling(600)


def test_months_chain_to_the_net_return(market):
    frame = market[2].monthly()
    assert frame.index.tolist() == [2020]
    assert frame.columns.tolist()[-1] == "Year"
    assert frame.loc[2020, "Year"] == pytest.approx(market[2].stats["net_return"])


def test_drawdowns_begin_with_the_largest(market):
    result = market[2]
    frame = result.drawdowns(3)
    assert len(frame) == 3
    assert frame["depth"].iloc[0] == pytest.approx(result.stats["max_drawdown"])
    assert frame["peak_time"].dtype == pd.DatetimeTZDtype("ns", "UTC") == frame["recovery_time"].dtype
    assert len(result.drawdowns(None)) > 3
    rising = replace(result, equity=np.arange(1.0, 601))
    assert len(rising.drawdowns()) == 0


def test_repr_counts_only_what_happened(make_bars):
    bars = make_bars([(100, 101, 99, 100)] * 4)
    text = repr(backtest(bars, targets=[1, NAN, NAN, NAN], limit_offset=0.1))
    assert "  expired               1" in text.splitlines()
    for name in ("not_sent", "margin_limited", "cancelled", "capital", "bankrupt"):
        assert name not in text
