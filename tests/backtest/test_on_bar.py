"""Rules of the user's that see the account at the close of every bar."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from simengine.backtest import backtest, sweep
from simengine.backtest.onbar import on_bar
from simengine.errors import ConfigError, PluginError

NAN = np.nan
ARGUMENTS = "i, target, open, high, low, close, volume, account, memory"


@on_bar
def follow(i, target, open, high, low, close, volume, account, memory):
    return target


def rule(body, **options):
    """A rule with this body, whose memory may be declared."""
    names = {}
    exec("from simengine.backtest.onbar import *\nimport numpy as np\n", names)
    exec(f"def mine({ARGUMENTS}):\n{textwrap.indent(textwrap.dedent(body), '    ')}", names)
    return on_bar(**options)(names["mine"])


def random_targets(n, seed=3):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.1, rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0], n), NAN)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stop_loss": 0.02, "take_profit": 0.03, "trailing_stop": 0.05, "max_bars": 40},
        {"rebalance": "every_bar", "stop_loss": 0.02, "fill_convention": "stop_first_drop"},
        {"rebalance": {"band": 0.1}, "limit_offset": 0.002, "limit_bars": 3},
        {"borrow_rate": 0.1, "leverage": 2.0, "maintenance_margin": 0.05, "lot_size": 0.5, "tick_size": 0.01},
        {"slippage": {"type": "volume_impact", "max_participation": 0.001}, "cash": 1e6},
    ],
)
def test_a_rule_that_follows_the_targets_changes_nothing(random_bars, options):
    bars, targets = random_bars(1, 3_000), random_targets(3_000)
    options = {"fee_bps": 5, **options}
    plain = backtest(bars, targets=targets, **options)
    ruled = backtest(bars, targets=targets, on_bar=follow, **options)
    assert len(plain.trades) > 20
    assert ruled.equity.tobytes() == plain.equity.tobytes()
    assert ruled.trades.tobytes() == plain.trades.tobytes()
    assert ruled.orders.tobytes() == plain.orders.tobytes()
    assert ruled.stats == pytest.approx(plain.stats, rel=0, abs=0, nan_ok=True)
    assert ruled.counts == plain.counts


def test_the_rule_sees_the_account_at_the_close(make_bars):
    bars = make_bars([(100, 100, 100, 100), (100, 112, 98, 110), (110, 111, 104, 105)])
    # Bar 1 sells 5 units at 100, which have lost 50 by its close.
    seen = rule(
        """
        if i == 0:
            assert account[CASH] == 1000.0 and account[EQUITY] == 1000.0 and account[UNITS] == 0.0
            assert account[EXPOSURE] == 0.0 and account[ENTRY_BAR] == -1.0 and account[BARS_HELD] == 0.0
            assert account[PNL] == 0.0 and account[TARGET] == 0.0 and account[TRADES] == 0.0
            assert np.isnan(account[ENTRY_PRICE]) and np.isnan(account[BEST]) and np.isnan(account[WORST])
            assert np.isnan(account[STOP]) and np.isnan(account[GOAL])
        if i == 1:
            assert account[CASH] == 1500.0 and account[EQUITY] == 950.0 and account[UNITS] == -5.0
            assert account[EXPOSURE] == -550.0 / 950.0 and account[ENTRY_PRICE] == 100.0
            assert account[ENTRY_BAR] == 1.0 and account[BARS_HELD] == 0.0 and account[TARGET] == -0.5
            assert account[BEST] == 98.0 and account[WORST] == 112.0 and account[PNL] == -50.0
            assert account[STOP] == 120.0 and account[GOAL] == 70.0
        if i == 2:
            assert account[BARS_HELD] == 1.0 and account[PNL] == -25.0 and account[TRADES] == 0.0
            raise ValueError("all seen")
        return target
        """
    )
    with pytest.raises(ValueError, match="all seen"):
        backtest(bars, targets=[-0.5, NAN, NAN], cash=1_000.0, stop_loss=0.2, take_profit=0.3, on_bar=seen)


def test_the_bars_end_at_the_one_that_has_closed(make_bars):
    bars = make_bars([(1, 1, 1, 1), (2, 5, 1, 3), (3, 3, 2, 2)])
    seen = rule(
        """
        assert len(open) == len(high) == len(low) == len(close) == len(volume) == i + 1
        if i == 1:
            assert open[-1] == 2.0 and high[-1] == 5.0 and low[-1] == 1.0 and close[-1] == 3.0
            raise ValueError("all seen")
        return target
        """
    )
    with pytest.raises(ValueError, match="all seen"):
        backtest(bars, targets=[NAN] * 3, on_bar=seen)


def test_the_next_bar_is_out_of_reach(make_bars):
    bars = make_bars([(1, 1, 1, 1)] * 4)
    with pytest.raises(PluginError) as caught:
        backtest(bars, targets=[NAN] * 4, on_bar=rule("return 1.0 if close[i + 1] > close[i] else 0.0"))
    assert str(caught.value) == (
        "on_bar mine: index is out of bounds; the bars end at the one that has closed, [-1], "
        "and the memory holds 16 numbers"
    )


TRAIL = """
if account[UNITS] > 0.0:
    level = 0.97 * account[BEST]
    if not account[STOP] >= level:
        account[STOP] = level
memory[0] += close[-1] - open[-1]
if memory[0] > 0.3 * np.std(close):
    memory[0] = 0.0
    return 1.0 if account[UNITS] <= 0.0 else -0.5
return target
"""


@pytest.mark.parametrize("cut", [50, 333, 500])
def test_later_bars_change_no_earlier_decision(random_bars, cut):
    bars, targets, decides = random_bars(5, 600), random_targets(600), rule(TRAIL)
    columns = {name: np.concatenate([c[:cut], c[cut:] * 3.0]) for name, c in bars.columns()}
    whole = backtest(bars, targets=targets, on_bar=decides)
    other = backtest(replace(bars, **columns), targets=targets, on_bar=decides)
    short = backtest(bars.slice(0, cut), targets=targets[:cut], on_bar=decides)
    assert len(whole.orders) > 20
    earlier = whole.orders["bar"] < cut
    for changed in (other, short):
        assert changed.equity[:cut].tobytes() == whole.equity[:cut].tobytes()
        assert changed.orders[changed.orders["bar"] < cut].tobytes() == whole.orders[earlier].tobytes()
    # What was decided at the last bar before the cut opens something in the first changed one, or does not.
    opened = [(r.orders["bar"] == cut) & (r.orders["opening"] == 1) for r in (whole, other)]
    sides = [np.sign(r.orders["units"][rows]) for r, rows in zip((whole, other), opened, strict=True)]
    np.testing.assert_array_equal(*sides)


def test_a_moved_stop_and_goal_count_from_the_next_bar_on(make_bars):
    bars = make_bars(
        [(100, 100, 100, 100), (100, 100, 90, 100), (100, 101, 96, 100), (100, 110, 99, 100), (9, 9, 9, 9)]
    )
    stopped = rule("if account[UNITS] != 0.0:\n    account[STOP] = 97.0\nreturn target")
    (trade,) = backtest(bars, targets=[1, *[NAN] * 4], on_bar=stopped).trades_frame().to_dict("records")
    assert (trade["exit_price"], trade["exit_reason"], trade["bars_held"]) == (97, "stop_loss", 1)
    gained = rule("if account[UNITS] != 0.0:\n    account[GOAL] = 105.0\nreturn target")
    (trade,) = backtest(bars, targets=[1, *[NAN] * 4], on_bar=gained).trades_frame().to_dict("records")
    assert (trade["exit_price"], trade["exit_reason"], trade["bars_held"]) == (105, "take_profit", 2)


def test_a_moved_level_of_a_short_is_a_price_too(make_bars):
    bars = make_bars([(100, 100, 100, 100), (100, 100, 90, 95), (95, 98, 94, 95)])
    stopped = rule("if account[UNITS] != 0.0:\n    account[STOP] = 97.0\nreturn target")
    (trade,) = backtest(bars, targets=[-1, NAN, NAN], on_bar=stopped).trades_frame().to_dict("records")
    assert (trade["exit_price"], trade["exit_reason"], trade["side"]) == (97, "stop_loss", "short")


def test_nan_switches_a_configured_level_off(make_bars):
    bars = make_bars([(100, 100, 100, 100), (100, 100, 100, 100), (100, 100, 80, 90)])
    off = rule("account[STOP] = np.nan\nreturn target")
    assert len(backtest(bars, targets=[1, NAN, NAN], stop_loss=0.05).trades) == 1
    assert len(backtest(bars, targets=[1, NAN, NAN], stop_loss=0.05, on_bar=off).trades) == 0


@pytest.mark.parametrize(("moves", "price"), [("True", 97), ("False", 99)])
def test_an_increase_moves_the_levels_of_the_options_only(make_bars, moves, price):
    # Half at 100 and half at 120: the average is above 100, and with it a stop that was not moved.
    bars = make_bars([(100, 100, 100, 100), (100, 100, 100, 100), (120, 120, 120, 120), (120, 120, 60, 60)])
    body = f"if {moves} and i == 1:\n    account[STOP] = 97.0\nreturn target"
    result = backtest(
        bars,
        targets=[1, 2, NAN, NAN],
        size=5,
        size_unit="units",
        leverage=2.0,
        stop_loss=0.1,
        on_bar=rule(body),
    )
    assert result.trades["entry_price"].tolist() == [110]
    assert result.trades["exit_price"].tolist() == [price]


def test_a_new_position_begins_with_the_levels_of_the_options(make_bars):
    bars = make_bars([(100, 100, 100, 100)] * 3 + [(100, 100, 100, 100), (100, 108, 100, 100)])
    body = "if i == 1:\n    account[STOP] = 50.0\nreturn target"
    result = backtest(bars, targets=[1, NAN, -1, NAN, NAN], stop_loss=0.05, on_bar=rule(body))
    assert list(result.trades_frame()["exit_reason"]) == ["signal", "stop_loss"]
    assert result.trades["exit_price"][1] == pytest.approx(105)


def test_the_memory_is_the_rules_own_and_starts_anew(random_bars):
    bars = {name: random_bars(seed, 300, symbol=name) for seed, name in enumerate("AB")}
    counts = rule("memory[2] += 1.0\nreturn memory[0] if memory[2] == memory[1] else np.nan", memory=3)
    counts = counts.starting(0.5, 10)
    targets = {name: np.full(300, NAN) for name in bars}
    result = backtest(bars, targets=targets, on_bar=counts)
    assert result.orders["bar"].tolist() == [10, 10]
    alone = backtest(bars["B"], targets=targets["B"], cash=50_000.0, on_bar=counts)
    assert alone.equity.tobytes() == result.by_symbol["B"].equity.tobytes()
    assert counts.memory.tolist() == [0.5, 10, 0]


def test_the_rule_itself_can_be_called():
    assert follow(0, 0.25, *[np.ones(1)] * 5, np.zeros(14), np.zeros(16)) == 0.25


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return 2.0 if i == 3 else target",
            "X: on_bar mine returned 2.0 at row 3 (2020-01-01T03:00:00Z); "
            "targets are exposures in [-1, 1], NaN keeps the last one",
        ),
        (
            "return -np.inf",
            "X: on_bar mine returned -inf at row 0 (2020-01-01T00:00:00Z); "
            "targets are exposures in [-1, 1], NaN keeps the last one",
        ),
        (
            "if account[UNITS] != 0.0:\n    account[STOP] = -1.0\nreturn 1.0",
            "X: on_bar mine set STOP or GOAL to -1.0 at row 1 (2020-01-01T01:00:00Z); "
            "a level is a price above 0, or NaN for none",
        ),
        (
            "account[GOAL] = 120.0\nreturn 1.0",
            "X: on_bar mine set STOP or GOAL to 120.0 at row 0 (2020-01-01T00:00:00Z), where nothing is "
            "held; set a level only while account[UNITS] is not 0",
        ),
        ("return nothing", "on_bar mine: numba cannot compile it: NameError: name 'nothing' is not defined"),
        (
            "close[0] = 1.0\nreturn target",
            "on_bar mine: numba cannot compile it: Cannot modify readonly array of type: "
            "readonly array(float64, 1d, C) (line 2)",
        ),
        (
            "return target.nothing",
            "on_bar mine: numba cannot compile it: Unknown attribute 'nothing' of type float64 (line 2)",
        ),
    ],
)
def test_what_a_rule_may_not_do(make_bars, body, message):
    bars = make_bars([(100, 100, 100, 100)] * 5)
    with pytest.raises(PluginError) as caught:
        backtest(bars, targets=[NAN] * 5, on_bar=rule(body))
    assert str(caught.value) == message


def test_targets_are_checked_all_the_same(make_bars):
    bars = make_bars([(100, 100, 100, 100)] * 3)
    with pytest.raises(Exception, match=r"^X: target is 3.0 at row 1 \(2020-01-01T01:00:00Z\); targets are"):
        backtest(bars, targets=[0.0, 3.0, 0.0], on_bar=follow)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: on_bar(lambda i, target: target),
            PluginError,
            "on_bar <lambda>: a rule takes 9 arguments (i, target, open, high, low, close, volume, account, "
            "memory), received i, target",
        ),
        (lambda: on_bar(3.0), PluginError, "on_bar marks a function, received 3.0"),
        (
            lambda: on_bar(memory=0),
            ConfigError,
            "on_bar: memory is a whole number, 1 or more, received 0",
        ),
        (
            lambda: follow.starting(*range(17)),
            ConfigError,
            "on_bar follow: its memory holds 16 numbers, received 17; "
            "declare a larger one: @on_bar(memory=32)",
        ),
        (
            lambda: follow.starting(NAN, "a"),
            ConfigError,
            "on_bar follow: its memory holds numbers, received 'a'",
        ),
    ],
)
def test_what_is_no_rule(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message


def test_where_a_rule_is_refused(random_bars):
    bars = random_bars(1, 200)
    with pytest.raises(ConfigError) as caught:
        backtest(bars, targets=np.zeros(200), on_bar=len)
    assert str(caught.value).startswith(
        "on_bar is a function marked with @on_bar of simengine.backtest.onbar, "
        "received <built-in function len"
    )
    with pytest.raises(ConfigError) as caught:
        backtest(bars, targets=np.zeros(200), on_bar=follow, capital="shared")
    assert str(caught.value) == (
        "on_bar follow: a rule sees one symbol and its account, which is not possible with the capital "
        "shared; use sleeves"
    )
    with pytest.raises(ConfigError) as caught:
        sweep(bars, np.full((200, 3), 1 / 3), thresholds=[0.4], on_bar=follow)
    assert (
        str(caught.value) == "on_bar: a sweep trades a threshold rule on probabilities; use backtest for it"
    )


def test_marking_a_rule_compiles_nothing():
    code = (
        "import sys; from simengine.backtest import on_bar\n"
        f"@on_bar\ndef f({ARGUMENTS}): return target\n"
        "print(any(name in sys.modules for name in ('numba', 'pandas', 'pydantic')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_one_driver_serves_all_rules(make_bars):
    from simengine.backtest.kernel import hooked

    bars = make_bars([(100, 100, 100, 100)] * 3)
    backtest(bars, targets=[NAN] * 3, on_bar=follow)
    known = len(hooked.run.overloads)
    backtest(bars, targets=[NAN] * 3, on_bar=rule("return 0.5 * target"))
    assert len(hooked.run.overloads) == known
