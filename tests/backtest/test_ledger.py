"""Every rule on a market that can be worked out on paper, asked of the ledger and of `backtest` alike."""

from __future__ import annotations

import numpy as np
import pytest
from reference.book import Options, round_lot, round_tick
from reference.compare import changed, run_engine, run_ledger
from reference.markets import Case, random_case

NAN = np.nan
FLAT_100 = (100, 100, 100, 100)
ENGINES = {"ledger": run_ledger, "backtest": run_engine}


@pytest.fixture(params=list(ENGINES))
def trade(request, make_bars):
    """Return a function: rows of one symbol (or a list of them), targets and options to an outcome."""

    def run(rows, targets, *, volume=1_000.0, starts=(0, 0), **options):
        several = isinstance(rows[0], list)
        markets = rows if several else [rows]
        stated = targets if several else [targets]
        bars = [
            make_bars(market, volume=volume, symbol=f"S{k}", start=starts[k])
            for k, market in enumerate(markets)
        ]
        padded = [
            np.array([*t, *[NAN] * (len(b) - len(t))], float) for t, b in zip(stated, bars, strict=True)
        ]
        case = Case(0, bars, padded, Options(**{"cash": 1_000.0} | options))
        return ENGINES[request.param](case)

    return run


def exits(outcome):
    return [(t.exit_bar, pytest.approx(t.exit_price), t.reason) for t in outcome.trades]


# Sizes


@pytest.mark.parametrize(
    ("options", "units"),
    [
        ({}, 10),
        ({"size": 0.5}, 5),
        ({"size": 3, "size_unit": "units"}, 3),
        ({"size": 450, "size_unit": "cash"}, 4.5),
        ({"lot_size": 3}, 9),
        ({"fee_tiers": ((0, 0.01),)}, 1_000 / 101),
        ({"fee_fixed": 10}, 9.9),
        # 0.5 % would let 9.9502 units through, but then the minimum of 10 is not covered.
        ({"fee_minimum": 10, "fee_tiers": ((0, 0.005),)}, 9.9),
        # 0.5 % of 995 is 4.975, more than the minimum.
        ({"fee_minimum": 1, "fee_tiers": ((0, 0.005),)}, 1_000 / 100.5),
        # 100 x 1.001 = 100.1 is rounded up to the tick.
        ({"slippage": 0.001, "tick_size": 0.5}, 1_000 / 100.5),
        # Wanted are 20; a margin of 80 per unit carries 12.5.
        ({"size": 2, "leverage": 4, "initial_margin": 0.8}, 12.5),
    ],
)
def test_size(trade, options, units):
    outcome = trade([FLAT_100] * 3, [1], **options)
    (held,) = outcome.open_trades
    assert held.units == pytest.approx(units, rel=1e-12)


def test_a_fixed_fee_leaves_no_debt(trade):
    outcome = trade([FLAT_100] * 3, [1], fee_fixed=10)
    assert outcome.equity == pytest.approx([1_000, 990, 990])
    assert outcome.costs["fees"] == pytest.approx(10)


def test_tick_rounding_goes_against_both_sides(trade):
    outcome = trade([FLAT_100] * 3, [1, 0], slippage=0.001, tick_size=0.5)
    (closed,) = outcome.trades
    assert (closed.entry_price, closed.exit_price) == (100.5, 99.5)


def test_orders_too_small_are_not_sent(trade):
    few = trade([FLAT_100] * 3, [1], lot_size=11)
    cheap = trade([FLAT_100] * 3, [1], min_notional=1_000.01)
    for outcome in (few, cheap):
        assert outcome.equity.tolist() == [1_000] * 3
        assert outcome.counts["not_sent"] == 1


def test_a_whole_position_is_closed_whatever_lot_and_minimum_say(trade):
    rows = [FLAT_100, FLAT_100, (10, 10, 10, 10)]
    assert exits(trade(rows, [1, 0], min_notional=500)) == [(2, 10, "signal")]


def test_nothing_is_opened_without_equity_for_the_fee(trade):
    outcome = trade([FLAT_100] * 3, [1], fee_fixed=1_000)
    assert outcome.counts["not_sent"] == 1
    assert outcome.equity.tolist() == [1_000] * 3


# Leverage, margin, liquidation


def test_leverage_borrows_cash(trade):
    outcome = trade([FLAT_100, FLAT_100, (110, 110, 110, 110)], [2], leverage=2)
    assert outcome.equity == pytest.approx([1_000, 1_000, 1_200])
    assert outcome.value[1] == pytest.approx(2_000)


def test_buying_power_leaves_the_fee(trade):
    outcome = trade([FLAT_100] * 2, [2], leverage=2, fee_tiers=((0, 0.01),))
    # Wanted 2 x 1000 / 101 = 19.802; margin and fee allow 1000 / (100 x 0.51) = 19.608.
    assert outcome.value[1] == pytest.approx(1_000 / 0.51)
    assert outcome.counts["margin_limited"] == 1


LEVERED = {"leverage": 2, "maintenance_margin": 0.1}


def test_a_long_is_liquidated_where_equity_is_the_margin(trade):
    # 20 units, cash -1000: 1000 / (20 x 0.9) = 55.556, worth 1111.11, equity 111.11.
    outcome = trade([FLAT_100, FLAT_100, (100, 100, 50, 90), FLAT_100], [2], **LEVERED)
    assert exits(outcome) == [(2, 1_000 / 18, "liquidation")]
    assert outcome.equity == pytest.approx([1_000, 1_000, 1_000 / 9, 1_000 / 9])
    assert not outcome.bankrupt


def test_a_short_is_liquidated_where_equity_is_the_margin(trade):
    # -20 units, cash 3000: 3000 / (20 x 1.1) = 136.364, owed 2727.27, equity 272.73.
    outcome = trade([FLAT_100, FLAT_100, (100, 150, 100, 100)], [-2], **LEVERED)
    assert exits(outcome) == [(2, 3_000 / 22, "liquidation")]
    assert outcome.equity[-1] == pytest.approx(3_000 / 11)


def test_the_liquidation_fee_is_a_fee(trade):
    rows = [FLAT_100, FLAT_100, (100, 100, 50, 90)]
    outcome = trade(rows, [2], liquidation_fee_bps=100, **LEVERED)
    assert outcome.equity[-1] == pytest.approx(1_000 / 9 - 1_000 / 90)
    assert outcome.trades[0].fees == pytest.approx(1_000 / 90)


def test_a_gap_through_the_liquidation_price_ends_trading(trade):
    outcome = trade([FLAT_100, FLAT_100, (40, 45, 35, 45), FLAT_100], [2, NAN, 1], **LEVERED)
    assert exits(outcome) == [(2, 40, "liquidation")]
    assert outcome.equity == pytest.approx([1_000, 1_000, -200, -200])
    assert outcome.bankrupt == ("S0",)


def test_the_nearer_of_stop_and_liquidation_acts(trade):
    rows = [FLAT_100, FLAT_100, (100, 100, 50, 90)]
    assert exits(trade(rows, [2], stop_loss=0.1, **LEVERED)) == [(2, 90, "stop_loss")]
    assert exits(trade(rows, [2], stop_loss=0.48, **LEVERED)) == [(2, 1_000 / 18, "liquidation")]


@pytest.mark.parametrize("convention", ["open_first", "open_first_skip_entry", "stop_first_drop"])
def test_liquidation_acts_in_the_entry_bar_under_every_convention(trade, convention):
    rows = [FLAT_100, (100, 100, 50, 90), FLAT_100]
    assert exits(trade(rows, [2], fill_convention=convention, **LEVERED)) == [(1, 1_000 / 18, "liquidation")]


# Exits


def test_a_trailing_stop_follows_the_highs_of_earlier_bars(trade):
    rows = [FLAT_100, (100, 110, 95, 108), (108, 130, 98, 100), FLAT_100]
    # Entry bar: 90. Bar 2: 110 x 0.9 = 99; its own high of 130 does not move the level.
    outcome = trade(rows, [1], trailing_stop=0.1)
    assert exits(outcome) == [(2, 99, "trailing_stop")]
    assert outcome.trades[0].mfe == pytest.approx(0.1)
    assert outcome.trades[0].mae == pytest.approx(-0.05)


def test_a_trailing_stop_of_a_short(trade):
    rows = [FLAT_100, (100, 105, 80, 82), (82, 90, 70, 75)]
    assert exits(trade(rows, [-1], trailing_stop=0.1)) == [(2, 88, "trailing_stop")]


def test_the_tighter_stop_counts_and_a_tie_is_the_stop_loss(trade):
    rows = [FLAT_100, (100, 110, 100, 100), (100, 100, 80, 80)]
    tie = [FLAT_100, (100, 100, 80, 80)]
    assert exits(trade(rows, [1], stop_loss=0.1, trailing_stop=0.1)) == [(2, 99, "trailing_stop")]
    assert exits(trade(rows, [1], stop_loss=0.005, trailing_stop=0.2)) == [(2, 99.5, "stop_loss")]
    assert exits(trade(tie, [1], stop_loss=0.1, trailing_stop=0.1)) == [(1, 90, "stop_loss")]


def test_a_time_stop_closes_at_the_open(trade):
    rows = [FLAT_100, FLAT_100, FLAT_100, (104, 110, 90, 95), FLAT_100, FLAT_100]
    outcome = trade(rows, [1, 1, 1, 1, 1], max_bars=2, stop_loss=0.08)
    assert exits(outcome) == [(3, 104, "time_stop")]
    assert outcome.equity[-1] == pytest.approx(1_040)
    assert not outcome.open_trades


def test_a_flip_in_the_bar_of_a_time_stop_is_a_signal(trade):
    outcome = trade([FLAT_100] * 5, [1, NAN, -1], max_bars=2)
    assert exits(outcome) == [(3, 100, "signal")]
    assert outcome.value[-1] == pytest.approx(-1_000)


def test_a_time_stop_drops_an_order_of_the_same_side(trade):
    outcome = trade([FLAT_100] * 6, [1, NAN, 0.5, 0.5], max_bars=2)
    assert exits(outcome) == [(3, 100, "time_stop")]
    assert outcome.value[-2:] == pytest.approx([500, 500])  # dropped, so 0.5 is news at the next bar


PARTS = {"volume": 10, "max_participation": 0.5, "stop_loss": 0.1}
FLAT_85 = (85, 85, 85, 85)
STOPPED = [FLAT_100, FLAT_100, FLAT_100, (100, 100, 80, 85), *[FLAT_85] * 3]


def test_an_order_of_the_same_side_does_not_replace_a_running_exit(trade):
    outcome = trade(STOPPED, [1, NAN, NAN, 0.5, 0.5], **PARTS)
    assert exits(outcome) == [(4, (90 + 85) / 2, "stop_loss")]
    # Not noted while the exit ran, so 0.5 is news at the next bar: wanted are 5.15 units.
    assert outcome.value[4:6] == pytest.approx([0, 5 * 85])


@pytest.mark.parametrize("target", [0, -0.5])
def test_a_closing_order_replaces_a_running_exit(trade, target):
    outcome = trade(STOPPED, [1, NAN, NAN, target], **PARTS)
    assert exits(outcome) == [(4, (90 + 85) / 2, "signal")]
    assert outcome.value[5] == pytest.approx(-5 * 85 if target else 0)


def test_what_is_left_of_an_exit_is_traded_in_whole_lots(trade):
    outcome = trade(STOPPED, [1], lot_size=2, **PARTS)
    # Bought 4, 4 and 2, which leaves room for one lot more; then two lots at a time.
    assert exits(outcome) == [(5, (2 * 90 + 8 * 85) / 10, "stop_loss")]


def test_a_limit_waits_through_a_bar_without_volume(trade):
    rows = [FLAT_100, (100, 100, 98, 100), (100, 100, 98, 100)]
    given = {"max_participation": 0.5, "remainder": "cancel", "limit_offset": 0.01, "limit_bars": 2}
    outcome = trade(rows, [1], volume=np.array([10.0, 0.0, 10.0]), **given)
    assert outcome.value.tolist() == [0, 0, 500]
    assert outcome.counts["cancelled"] == 1  # the part that the volume of bar 2 did not let through


def test_a_limit_to_sell_never_buys(trade):
    # Short 9.09 at 110. At the open of 100 the target wants 10.9 units, at the limit of 115.5 only 8.2.
    rows = [FLAT_100, (100, 111, 100, 100), (100, 105, 100, 105), (100, 120, 100, 100)]
    outcome = trade(rows, [-1], rebalance="every_bar", limit_offset=0.1)
    assert outcome.value[-1] == pytest.approx(-100 * 1_000 / 110)


def test_stops_without_slippage(trade):
    rows = [FLAT_100, FLAT_100, (100, 100, 80, 90)]
    outcome = trade(rows, [1], stop_loss=0.1, slippage=0.01, on_stops=False)
    assert exits(outcome) == [(2, 101 * 0.9, "stop_loss")]


# Conventions


def test_stop_first_lets_the_range_act_before_the_time_stop(trade):
    rows = [FLAT_100, FLAT_100, FLAT_100, (100, 110, 100, 105)]
    given = {"take_profit": 0.05, "max_bars": 2}
    assert exits(trade(rows, [1], fill_convention="stop_first_drop", **given)) == [(3, 105, "take_profit")]
    assert exits(trade(rows, [1], **given)) == [(3, 100, "time_stop")]


def test_stop_first_drops_the_order_and_forgets_its_target(trade):
    rows = [FLAT_100, FLAT_100, (100, 101, 97, 100), FLAT_100, FLAT_100]
    targets = [1, -1, -1]
    given = {"stop_loss": 0.02}
    outcome = trade(rows, targets, fill_convention="stop_first_drop", **given)
    assert exits(outcome) == [(2, 98, "stop_loss")]
    assert outcome.value == pytest.approx([0, 1_000, 0, -980, -980])
    first = trade(rows, targets, **given)
    assert exits(first) == [(2, 100, "signal")]
    assert first.value == pytest.approx([0, 1_000, -1_000, -1_000, -1_000])


@pytest.mark.parametrize("convention", ["open_first_skip_entry", "stop_first_drop"])
def test_the_entry_bar_is_not_checked(trade, convention):
    rows = [FLAT_100, (100, 100, 90, 95), (95, 99, 94, 96)]
    outcome = trade(rows, [1], stop_loss=0.02, fill_convention=convention)
    assert exits(outcome) == [(2, 95, "stop_loss")]
    assert exits(trade(rows, [1], stop_loss=0.02)) == [(1, 98, "stop_loss")]


# Limits


def test_a_limit_fills_inside_the_bar_without_slippage(trade):
    rows = [FLAT_100, (100, 101, 98, 100), (100, 100.5, 99.5, 100)]
    outcome = trade(rows, [1], limit_offset=0.01, slippage=0.01, take_profit=0.005)
    # 1000 / 99 units; the goal of 99.495 waits for the next bar, which opens beyond it.
    assert outcome.equity[1] == pytest.approx(1_000 / 0.99)
    assert exits(outcome) == [(2, 99, "take_profit")]
    (closed,) = outcome.trades
    assert (closed.entry_bar, closed.entry_price) == (1, 99)
    assert closed.mfe == pytest.approx(1 / 99)  # of bar 1 the close counts, not the high
    assert closed.mae == pytest.approx(-1 / 99)


def test_a_limit_beyond_the_open_fills_at_the_open(trade):
    outcome = trade([FLAT_100, (98, 101, 98, 100)], [1], limit_offset=0.01)
    assert outcome.open_trades[0].entry_price == 98
    short = trade([FLAT_100, (103, 104, 100, 100)], [-1], limit_offset=0.01)
    assert short.open_trades[0].entry_price == 103


def test_a_stop_acts_after_a_limit_in_the_same_bar(trade):
    rows = [FLAT_100, (100, 101, 98, 100), FLAT_100]
    outcome = trade(rows, [1], limit_offset=0.01, stop_loss=0.005)
    assert exits(outcome) == [(1, 99 * 0.995, "stop_loss")]
    skipped = trade(rows, [1], limit_offset=0.01, stop_loss=0.005, fill_convention="open_first_skip_entry")
    assert not skipped.trades


def test_a_limit_lapses(trade):
    rows = [FLAT_100, (100, 101, 99.5, 100), (100, 101, 99.5, 100), (100, 101, 98, 100)]
    two = trade(rows, [1], limit_offset=0.01, limit_bars=2)
    assert (two.counts["expired"], two.value.tolist()) == (1, [0, 0, 0, 0])
    three = trade(rows, [1], limit_offset=0.01, limit_bars=3)
    assert three.counts["expired"] == 0
    assert three.open_trades[0].entry_bar == 3


def test_a_limit_is_rounded_to_the_better_tick(trade):
    rows = [(99, 99, 99, 99), (99, 120, 80, 99)]
    buy = trade(rows, [1], limit_offset=0.01, tick_size=0.5)
    sell = trade(rows, [-1], limit_offset=0.01, tick_size=0.5)
    assert (buy.open_trades[0].entry_price, sell.open_trades[0].entry_price) == (98, 100)


def test_closing_is_a_market_order_and_a_flip_waits_for_its_limit(trade):
    rows = [FLAT_100, (98, 98, 98, 98), (98, 98.5, 97, 98), (98, 99, 97, 98)]
    outcome = trade(rows, [1, -1], limit_offset=0.01, limit_bars=2)
    assert exits(outcome) == [(2, 98, "signal")]
    # 98 x 1.01 = 98.98, reached in bar 3.
    assert outcome.open_trades[0].entry_bar == 3
    assert outcome.open_trades[0].entry_price == pytest.approx(98.98)


# Participation


CAPPED = {"volume": 20.0, "max_participation": 0.1}  # 2 units a bar


def test_the_rest_of_an_order_is_carried_on(trade):
    outcome = trade([FLAT_100] * 8, [0.5, NAN, NAN, 0], **CAPPED)
    assert outcome.value == pytest.approx([0, 200, 400, 500, 300, 100, 0, 0])
    (closed,) = outcome.trades
    assert (closed.entry_bar, closed.exit_bar, closed.units) == (1, 6, pytest.approx(5))


def test_the_rest_of_an_order_is_cancelled_but_an_exit_is_carried_on(trade):
    outcome = trade([FLAT_100] * 6, [0.5, 0.1, 0.5, 0], remainder="cancel", **CAPPED)
    # 2 of 5 bought; 1 sold; 2 of 4 bought; then 3 are sold in two bars.
    assert outcome.value == pytest.approx([0, 200, 100, 300, 100, 0])
    assert outcome.counts["cancelled"] == 2


def test_a_stop_sells_what_the_bar_takes_and_goes_on_at_the_open(trade):
    rows = [*[FLAT_100] * 4, (100, 100, 97, 99), (96, 99, 96, 99), (95, 95, 95, 95), FLAT_100]
    outcome = trade(rows, [0.5], stop_loss=0.02, **CAPPED)
    assert outcome.value[3:] == pytest.approx([500, 297, 99, 0, 0])
    assert exits(outcome) == [(6, (2 * 98 + 2 * 96 + 95) / 5, "stop_loss")]


def test_liquidation_does_not_wait_for_volume(trade):
    rows = [*[FLAT_100] * 11, (100, 100, 50, 90)]
    outcome = trade(rows, [2], **LEVERED, **CAPPED)
    assert outcome.value[10] == pytest.approx(2_000)
    assert exits(outcome) == [(11, 1_000 / 18, "liquidation")]


def test_a_flip_opens_once_it_is_flat(trade):
    outcome = trade([FLAT_100] * 8, [0.3, NAN, -0.3], **CAPPED)
    # +3 in two bars, -3 in two bars with 1 unit of room left, which opens the short.
    assert outcome.value == pytest.approx([0, 200, 300, 100, -100, -300, -300, -300])
    assert [t.reason for t in outcome.trades] == ["signal"]


def test_no_volume_no_fill(trade):
    outcome = trade([FLAT_100] * 3, [1], volume=0.0, max_participation=0.1)
    assert outcome.costs["traded"] == 0


def test_impact_is_that_of_the_units_filled(trade):
    outcome = trade([FLAT_100] * 2, [0.5], volume=20.0, max_participation=0.1, impact=0.1)
    (held,) = outcome.open_trades
    assert held.units == pytest.approx(2)
    assert held.entry_price == pytest.approx(100 * (1 + 0.1 * np.sqrt(0.1)))


# Financing


@pytest.mark.parametrize(("side", "equity"), [(1, 990), (-1, 1_010)])
def test_funding_is_paid_by_longs_at_every_multiple_of_the_interval(trade, side, equity):
    rows = [FLAT_100, FLAT_100, (100, 110, 90, 100), FLAT_100]
    outcome = trade(rows, [side], funding={"rate": 0.01, "every": "2h"})
    # Hours 0, 1, 2, 3: entered at 1, due at 2.
    assert outcome.equity == pytest.approx([1_000, 1_000, equity, equity])
    assert outcome.open_trades[0].financing == pytest.approx(1_000 - equity)


def test_funding_per_bar(trade):
    outcome = trade([FLAT_100] * 4, [1], funding=(0.5, 0.5, 0.001, -0.002))
    # Nothing is held at the open of bar 1.
    assert outcome.equity == pytest.approx([1_000, 1_000, 999, 1_001])


HOURLY = 0.001 * 365.25 * 24


def test_a_short_borrows_its_units_and_a_levered_long_its_debt(trade):
    short = trade([FLAT_100] * 4, [-1], borrow_rate=HOURLY)
    assert short.equity == pytest.approx([1_000, 1_000, 999, 998])
    long = trade([FLAT_100] * 4, [2], borrow_rate=HOURLY, leverage=2)
    assert long.equity == pytest.approx([1_000, 1_000, 999, 999 - 1.001])
    plain = trade([FLAT_100] * 4, [1], borrow_rate=HOURLY)
    assert plain.equity == pytest.approx([1_000] * 4)


def test_pnl_is_net_of_financing(trade):
    outcome = trade([FLAT_100] * 4, [-1, NAN, 0], borrow_rate=HOURLY)
    (closed,) = outcome.trades
    assert closed.pnl == pytest.approx(-2)
    assert closed.financing == pytest.approx(2)


# Several symbols


def test_a_shared_account_sizes_from_all_its_equity(trade):
    up = [FLAT_100, FLAT_100, (120, 120, 120, 120), (120, 120, 120, 120)]
    outcome = trade([up, [FLAT_100] * 4], [[0.5], [NAN, 0.5]], capital="shared")
    # 5 units of the first; equity 1100 when the second is bought: 5.5 units, cash -50 is not lent.
    assert outcome.counts["margin_limited"] == 1
    assert outcome.open_trades[1].units == pytest.approx(5)


def test_a_shared_account_closes_before_it_opens(trade):
    outcome = trade([[FLAT_100] * 4, [FLAT_100] * 4], [[NAN, 1], [1, 0]], capital="shared")
    assert [t.symbol for t in outcome.trades] == [1]
    assert [(t.symbol, t.units) for t in outcome.open_trades] == [(0, 10)]
    assert outcome.counts["margin_limited"] == 0


def test_a_shared_account_is_liquidated_at_one_moment(trade):
    first = [FLAT_100, FLAT_100, (100, 100, 60, 70), FLAT_100]
    second = [FLAT_100, FLAT_100, (100, 100, 40, 70), FLAT_100]
    outcome = trade([first, second], [[1], [1]], capital="shared", **LEVERED)
    # Spare margin 800 at the opens, -100 at the lows: 8/9 of the way.
    assert sorted(t.exit_price for t in outcome.trades) == pytest.approx([100 - 480 / 9, 100 - 320 / 9])
    assert outcome.equity[-1] == pytest.approx(1_000 / 9)
    assert {t.reason for t in outcome.trades} == {"liquidation"}


@pytest.mark.parametrize("capital", ["shared", "sleeves"])
def test_a_symbol_may_start_late_and_end_early(trade, capital):
    # The first has hours 0 to 2, the second 2 to 5.
    rows = [[FLAT_100, FLAT_100, (110, 110, 110, 110)], [FLAT_100, FLAT_100, FLAT_100, (90, 90, 90, 90)]]
    outcome = trade(rows, [[0.5], [0.5]], capital=capital, starts=(0, 2))
    if capital == "sleeves":  # 2.5 units each
        assert outcome.equity == pytest.approx([1_000, 1_000, 1_025, 1_025, 1_025, 1_000])
    else:  # 5 units, then 5.25 x 100 of an equity of 1050, but only 500 of cash
        assert outcome.equity == pytest.approx([1_000, 1_000, 1_050, 1_050, 1_050, 1_000])


# The ledger's own bookkeeping


def test_rounding_helpers():
    assert round_lot(0.3, 0.1) == pytest.approx(0.3)  # 0.3 / 0.1 is 2.9999999999999996
    assert round_lot(0.29, 0.1) == pytest.approx(0.2)
    assert [round_tick(100.1, 0.5, up) for up in (True, False)] == [100.5, 100.0]


def test_the_random_markets_reach_every_feature_and_the_books_balance():
    reasons, counts, used = set(), {}, set()
    for seed in range(300):
        case = random_case(seed)
        outcome = run_ledger(case)
        reasons |= {t.reason for t in outcome.trades}
        used |= set(changed(case.options))
        counts = {name: counts.get(name, 0) + n for name, n in outcome.counts.items()}
        earned = sum(t.pnl for t in outcome.trades) + sum(t.pnl for t in outcome.open_trades)
        assert earned == pytest.approx(outcome.costs["net"], abs=1e-6)
    assert reasons >= {"signal", "stop_loss", "take_profit", "trailing_stop", "time_stop", "liquidation"}
    assert min(counts.values()) > 0
    assert used >= set(vars(Options()))
