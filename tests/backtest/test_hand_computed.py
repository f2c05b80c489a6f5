"""Small markets whose result can be worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from simengine.backtest import FeeSchedule, SlippageModel, backtest
from simengine.types import Signal

NAN = np.nan
FLAT_100 = (100, 100, 100, 100)


def reasons(result):
    return result.trades_frame(include_open=True)["exit_reason"].tolist()


def test_a_long_trade_fills_at_the_next_open(make_bars):
    bars = make_bars([(90, 101, 90, 100), (100, 106, 99, 105), (110, 116, 109, 115), (120, 121, 119, 120)])
    result = backtest(bars, targets=[1, NAN, 0, NAN], cash=1_000)
    assert result.equity.tolist() == [1_000, 1_050, 1_150, 1_200]
    assert result.exposure.tolist() == [0, 1, 1, 0]
    assert result.returns == pytest.approx([0, 0.05, 1_150 / 1_050 - 1, 1_200 / 1_150 - 1])
    (trade,) = result.trades
    assert (trade["entry_bar"], trade["exit_bar"], trade["side"]) == (1, 3, 1)
    assert result.trades_frame()["bars_held"].tolist() == [2]
    assert (trade["units"], trade["entry_price"], trade["exit_price"]) == (10, 100, 120)
    assert (trade["pnl"], trade["fees"], trade["slippage"], trade["financing"]) == (200, 0, 0, 0)
    assert trade["return"] == pytest.approx(0.2)
    assert trade["mae"] == pytest.approx(-0.01)  # low 99 of bar 1
    assert trade["mfe"] == pytest.approx(0.20)  # of the exit bar only the open, 120, counts
    assert reasons(result) == ["signal"]


def test_a_short_trade_earns_when_the_price_falls(make_bars):
    bars = make_bars([FLAT_100, (100, 104, 90, 90), (80, 80, 80, 80), (80, 80, 80, 80)])
    result = backtest(bars, targets=[-1, 0, NAN, NAN], cash=1_000)
    assert result.equity.tolist() == [1_000, 1_100, 1_200, 1_200]
    (trade,) = result.trades
    assert trade["side"] == -1
    assert trade["pnl"] == pytest.approx(200)
    assert trade["mae"] == pytest.approx(-0.04)
    assert trade["mfe"] == pytest.approx(0.20)
    assert result.exposure[1] == pytest.approx(-900 / 1_100)


def test_a_flip_closes_first_and_sizes_from_what_is_left(make_bars):
    bars = make_bars([FLAT_100, FLAT_100, (110, 110, 110, 110), (99, 99, 99, 99)])
    result = backtest(bars, targets=[1, -1, NAN, NAN], cash=1_000, fee_bps=100)
    # Buy 1000 / (100 x 1.01) = 9.90099 units. Sell them at 110: 1089.1089 less 10.8911 = 1078.2178.
    # Short 1078.2178 / (110 x 1.01) = 9.70493 units: 1067.5424 received, fee 10.6754.
    # At 99 the position is worth -960.7882: 1078.2178 + 1067.5424 - 10.6754 - 960.7882 = 1174.2966.
    assert result.equity[2] == pytest.approx(1_067.5424, abs=1e-4)
    assert result.equity[3] == pytest.approx(1_174.2966, abs=1e-4)
    assert reasons(result) == ["signal", "open"]
    assert result.trades[0]["fees"] == pytest.approx(9.9010 + 10.8911, abs=1e-4)
    assert result.open_trades[0]["fees"] == pytest.approx(10.6754, abs=1e-4)
    assert result.stats["trades"] == 1


def test_fees_and_slippage_to_the_cent(make_bars):
    bars = make_bars([FLAT_100, (100, 110, 100, 110), (120, 120, 120, 120)])
    result = backtest(bars, targets=[1, 0, NAN], cash=100_000, fee_bps=10, slippage_bps=5)
    # Buy at 100.05: 100000 / (100.05 x 1.001) = 998.501748 units for 99900.10, fee 99.90.
    # Sell at 119.94: 119760.30, fee 119.76. Quotes were 0.05 and 0.06 away: 49.93 + 59.91.
    assert result.equity[-1] == pytest.approx(119_640.54, abs=0.005)
    assert result.costs["fees"] == pytest.approx(219.66, abs=0.005)
    assert result.costs["slippage"] == pytest.approx(109.84, abs=0.005)
    assert result.costs["gross"] == pytest.approx(998.501748 * 20, abs=0.005)
    assert result.costs["traded"] == pytest.approx(219_660.40, abs=0.005)
    (trade,) = result.trades
    assert (trade["entry_price"], trade["exit_price"]) == (pytest.approx(100.05), pytest.approx(119.94))
    assert trade["pnl"] == pytest.approx(19_640.54, abs=0.005)


def test_a_stop_loss_acts_in_the_entry_bar(make_bars):
    bars = make_bars([FLAT_100, (100, 101, 97, 100), FLAT_100])
    result = backtest(bars, targets=[1, NAN, NAN], cash=1_000, stop_loss=0.02)
    assert result.equity.tolist() == [1_000, 980, 980]
    (trade,) = result.trades
    assert (trade["entry_bar"], trade["exit_bar"], trade["exit_price"]) == (1, 1, 98)
    assert trade["mae"] == pytest.approx(-0.02)
    assert trade["mfe"] == 0  # whether the high came before the stop is not known
    assert reasons(result) == ["stop_loss"]


def test_a_gap_through_the_stop_fills_at_the_open(make_bars):
    bars = make_bars([FLAT_100, FLAT_100, (90, 95, 89, 94)])
    result = backtest(bars, targets=[1, NAN, NAN], cash=1_000, stop_loss=0.02)
    assert result.trades["exit_price"].tolist() == [90]
    assert result.equity[-1] == 900


def test_a_gap_through_the_target_fills_at_the_open(make_bars):
    bars = make_bars([FLAT_100, FLAT_100, (90, 95, 89, 94)])
    result = backtest(bars, targets=[-1, NAN, NAN], cash=1_000, take_profit=0.02)
    assert result.trades["exit_price"].tolist() == [90]
    assert result.equity[-1] == 1_100
    assert reasons(result) == ["take_profit"]


@pytest.mark.parametrize(("side", "exit_price"), [(1, 98), (-1, 102)])
def test_the_stop_counts_when_stop_and_target_lie_in_one_bar(make_bars, side, exit_price):
    bars = make_bars([FLAT_100, (100, 105, 95, 100), FLAT_100])
    result = backtest(bars, targets=[side, NAN, NAN], cash=1_000, stop_loss=0.02, take_profit=0.03)
    assert result.trades["exit_price"].tolist() == [exit_price]
    assert reasons(result) == ["stop_loss"]


def test_levels_are_measured_from_the_fill_price_and_slippage_moves_the_exit_beyond(make_bars):
    bars = make_bars([FLAT_100, FLAT_100, (100, 100, 97, 98)])
    result = backtest(bars, targets=[1, NAN, NAN], cash=1_000, slippage_bps=100, stop_loss=0.02)
    # Filled at 101, stop at 98.98, filled 1 % lower.
    assert result.trades["exit_price"].tolist() == [pytest.approx(98.98 * 0.99)]


def test_a_stop_already_passed_by_slippage_fills_at_the_open_inside_the_bar(make_bars):
    bars = make_bars([FLAT_100, (100, 100.5, 99.5, 100), FLAT_100])
    result = backtest(bars, targets=[1, NAN, NAN], cash=1_000, slippage_bps=500, stop_loss=0.01)
    # Filled at 105, so the stop at 103.95 lies above the bar: quote 100, price 95.
    assert result.trades["exit_price"].tolist() == [pytest.approx(95)]


def test_an_order_at_the_open_comes_before_the_stop(make_bars):
    bars = make_bars([FLAT_100, FLAT_100, (90, 101, 89, 100), FLAT_100])
    result = backtest(bars, targets=[1, 0, NAN, NAN], cash=1_000, stop_loss=0.02)
    assert reasons(result) == ["signal"]
    assert result.trades["exit_price"].tolist() == [90]


def test_after_a_stop_on_change_waits_for_another_target(make_bars):
    rows = [FLAT_100, FLAT_100, (100, 100, 97, 99), *[FLAT_100] * 4]
    result = backtest(make_bars(rows), targets=[1, 1, 1, 1, -1, NAN, NAN], cash=1_000, stop_loss=0.02)
    assert result.exposure.tolist() == pytest.approx([0, 1, 0, 0, 0, -1, -1])


@pytest.mark.parametrize("rebalance", ["every_bar", {"band": 0.5}])
def test_after_a_stop_the_other_rules_wait_for_a_stated_target(make_bars, rebalance):
    rows = [FLAT_100, FLAT_100, (100, 100, 97, 99), *[FLAT_100] * 3]
    given = {"cash": 1_000, "stop_loss": 0.02, "rebalance": rebalance}
    kept = backtest(make_bars(rows), targets=[1, NAN, NAN, NAN, 1, NAN], **given)
    assert kept.exposure.tolist() == pytest.approx([0, 1, 0, 0, 0, 1])
    stated = backtest(make_bars(rows), targets=[1, 1, 1, 1, 1, 1], **given)
    assert stated.exposure.tolist() == pytest.approx([0, 1, 0, 1, 1, 1])


def test_fractional_sizes_are_merged_into_one_trade(make_bars):
    bars = make_bars([FLAT_100, FLAT_100, (110, 110, 110, 110), (121, 121, 121, 121), (121, 121, 121, 121)])
    result = backtest(bars, targets=[0.5, 1, 0.5, 0, NAN], cash=1_000)
    # 5 units at 100; equity 1050 at 110, so 9.5455 units; 1155 at 121, so 4.7727 units; then none.
    assert result.equity.tolist() == pytest.approx([1_000, 1_000, 1_050, 1_155, 1_155])
    (trade,) = result.trades
    assert trade["units"] == pytest.approx(1_050 / 110)
    assert trade["entry_price"] == pytest.approx((500 + 500) / (1_050 / 110))
    assert trade["exit_price"] == pytest.approx(121)
    assert trade["pnl"] == pytest.approx(155)


def test_every_bar_rebalances_and_a_band_waits(make_bars):
    rows = [FLAT_100, FLAT_100, (110, 110, 110, 110), (130, 130, 130, 130), (130, 130, 130, 130)]
    bars = make_bars(rows)
    targets = [0.5, NAN, NAN, NAN, NAN]
    every = backtest(bars, targets=targets, cash=1_000, rebalance="every_bar")
    assert every.exposure.tolist() == pytest.approx([0, 0.5, 0.5, 0.5, 0.5])
    band = backtest(bars, targets=targets, cash=1_000, rebalance={"band": 0.05})
    # 550 / 1050 = 0.524 stays; 650 / 1150 = 0.565 is beyond 0.55.
    assert band.exposure.tolist() == pytest.approx([0, 0.5, 550 / 1_050, 0.5, 0.5])
    change = backtest(bars, targets=targets, cash=1_000)
    assert change.exposure.tolist() == pytest.approx([0, 0.5, 550 / 1_050, 650 / 1_150, 650 / 1_150])


def test_a_band_still_closes_a_small_position(make_bars):
    bars = make_bars([FLAT_100] * 4)
    result = backtest(bars, targets=[0.1, 0, NAN, NAN], cash=1_000, rebalance={"band": 0.05})
    assert result.exposure.tolist() == pytest.approx([0, 0.1, 0, 0])
    inside = backtest(bars, targets=[0.04, 0.04, 0.04, NAN], cash=1_000, rebalance={"band": 0.05})
    assert inside.costs["traded"] == 0


def test_signals_map_to_exposure(make_bars):
    bars = make_bars([FLAT_100] * 6)
    signals = [Signal.BUY, Signal.HOLD, Signal.SELL, Signal.HOLD, Signal.HOLD, Signal.BUY]
    keep = backtest(bars, signals=signals, cash=1_000)
    assert keep.exposure.tolist() == pytest.approx([0, 1, 1, -1, -1, -1])
    flat = backtest(bars, signals=signals, cash=1_000, on_hold="flat")
    assert flat.exposure.tolist() == pytest.approx([0, 1, 0, -1, 0, 0])
    for dtype in (np.int8, np.int64, np.uint8):
        again = backtest(bars, signals=np.array(signals, dtype), cash=1_000)
        assert again.equity.tobytes() == keep.equity.tobytes()


def test_fee_tiers_count_the_notional_of_the_account(make_bars):
    bars = make_bars([FLAT_100] * 5)
    tiers = FeeSchedule(((0, 0.01), (1_500, 0.001)))
    result = backtest(bars, targets=[1, 0, 1, 0, NAN], cash=1_000, fees=tiers)
    # 990.10 at 1 %, 990.10 still at 1 % (990.10 traded), then 0.1 % of 979.22 twice.
    assert result.trades["fees"] == pytest.approx([9.9010 * 2, 0.97922 * 2], abs=1e-4)


def test_volume_impact_follows_the_square_root(make_bars):
    bars = make_bars([FLAT_100] * 3, volume=1_000)
    result = backtest(bars, targets=[0.5, 0, NAN], cash=1_000, slippage=SlippageModel(0.001, impact=0.1))
    buy, sell = result.trades["entry_price"][0], result.trades["exit_price"][0]
    units = result.trades["units"][0]
    assert buy == pytest.approx(100 * (1 + 0.001 + 0.1 * np.sqrt(units / 1_000)), rel=1e-12)
    assert sell == pytest.approx(100 * (1 - 0.001 - 0.1 * np.sqrt(units / 1_000)), rel=1e-12)
    assert units * buy == pytest.approx(500, rel=1e-12)


@pytest.mark.parametrize(
    ("row", "options", "left", "reason"),
    [
        # 10 units short, 2000 of cash: nothing is left at 200.
        ((150, 250, 150, 150), {}, 0, "liquidation"),
        # The open is beyond that price already.
        ((210, 210, 210, 210), {}, -100, "liquidation"),
        # The close is that price, and nothing beyond it was seen.
        ((150, 200, 150, 200), {}, 0, "bankrupt"),
        # 9 units short, 1800 of cash. The stop at 195 leaves 45, the second fee 55 less than nothing.
        (
            (150, 197, 150, 150),
            {"stop_loss": 0.95, "fees": FeeSchedule(((0, 0),), fixed=100)},
            -55,
            "stop_loss",
        ),
    ],
)
def test_nothing_left_ends_the_trading(make_bars, row, options, left, reason):
    rows = [FLAT_100, FLAT_100, row, *[FLAT_100] * 3]
    result = backtest(make_bars(rows), targets=[-1, NAN, NAN, 1, NAN, NAN], cash=1_000, **options)
    assert result.equity[2:].tolist() == pytest.approx([left] * 4)
    assert result.bankrupt == ("X",)
    assert reasons(result) == [reason]
    assert result.value[2:].tolist() == [0] * 4
    assert result.stats["cagr"] == -1


def test_an_account_below_zero_in_figures(make_bars):
    rows = [FLAT_100, FLAT_100, (210, 210, 210, 210), *[FLAT_100] * 3]
    result = backtest(make_bars(rows), targets=[-1, NAN, NAN, 1, NAN, NAN], cash=1_000)
    assert result.exposure.tolist() == [0, -1, 0, 0, 0, 0]
    assert result.stats["cagr"] == -1
    assert result.stats["net_return"] == pytest.approx(-1.1)
    assert "bankrupt" in repr(result)


def test_the_last_decision_has_no_bar_to_fill_in(make_bars):
    result = backtest(make_bars([FLAT_100] * 3), targets=[NAN, NAN, 1], cash=1_000)
    assert result.costs["traded"] == 0
    assert len(result.open_trades) == 0


def test_a_fee_tier_begins_at_its_notional(make_bars):
    bars = make_bars([FLAT_100] * 3)
    tiers = FeeSchedule(((0, 0.0), (1_000, 0.01)))
    result = backtest(bars, targets=[1, 0, NAN], cash=1_000, fees=tiers)
    # 1000 bought free of charge, then exactly 1000 are traded: the sale pays 1 %.
    assert result.trades["fees"].tolist() == [10]
