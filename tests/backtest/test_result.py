"""The result as a user reads it: portfolio, frames, table."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest

from simengine.backtest import backtest
from simengine.errors import ConfigError

NAN = np.nan


def flat(*prices):
    return [(p, p, p, p) for p in prices]


def test_a_portfolio_is_the_sum_of_sleeves_on_the_union_of_times(make_bars):
    a = make_bars(flat(100, 100, 110, 120), symbol="A")
    b = make_bars(flat(50, 50, 40), symbol="B", start=2)  # hours 2 to 4
    targets = {"A": [1, NAN, NAN, NAN], "B": [-1, NAN, NAN]}
    result = backtest({"A": a, "B": b}, targets=targets, cash=2_000)
    # A: 1000 1000 1100 1200, then held at 1200. B: 1000 until it starts, then 1000 1000 1200.
    assert result.equity.tolist() == [2_000, 2_000, 2_100, 2_200, 2_400]
    assert result.value.tolist() == [0, 1_000, 1_100, 1_200 - 1_000, 1_200 - 800]
    assert result.gross_value.tolist() == [0, 1_000, 1_100, 2_200, 2_000]
    assert result.symbols == ("A", "B")
    assert result.open_trades["symbol"].tolist() == [0, 1]
    assert result.by_symbol["B"].equity.tolist() == [1_000, 1_000, 1_200]
    assert result.costs["net"] == 400


def test_trades_of_a_portfolio_are_ordered_by_exit_time(random_bars):
    bars = {name: random_bars(i, 200, symbol=name) for i, name in enumerate("ABC")}
    targets = {name: np.random.default_rng(i).choice([-1.0, 0, 1], 200) for i, name in enumerate("ABC")}
    result = backtest(bars, targets=targets, fee_bps=10, slippage_bps=5, stop_loss=0.02)
    assert (np.diff(result.trades["exit_time"]) >= 0).all()
    for i, (name, sleeve) in enumerate(result.by_symbol.items()):
        alone = backtest(
            bars[name], targets=targets[name], cash=100_000 / 3, fee_bps=10, slippage_bps=5, stop_loss=0.02
        )
        assert alone.equity.tobytes() == sleeve.equity.tobytes()
        own = result.trades[result.trades["symbol"] == i]
        assert own["pnl"].tolist() == alone.trades["pnl"].tolist()
    for cost in ("fees", "slippage", "net", "gross", "traded"):
        whole = sum(sleeve.costs[cost] for sleeve in result.by_symbol.values())
        assert result.costs[cost] == pytest.approx(whole)
    every = np.concatenate([result.trades, result.open_trades])
    assert every["pnl"].sum() == pytest.approx(result.equity[-1] - 100_000, abs=1e-4)


def test_a_mapping_names_the_symbols(make_bars):
    bars = make_bars(flat(100, 100), symbol="X")
    result = backtest({"A": bars, "B": bars}, targets={"A": [1, NAN], "B": [NAN, NAN]})
    assert result.trades_frame(include_open=True)["symbol"].tolist() == ["A"]


def test_frames(make_bars):
    bars = make_bars(flat(100, 100, 120, 90, 90))
    result = backtest(bars, targets=[1, NAN, -1, NAN, NAN], cash=1_000)
    frame = result.to_frame()
    assert frame.index[0] == pd.Timestamp("2020-01-01", tz="UTC")
    assert frame["drawdown"].tolist() == pytest.approx([0, 0, 0, 1 - 900 / 1_200, 1 - 900 / 1_200])
    trades = result.trades_frame()
    assert " ".join(trades.columns) == (
        "symbol side entry_time exit_time units entry_price exit_price fees slippage financing pnl return "
        "mae mfe bars_held exit_reason"
    )
    assert trades.iloc[0]["side"] == "long"
    assert trades.iloc[0]["exit_time"] == pd.Timestamp("2020-01-01 03:00", tz="UTC")
    both = result.trades_frame(include_open=True)
    assert both["exit_reason"].tolist() == ["signal", "open"]
    assert both["side"].tolist() == ["long", "short"]


def test_without_a_trade_statistics_are_nan_and_nothing_warns(make_bars):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = backtest(make_bars(flat(100, 101, 102)), targets=[NAN] * 3)
        stats, text = result.stats, repr(result)
        assert result.trades_frame(include_open=True).empty
    for name in (
        "sharpe",
        "sortino",
        "calmar",
        "probabilistic_sharpe",
        "win_rate",
        "profit_factor",
        "expectancy",
        "best_trade",
    ):
        assert math.isnan(stats[name]), name
    for name in ("trades", "net_return", "max_drawdown", "volatility", "exposure", "turnover", "fees"):
        assert stats[name] == 0, name
    assert "win_rate" in text


def test_two_bars_are_enough(make_bars):
    stats = backtest(make_bars(flat(100, 101)), targets=[1, NAN]).stats
    assert stats["bars"] == 2
    assert math.isnan(stats["sharpe"])


def test_repr_is_a_labelled_table(make_bars):
    result = backtest(make_bars(flat(100, 100, 110, 99)), targets=[1, NAN, 0, NAN], cash=1_000)
    lines = repr(result).splitlines()
    assert lines[0] == "BacktestResult"
    table = dict(line.split(maxsplit=1) for line in lines[1:])
    assert table["symbols"] == "X"
    assert table["start"] == "2020-01-01 00:00 UTC"
    assert table["end"] == "2020-01-01 03:00 UTC"
    assert table["fill_convention"] == "open_first"
    assert table["net_return"] == "-1.00%"
    assert table["trades"] == "1"
    assert table["profit_factor"] == "0.00"
    assert table["open_trades"] == "0"
    assert len({len(line) - len(line.lstrip()) for line in lines[1:]}) == 1


def test_stats_are_plain_floats_under_the_names_of_the_metrics_file(make_bars):
    stats = backtest(make_bars(flat(100, 100, 110)), targets=[1, NAN, NAN]).stats
    assert all(type(value) is float for value in stats.values())
    assert len(stats) >= 25
    names = (
        "net_return cagr sharpe probabilistic_sharpe sortino calmar max_drawdown volatility trades win_rate "
        "profit_factor expectancy exposure turnover fees slippage_cost funding borrow"
    )
    assert set(stats) >= set(names.split())


def test_symbols_that_share_an_account_have_no_result_each(make_bars):
    bars = {name: make_bars(flat(100, 100, 110), symbol=name) for name in "AB"}
    targets = {name: [0.5, NAN, NAN] for name in bars}
    result = backtest(bars, targets=targets, capital="shared", size=0.5)
    with pytest.raises(ConfigError) as caught:
        _ = result.by_symbol
    assert str(caught.value) == (
        "by_symbol: the symbols share one account; select the rows of trades and orders by symbol"
    )
    one = backtest(bars["A"], targets=targets["A"], capital="shared")
    assert one.by_symbol == {"A": one}
