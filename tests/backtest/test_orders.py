"""The fills of a backtest, and the orders that did not happen as asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.backtest import FeeSchedule, SlippageModel, backtest
from simengine.backtest.result import EXIT_REASONS
from simengine.errors import DataError

NAN = np.nan
FLAT_100 = (100, 100, 100, 100)


def listed(result):
    return [
        (order["bar"], EXIT_REASONS[order["reason"]], bool(order["opening"]), pytest.approx(order["units"]))
        for order in result.orders
    ]


def test_every_fill_is_a_row(make_bars):
    bars = make_bars([FLAT_100, FLAT_100, (110, 110, 110, 110), (121, 121, 90, 100)])
    result = backtest(bars, targets=[1, 0.5, NAN, NAN], cash=1_000, stop_loss=0.05)
    # 10 units; half of 1100 at 110 is 5; the stop at 95 sells those.
    assert listed(result) == [
        (1, "signal", True, 10),
        (2, "signal", False, -5),
        (3, "stop_loss", False, -5),
    ]
    assert result.orders["quote"].tolist() == [100, 110, 95]
    assert result.orders["time"].tolist() == bars.timestamp[1:].tolist()


def test_a_flip_is_two_fills(make_bars):
    result = backtest(make_bars([FLAT_100] * 4), targets=[1, -1, NAN, NAN], cash=1_000)
    assert listed(result) == [
        (1, "signal", True, 10),
        (2, "signal", False, -10),
        (2, "signal", True, -10),
    ]


def test_quote_price_fee_and_slippage_of_a_fill(make_bars):
    result = backtest(
        make_bars([FLAT_100] * 3), targets=[1, 0, NAN], cash=1_000, size=4, size_unit="units",
        slippage_bps=50, fees=FeeSchedule(((0, 0.01),), fixed=2),
    )  # fmt: skip
    buy, sell = result.orders
    # 4 units at 100.5: 402, 1 % of it and 2. Sold at 99.5: 398.
    assert (buy["quote"], buy["price"]) == (100, pytest.approx(100.5))
    assert (buy["fee"], buy["slippage"]) == (pytest.approx(6.02), pytest.approx(2))
    assert (sell["quote"], sell["price"]) == (100, pytest.approx(99.5))
    assert (sell["fee"], sell["slippage"]) == (pytest.approx(5.98), pytest.approx(2))
    assert result.costs == {
        "net": pytest.approx(-16),
        "fees": pytest.approx(12),
        "slippage": pytest.approx(4),
        "funding": 0,
        "borrow": 0,
        "gross": pytest.approx(0, abs=1e-9),
        "traded": pytest.approx(800),
    }


RULES = st.fixed_dictionaries(
    {
        "fee_bps": st.sampled_from([0.0, 10.0]),
        "slippage": st.sampled_from(
            [
                SlippageModel(0.0),
                SlippageModel(0.001, impact=0.01),
                SlippageModel(0.001, max_participation=0.001),
                SlippageModel(0.001, max_participation=0.001, remainder="cancel"),
            ]
        ),
        "stop_loss": st.sampled_from([None, 0.01]),
        "trailing_stop": st.sampled_from([None, 0.02]),
        "max_bars": st.sampled_from([None, 3]),
        "limit_offset": st.sampled_from([None, 0.002]),
        "rebalance": st.sampled_from(["on_change", "every_bar", {"band": 0.05}]),
        "fill_convention": st.sampled_from(["open_first", "open_first_skip_entry", "stop_first_drop"]),
        "size_unit": st.just("fraction"),
        "size": st.sampled_from([1.0, 3.0]),
        "leverage": st.just(3.0),
        "tick_size": st.sampled_from([0.0, 0.1]),
        "lot_size": st.sampled_from([0.0, 2.0]),
    }
)
LEVELS = [-1.0, -0.4, 0.0, 0.7, 1.0, NAN]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rules=RULES, n=st.integers(2, 60))
def test_fills_add_up_to_positions_equity_and_costs(seed, rules, n, random_bars):
    bars = random_bars(seed, n)
    result = backtest(bars, targets=np.random.default_rng(seed).choice(LEVELS, n), cash=1e5, **rules)
    fills = result.orders
    assert (np.diff(fills["bar"]) >= 0).all()
    units, paid = np.zeros(n), np.zeros(n)
    np.add.at(units, fills["bar"], fills["units"])
    np.add.at(paid, fills["bar"], fills["units"] * fills["price"] + fills["fee"])
    held = np.cumsum(units)
    np.testing.assert_allclose(held * bars.close, result.value, atol=1e-6)
    np.testing.assert_allclose(1e5 - np.cumsum(paid) + held * bars.close, result.equity, rtol=1e-9, atol=1e-6)
    assert fills["fee"].sum() == pytest.approx(result.costs["fees"], abs=1e-6)
    assert fills["slippage"].sum() == pytest.approx(result.costs["slippage"], abs=1e-6)
    assert (np.abs(fills["units"]) * fills["price"]).sum() == pytest.approx(result.costs["traded"], rel=1e-9)
    against = (fills["price"] - fills["quote"]) * np.sign(fills["units"])
    assert (against >= -1e-9).all()
    inside = (fills["quote"] >= bars.low[fills["bar"]]) & (fills["quote"] <= bars.high[fills["bar"]])
    assert inside.all()
    # Positions are opened, then closed: from one to the other the side changes only through zero.
    assert (fills["opening"] == 1).sum() >= len(result.trades) + len(result.open_trades)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    stops=st.tuples(*[st.sampled_from([None, 0.005, 0.03])] * 3),
    max_bars=st.sampled_from([None, 4]),
    rebalance=st.sampled_from(["on_change", "every_bar", {"band": 0.05}]),
    convention=st.sampled_from(["open_first", "open_first_skip_entry", "stop_first_drop"]),
)
def test_writing_the_fills_down_changes_nothing(seed, stops, max_bars, rebalance, convention, random_bars):
    bars = random_bars(seed, 60)
    result = backtest(
        bars, targets=np.random.default_rng(seed).choice(LEVELS, 60), fee_bps=10, slippage_bps=5,
        stop_loss=stops[0], take_profit=stops[1], trailing_stop=stops[2], max_bars=max_bars, size=2,
        leverage=2, rebalance=rebalance, fill_convention=convention,
    )  # fmt: skip
    again = result.simulation.run(order_rows=100)
    assert again.equity.tobytes() == result.equity.tobytes()
    assert again.trades.tobytes() == result.trades.tobytes()
    assert again.stats["sharpe"] == pytest.approx(result.stats["sharpe"], rel=0, abs=0, nan_ok=True)


def test_more_fills_than_trades_are_all_there(random_bars):
    result = backtest(random_bars(5, 400), targets=np.full(400, 0.5), rebalance="every_bar")
    assert len(result.trades) == 0
    assert len(result.orders) == 399
    assert result.orders["bar"].tolist() == list(range(1, 400))


def test_fills_of_several_symbols_are_ordered_by_time(random_bars):
    bars = {name: random_bars(i, 80, symbol=name) for i, name in enumerate("AB")}
    late = replace(bars["B"], timestamp=bars["B"].timestamp + 5 * 3_600 * 10**9)
    targets = {name: np.random.default_rng(i).choice(LEVELS, 80) for i, name in enumerate("AB")}
    result = backtest({"A": bars["A"], "B": late}, targets=targets, fee_bps=10)
    assert (np.diff(result.orders["time"]) >= 0).all()
    for i, name in enumerate("AB"):
        own = result.orders[result.orders["symbol"] == i]
        alone = backtest(result.simulation.bars[name], targets=targets[name], cash=5e4, fee_bps=10)
        assert own["units"].tolist() == alone.orders["units"].tolist()
        assert result.by_symbol[name].orders["units"].tolist() == own["units"].tolist()


def test_a_result_without_a_simulation_has_no_orders(random_bars):
    result = replace(backtest(random_bars(5, 40), targets=np.ones(40)), simulation=None)
    with pytest.raises(DataError) as error:
        _ = result.orders
    assert str(error.value) == "this result was not simulated here and cannot be simulated again"


def test_nothing_traded_has_no_fills(make_bars):
    result = backtest(make_bars([FLAT_100] * 3), targets=[NAN] * 3)
    assert len(result.orders) == 0
    assert result.counts == {"not_sent": 0, "margin_limited": 0, "expired": 0, "cancelled": 0}


def test_counts_of_several_symbols_are_added(make_bars):
    bars = {name: make_bars([FLAT_100] * 4, symbol=name) for name in "AB"}
    targets = {"A": [1, 0.5, NAN, NAN], "B": [1, NAN, NAN, NAN]}
    # A lot of 60 is more than the 50 units (A, B) and the 25 (A) that 5000 pay for.
    result = backtest(bars, targets=targets, cash=10_000, lot_size=60)
    assert result.counts["not_sent"] == 3
    assert result.by_symbol["A"].counts["not_sent"] == 2
