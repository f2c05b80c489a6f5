"""What the engine says about input that it cannot use: the whole message."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from simengine.backtest import FeeSchedule, SlippageModel, Stops, backtest
from simengine.errors import ConfigError, DataError

NAN = np.nan
ROW = (100, 101, 99, 100)
HOLD = [NAN, NAN, NAN]


@pytest.fixture
def bars(make_bars):
    return make_bars([ROW] * 3)


def message(error, call, *args, **kwargs):
    with pytest.raises(error) as caught:
        call(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "a backtest takes either signals or targets, received neither"),
        (
            {"targets": HOLD, "signals": [1, 1, 1]},
            "a backtest takes either signals or targets, received both",
        ),
        ({"targets": HOLD, "cash": 0}, "cash must be finite and above 0, received 0"),
        ({"targets": HOLD, "cash": NAN}, "cash must be finite and above 0, received nan"),
        (
            {"targets": HOLD, "fill_convention": "open_frist"},
            "unknown fill convention 'open_frist' (did you mean 'open_first'?); "
            "known: open_first, open_first_skip_entry, stop_first_drop",
        ),
        ({"targets": HOLD, "cash": -5.0}, "cash must be finite and above 0, received -5.0"),
        ({"targets": HOLD, "cash": "1000"}, "cash must be finite and above 0, received '1000'"),
        ({"targets": HOLD, "size": np.inf}, "size must be finite and above 0, received inf"),
        (
            {"targets": HOLD, "size": 3},
            "size 3 is above the leverage 1, which a target of 1 would exceed; raise leverage or lower size",
        ),
        (
            {"targets": HOLD, "size_unit": "unit"},
            "unknown size_unit 'unit' (did you mean 'units'?); known: cash, fraction, units",
        ),
        (
            {"targets": HOLD, "capital": "share"},
            "unknown capital 'share' (did you mean 'shared'?); known: shared, sleeves",
        ),
        (
            {"targets": HOLD, "leverage": 0},
            "leverage is the largest exposure as a multiple of equity, finite and above 0 "
            "(1 = no borrowing), received 0",
        ),
        (
            {"targets": HOLD, "initial_margin": 1.5},
            "initial_margin is a fraction of notional in (0, 1], or None for 1 / leverage, received 1.5",
        ),
        (
            {"targets": HOLD, "leverage": 4, "maintenance_margin": 0.3},
            "maintenance_margin is a fraction of notional from 0 to the initial margin (0.25) and below 1, "
            "received 0.3",
        ),
        (
            {"targets": HOLD, "liquidation_fee_bps": -1},
            "liquidation_fee_bps is in basis points (10 = 0.1 %), 0 or more and below 10000, received -1",
        ),
        (
            {"targets": HOLD, "borrow_rate": -0.1},
            "borrow_rate is a fraction a year, 0 or more (0.05 = 5 %), received -0.1",
        ),
        (
            {"targets": HOLD, "funding": {"rate": 0.1}},
            'funding takes a rate and an interval, {"rate": 0.0001, "every": "8h"}, received {\'rate\': 0.1}',
        ),
        (
            {"targets": HOLD, "limit_offset": 1.0},
            "limit_offset is a fraction of the close in [0, 1) (0.001 = 0.1 %) or None, received 1.0",
        ),
        (
            {"targets": HOLD, "limit_offset": 0.01, "limit_bars": 0},
            "limit_bars is a whole number of bars, 1 or more, received 0",
        ),
        (
            {"targets": HOLD, "tick_size": {"Y": 0.01}},
            "tick_size given for an unknown symbol 'Y'; known: X",
        ),
        ({"targets": HOLD, "lot_size": {}}, "lot_size is missing for X; 0 is none"),
        (
            {"targets": HOLD, "limit_bars": 2**31},
            "limit_bars is at most 2147483647 bars, received 2147483648",
        ),
        (
            {"targets": HOLD, "tick_size": 150},
            "X: tick_size 150 is above the low 99 at row 0 (2020-01-01T00:00:00Z); "
            "a tick is a small part of a price",
        ),
        (
            {"targets": HOLD, "tick_size": {"X": 150}, "capital": "shared"},
            "X: tick_size 150 is above the low 99 at row 0 (2020-01-01T00:00:00Z); "
            "a tick is a small part of a price",
        ),
        (
            {"targets": HOLD, "min_notional": -1},
            "min_notional is a number, 0 (none) or more, received -1",
        ),
        (
            {"targets": HOLD, "rebalance": {"band": 0.1}, "size_unit": "units"},
            "a rebalance band is a fraction of equity and needs the size_unit fraction, received units",
        ),
        (
            {"targets": HOLD, "trailing_stop": 1.5},
            "trailing_stop is a fraction of the best price in (0, 1) or None, received 1.5",
        ),
        (
            {"targets": HOLD, "max_bars": 0},
            "max_bars is a whole number of bars, 1 or more, or None, received 0",
        ),
        (
            {"targets": HOLD, "take_profit": -0.1},
            "take_profit is a fraction of the entry price above 0 (0.02 = 2 %) or None, received -0.1",
        ),
        (
            {"targets": HOLD, "bars_per_year": NAN},
            "bars_per_year must be finite and above 0, received nan",
        ),
        (
            {"targets": HOLD, "bars_per_year": "daily"},
            "bars_per_year must be finite and above 0, received 'daily'",
        ),
        (
            {"targets": HOLD, "rebalance": "on_chang"},
            "unknown rebalance 'on_chang' (did you mean 'on_change'?); known: band, every_bar, on_change",
        ),
        (
            {"targets": HOLD, "rebalance": {"width": 1}},
            "rebalance must be on_change, every_bar or {band: 0.05}, received {'width': 1}",
        ),
        (
            {"targets": HOLD, "rebalance": {"band": 0}},
            "rebalance band is an exposure above 0 (0.05 = 5 % of equity), received 0",
        ),
        (
            {"targets": HOLD, "rebalance": "band"},
            "rebalance band needs a width: {band: 0.05}",
        ),
        (
            {"targets": HOLD, "bars_per_year": -1},
            "bars_per_year must be finite and above 0, received -1",
        ),
        (
            {"signals": [1, 1, 1], "on_hold": "keeep"},
            "unknown on_hold 'keeep' (did you mean 'keep'?); known: flat, keep",
        ),
        (
            {"targets": HOLD, "on_hold": "flat"},
            "on_hold applies to signals; with targets say 0 where the position is to be flat",
        ),
        (
            {"targets": HOLD, "fee_bps": 5, "fees": FeeSchedule(((0, 0.1),))},
            "give either fees or fee_bps, received both (fee_bps=5)",
        ),
        (
            {"targets": HOLD, "slippage_bps": 5, "slippage": SlippageModel(0.1)},
            "give either slippage or slippage_bps, received both (slippage_bps=5)",
        ),
        (
            {"targets": HOLD, "stop_loss": 0},
            "stop_loss is a fraction of the entry price above 0 (0.02 = 2 %) or None, received 0",
        ),
        (
            {"targets": HOLD, "fee_bps": -1},
            "fee_bps is in basis points (10 = 0.1 %), 0 or more and below 10000, received -1",
        ),
        (
            {"targets": HOLD, "fee_bps": "10"},
            "fee_bps is in basis points (10 = 0.1 %), 0 or more and below 10000, received '10'",
        ),
        (
            {"targets": HOLD, "slippage_bps": 10_000},
            "slippage_bps is in basis points (10 = 0.1 %), 0 or more and below 10000, received 10000",
        ),
    ],
)
def test_options(bars, options, text):
    assert message(ConfigError, backtest, bars, **options) == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"targets": [NAN, np.inf, 0]},
            "X: target is inf at row 1 (2020-01-01T01:00:00Z); "
            "targets are exposures in [-1, 1], NaN keeps the last one",
        ),
        (
            {"targets": [NAN, 1.6, 0], "leverage": 3, "size": 2},
            "X: target is 1.6 at row 1 (2020-01-01T01:00:00Z); "
            "targets are exposures in [-1.5, 1.5], NaN keeps the last one",
        ),
        (
            {"targets": [-4, 0, 0], "leverage": 3, "size": 50, "size_unit": "cash"},
            "X: target is -4.0 at row 0 (2020-01-01T00:00:00Z); "
            "targets are exposures in [-3, 3], NaN keeps the last one",
        ),
        (
            {"targets": [NAN, 0, -1.5]},
            "X: target is -1.5 at row 2 (2020-01-01T02:00:00Z); "
            "targets are exposures in [-1, 1], NaN keeps the last one",
        ),
        ({"targets": [0, 1]}, "X: 2 targets for 3 bars; give one per bar"),
        ({"targets": [[0], [1], [0]]}, "X: targets must have one dimension, received the shape (3, 1)"),
        ({"targets": ["a", "b", "c"]}, "X: targets must be numbers or NaN"),
        ({"targets": ["1", "0", "1"]}, "X: targets must be numbers or NaN"),
        ({"targets": [1.0, None, 0.0]}, "X: targets must be numbers or NaN"),
        ({"targets": [[1.0], [0.0, 1.0], []]}, "X: targets must be numbers or NaN"),
        ({"targets": [True, False, True]}, "X: targets must be numbers or NaN, received booleans"),
        ({"targets": np.ones(3, complex)}, "X: targets must be numbers or NaN, received complex numbers"),
        (
            {"signals": [0, 3, 1]},
            "X: signal is 3 at row 1 (2020-01-01T01:00:00Z); "
            "signals are 0 (SELL), 1 (HOLD) and 2 (BUY); say HOLD where there is none",
        ),
        (
            {"signals": np.array([0, 1, -1], np.int8)},
            "X: signal is -1 at row 2 (2020-01-01T02:00:00Z); "
            "signals are 0 (SELL), 1 (HOLD) and 2 (BUY); say HOLD where there is none",
        ),
        (
            {"signals": np.array([258, 1, 1])},  # 2 when it is cut to eight bits
            "X: signal is 258 at row 0 (2020-01-01T00:00:00Z); "
            "signals are 0 (SELL), 1 (HOLD) and 2 (BUY); say HOLD where there is none",
        ),
        (
            {"signals": [0.0, 1.0, 2.0]},
            "X: signals must be integers (0 SELL, 1 HOLD, 2 BUY), received float64",
        ),
        ({"signals": [0] * 4}, "X: 4 signals for 3 bars; give one per bar"),
        (
            {"signals": np.array([0, 1, 200], np.uint8)},
            "X: signal is 200 at row 2 (2020-01-01T02:00:00Z); "
            "signals are 0 (SELL), 1 (HOLD) and 2 (BUY); say HOLD where there is none",
        ),
        (
            {"signals": [True, False, True]},
            "X: signals must be integers (0 SELL, 1 HOLD, 2 BUY), received bool",
        ),
        ({"signals": [[0, 1, 2]]}, "X: signals must have one dimension, received the shape (1, 3)"),
        (
            {"targets": HOLD, "funding": [0.1, 0.1]},
            "X: funding needs one rate per bar, shape (3,), received the shape (2,)",
        ),
        (
            {"targets": HOLD, "funding": [0.0, NAN, 0.0]},
            "X: the funding rate is nan at row 1; use 0 where none falls due",
        ),
        ({"targets": {"Y": HOLD}}, "targets are missing for X"),
        (
            {"targets": {"X": HOLD, "XX": HOLD}},
            "targets given for an unknown symbol 'XX' (did you mean 'X'?); known: X",
        ),
    ],
)
def test_signals_and_targets(bars, options, text):
    assert message(DataError, backtest, bars, **options) == text


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (
            (100, 99, 101, 100),
            "X: high 99.0 is below low 101.0 at row 1 (2020-01-01T01:00:00Z); correct the bar",
        ),
        (
            (100, 101, 99, NAN),
            "X: close is nan at row 1 (2020-01-01T01:00:00Z); prices must be finite and above 0",
        ),
        (
            (100, 101, 0, 100),
            "X: low is 0.0 at row 1 (2020-01-01T01:00:00Z); prices must be finite and above 0",
        ),
        (
            (100, np.inf, 99, 100),
            "X: high is inf at row 1 (2020-01-01T01:00:00Z); prices must be finite and above 0",
        ),
        (
            (102, 101, 99, 100),
            "X: open 102.0 is outside low 99.0 to high 101.0 at row 1 (2020-01-01T01:00:00Z); "
            "correct the bar",
        ),
    ],
)
def test_prices(make_bars, row, text):
    assert message(DataError, backtest, make_bars([ROW, row, ROW]), targets=HOLD) == text


def test_time_must_move_forward(bars):
    stuck = replace(bars, timestamp=bars.timestamp[[0, 2, 2]])
    assert message(DataError, backtest, stuck, targets=HOLD) == (
        "X: the time at row 2 (2020-01-01T02:00:00Z) is not after the one before; "
        "sort the bars, drop duplicates"
    )


def test_too_few_bars(bars):
    text = message(DataError, backtest, bars.slice(0, 1), targets=[NAN])
    assert text == "X: a backtest needs at least 2 bars, received 1"


def test_columns_of_different_length(bars):
    text = message(DataError, backtest, replace(bars, close=bars.close[:2]), targets=HOLD)
    assert text == (
        "X: the columns differ in length: "
        "{'timestamp': 3, 'open': 3, 'high': 3, 'low': 3, 'close': 2, 'volume': 3}"
    )


def test_volume_impact_needs_volume_where_a_fill_can_be(make_bars):
    bars = make_bars([ROW] * 3)
    impact = SlippageModel(0, impact=0.1)
    bars.volume[0] = 0  # no order can fill in the first bar
    assert backtest(bars, targets=HOLD, slippage=impact).equity[-1] == 100_000
    bars.volume[2] = 0
    assert message(DataError, backtest, bars, targets=HOLD, slippage=impact) == (
        "X: volume is 0.0 at row 2 (2020-01-01T02:00:00Z), where a fill would have no price; "
        "drop such bars, cap the participation or take no impact"
    )
    capped = SlippageModel(0, impact=0.1, max_participation=0.5)
    assert backtest(bars, targets=HOLD, slippage=capped).equity[-1] == 100_000
    bars.volume[2] = -1
    assert message(DataError, backtest, bars, targets=HOLD, slippage=capped) == (
        "X: volume is -1.0 at row 2 (2020-01-01T02:00:00Z), and the slippage depends on it; "
        "volumes must be finite and 0 or more"
    )
    assert backtest(bars, targets=HOLD, slippage_bps=5).equity[-1] == 100_000


def test_an_order_that_leaves_no_price_is_an_error(make_bars):
    bars = make_bars([ROW] * 3, volume=10)
    text = message(
        DataError, backtest, bars, targets=[-1, NAN, NAN], cash=1e6, slippage=SlippageModel(0, impact=0.5)
    )
    assert text == (
        "X: an order at row 1 is too large for the volume of its bar (10): "
        "the volume impact leaves no price; use less cash or impact, or a participation cap"
    )


def test_bars_of_another_type():
    assert message(DataError, backtest, [1, 2], targets=HOLD) == (
        "bars must be Bars, a mapping of them or a DataFrame, received list"
    )
    text = message(DataError, backtest, {}, targets={})
    assert text == "there are no bars to trade: the mapping of symbols is empty"


def test_several_symbols_need_a_mapping(bars):
    text = message(DataError, backtest, {"A": bars, "B": bars}, targets=HOLD)
    assert text == "targets must be a mapping of symbol to array for 2 symbols"


def test_a_data_frame_is_read(bars):
    frame = bars.to_frame().reset_index()
    frame["symbol"] = "X"
    targets = [1, NAN, NAN]
    one, other = (backtest(b, targets=targets, fee_bps=3) for b in (bars, frame))
    assert one.equity.tobytes() == other.equity.tobytes()
    assert other.symbols == ("X",)


@pytest.mark.parametrize(
    ("ours", "in_yaml"),
    [
        ({"fee_bps": 10}, {"fees": {"type": "proportional", "fee_bps": 10}}),
        ({"fee_bps": 10}, {"fees": {"type": "proportional"}}),  # 10 is the component's default
        ({"fee_bps": 10}, {"fees": "proportional"}),
        (
            {"fees": FeeSchedule(((0, 0.002), (1e5, 0.001)), minimum=3)},
            {"fees": {"type": "tiered", "tiers": [[0, 20], [1e5, 10]], "minimum": 3}},
        ),
        ({"slippage_bps": 7}, {"slippage": {"type": "bps", "slippage_bps": 7}}),
        (
            {"slippage": SlippageModel(0.0005, 0.01, 0.5, "cancel", on_stops=False)},
            {
                "slippage": {
                    "type": "volume_impact",
                    "max_participation": 0.5,
                    "remainder": "cancel",
                    "on_stops": False,
                }
            },
        ),
    ],
)
def test_costs_as_yaml_writes_them(random_bars, ours, in_yaml):
    bars, targets = random_bars(3, 60), np.sign(np.sin(np.arange(60)))
    one, other = (backtest(bars, targets=targets, stop_loss=0.02, **given) for given in (ours, in_yaml))
    assert one.equity.tobytes() == other.equity.tobytes()
    assert one.trades.tobytes() == other.trades.tobytes()
    assert one.costs["fees"] + one.costs["slippage"] > 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"fees": {"type": "tierd"}},
            "fees: unknown fees 'tierd' (did you mean 'tiered'?); known: fixed, proportional, tiered",
        ),
        ({"fees": {"type": "fixed", "fee": -1}}, "fees.fee: must be >= 0, received -1"),
        (
            {"fees": {"type": "tiered", "tiers": [[5, 10]]}},
            "fees: tiered: tiers must start at 0 and increase, received the starts [5.0]",
        ),
        (
            {"slippage": {"slippage_bps": 5}},
            "slippage: expected a component's name or a mapping with 'type', received {'slippage_bps': 5}",
        ),
        (
            {"fees": 0.001},
            "fees are a component, its YAML mapping ({'type': 'proportional', 'fee_bps': 10}) "
            "or a FeeSchedule, received 0.001",
        ),
        (
            {"slippage": 0.001},
            "slippage is a component, its YAML mapping ({'type': 'bps', 'slippage_bps': 5}) "
            "or a SlippageModel, received 0.001",
        ),
        (
            {"fees": {"type": "fixed"}, "fee_bps": 5},
            "give either fees or fee_bps, received both (fee_bps=5)",
        ),
    ],
)
def test_costs_in_yaml_that_are_refused(bars, options, text):
    assert message(ConfigError, backtest, bars, targets=HOLD, **options) == text


@pytest.mark.parametrize("layout", ["strided", "read_only", "float32"])
def test_any_memory_layout_gives_the_same_result(random_bars, layout):
    bars = random_bars(1, 50)
    columns = dict(bars.columns())
    if layout == "float32":
        columns = {name: column.astype(np.float32) for name, column in columns.items()}
        bars = replace(bars, **{name: column.astype(float) for name, column in columns.items()})
    elif layout == "strided":
        columns = {name: np.repeat(column, 2)[::2] for name, column in columns.items()}
    else:
        for column in columns.values():
            column.flags.writeable = False
    targets = np.sign(np.sin(np.arange(50)))
    same = backtest(replace(bars, **columns), targets=targets).equity
    assert same.tobytes() == backtest(bars, targets=targets).equity.tobytes()


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: FeeSchedule(()), "fee tiers must start at 0 and increase, received the starts []"),
        (
            lambda: FeeSchedule(((0, 0.1), (5, 0.1), (5, 0.0))),
            "fee tiers must start at 0 and increase, received the starts [0, 5, 5]",
        ),
        (
            lambda: SlippageModel(1.0),
            "a slippage rate is a fraction of the price in [0, 1), received 1.0",
        ),
        (
            lambda: FeeSchedule(((0, 1.0),)),
            "a fee rate is a fraction of notional in [0, 1), received 1.0",
        ),
        (
            lambda: SlippageModel(0, impact=-1),
            "a slippage impact is a fraction of the price, 0 or more, received -1",
        ),
        (
            lambda: Stops(take_profit=np.inf),
            "take_profit is a fraction of the entry price above 0 (0.02 = 2 %) or None, received inf",
        ),
    ],
)
def test_costs_and_stops(build, text):
    assert message(ConfigError, build) == text


def test_targets_of_python_numbers_in_an_object_array_are_numbers(bars):
    found = backtest(bars, targets=np.array([1, 0.5, NAN], object))
    assert found.equity.tobytes() == backtest(bars, targets=[1, 0.5, NAN]).equity.tobytes()


def labelled(bars, index):
    times = pd.to_datetime(bars.timestamp)
    return {
        "positions": None,
        "times": times,
        "utc": times.tz_localize("UTC"),
        "elsewhere": times.tz_localize("UTC").tz_convert("Europe/Berlin"),
        "nanoseconds": bars.timestamp,
        "slice": [1, 2, 3],
        "shifted": times + pd.Timedelta("1h"),
        "words": list("abc"),
    }[index]


@pytest.mark.parametrize("index", ["positions", "times", "utc", "elsewhere", "nanoseconds"])
def test_a_series_labelled_like_the_bars_is_an_array(bars, index):
    index = labelled(bars, index)
    assert backtest(bars, targets=pd.Series([1.0, NAN, 0.0], index)).traded > 0
    assert backtest(bars, signals=pd.Series([2, 1, 1], index)).traded > 0


@pytest.mark.parametrize("index", ["slice", "shifted", "words"])
def test_a_series_with_other_labels_is_refused(bars, index):
    index = labelled(bars, index)
    for what, values in (("targets", [1.0, NAN, 0.0]), ("signals", [2, 1, 1])):
        assert message(DataError, backtest, bars, **{what: pd.Series(values, index)}) == (
            f"X: the index of the {what} is neither 0 to 2 nor the times of the bars, so that positions "
            "could be shifted; reindex it to the bars, or give .to_numpy() when the order is right"
        )


def test_a_tick_that_leaves_no_price_is_named(make_bars):
    bars = make_bars([[100.0] * 4] * 4)
    with pytest.raises(DataError) as error:
        backtest(bars, targets=[1, 0, np.nan, np.nan], tick_size=100, slippage_bps=5)
    assert str(error.value) == (
        "X: an order at row 2 has no price: slippage and tick_size round 100 down to 0; use a smaller tick"
    )
