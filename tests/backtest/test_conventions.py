"""The three fill conventions on bars where they differ."""

from __future__ import annotations

import numpy as np
import pytest

from simengine.backtest import backtest

NAN = np.nan
FLAT_100 = (100, 100, 100, 100)
OPEN_FIRST, SKIP_ENTRY, STOP_FIRST = "open_first", "open_first_skip_entry", "stop_first_drop"


def run(make_bars, rows, targets, convention, **options):
    stated = [*targets, *[NAN] * (len(rows) - len(targets))]
    return backtest(make_bars(rows), targets=stated, cash=1_000, fill_convention=convention, **options)


def exits(result):
    frame = result.trades_frame()
    return list(zip(frame["exit_price"].map(pytest.approx), frame["exit_reason"], strict=True))


@pytest.mark.parametrize(
    ("convention", "expected", "equity", "value"),
    [
        # Sold at the open of 100, 10 sold short; their stop at 102 is in the range: 20 lost.
        (OPEN_FIRST, [(100, "signal"), (102, "stop_loss")], 980, 0),
        # The same, but the short is not looked at in this bar: marked at 101.
        (SKIP_ENTRY, [(100, "signal")], 990, -1_010),
        # The stop of the long at 98 is in the range: 20 lost, and the order to go short is dropped.
        (STOP_FIRST, [(98, "stop_loss")], 980, 0),
    ],
)
def test_a_flip_in_a_bar_that_reaches_both_stops(make_bars, convention, expected, equity, value):
    rows = [FLAT_100, FLAT_100, (100, 104, 97, 101)]
    result = run(make_bars, rows, [1, -1], convention, stop_loss=0.02)
    assert exits(result) == expected
    assert result.equity[2] == pytest.approx(equity)
    assert result.value[2] == pytest.approx(value)
    assert result.fill_convention == convention
    assert f"  {convention}\n" in repr(result)


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        (OPEN_FIRST, [(98, "stop_loss")]),
        (SKIP_ENTRY, [(103, "take_profit")]),
        (STOP_FIRST, [(103, "take_profit")]),
    ],
)
def test_the_entry_bar(make_bars, convention, expected):
    rows = [FLAT_100, (100, 101, 97, 100), (100, 104, 99, 100)]
    assert exits(run(make_bars, rows, [1], convention, stop_loss=0.02, take_profit=0.03)) == expected


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        # 5 at 100 and 50/11 at 110: 1000 paid for 105/11 units, so the stop is at 98 % of 104.7619.
        (OPEN_FIRST, [(0.98 * 11_000 / 105, "stop_loss")]),
        (SKIP_ENTRY, [(0.98 * 11_000 / 105, "stop_loss")]),
        # The stop of the 5 held before was at 98; nothing is checked after the order.
        (STOP_FIRST, []),
    ],
)
def test_a_position_that_is_increased(make_bars, convention, expected):
    rows = [FLAT_100, FLAT_100, (110, 110, 102, 104)]
    assert exits(run(make_bars, rows, [0.5, 1], convention, stop_loss=0.02)) == expected


@pytest.mark.parametrize("convention", [OPEN_FIRST, SKIP_ENTRY, STOP_FIRST])
def test_they_agree_without_stops(random_bars, convention):
    bars = random_bars(8, 300)
    targets = np.random.default_rng(8).choice([-1.0, 0.0, 1.0, NAN], 300)
    one = backtest(bars, targets=targets, fee_bps=5)
    other = backtest(bars, targets=targets, fee_bps=5, fill_convention=convention)
    assert one.equity.tobytes() == other.equity.tobytes()


@pytest.mark.parametrize("convention", [OPEN_FIRST, SKIP_ENTRY, STOP_FIRST])
def test_they_agree_on_a_bar_without_orders(make_bars, convention):
    rows = [FLAT_100, FLAT_100, (97, 99, 96, 98), FLAT_100]
    result = run(make_bars, rows, [1], convention, stop_loss=0.02, take_profit=0.05)
    assert exits(result) == [(97, "stop_loss")]  # the open is beyond the stop


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        (OPEN_FIRST, [(101, "time_stop")]),
        (SKIP_ENTRY, [(101, "time_stop")]),
        (STOP_FIRST, [(98, "stop_loss")]),
    ],
)
def test_a_time_stop_trades_at_the_open_as_orders_do(make_bars, convention, expected):
    rows = [FLAT_100, FLAT_100, (101, 101, 90, 95)]
    assert exits(run(make_bars, rows, [1], convention, stop_loss=0.02, max_bars=1)) == expected
    calm = [FLAT_100, FLAT_100, (101, 101, 99, 100)]
    assert exits(run(make_bars, calm, [1], convention, stop_loss=0.02, max_bars=1)) == [(101, "time_stop")]
