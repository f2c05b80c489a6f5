"""The stepwise driver does what `backtest` does, one bar at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.backtest import Step, Stepper, backtest
from simengine.errors import ConfigError, DataError

NAN = math.nan
OPTIONS = [
    {},
    {"stop_loss": 0.02, "take_profit": 0.03, "trailing_stop": 0.05, "max_bars": 9, "fee_bps": 5},
    {"rebalance": "every_bar", "stop_loss": 0.03, "fill_convention": "stop_first_drop", "slippage_bps": 3},
    {"rebalance": {"band": 0.1}, "fill_convention": "open_first_skip_entry", "take_profit": 0.02},
    {"limit_offset": 0.003, "limit_bars": 3, "tick_size": 0.05, "lot_size": 0.1, "min_notional": 50.0},
    {"leverage": 3.0, "maintenance_margin": 0.2, "liquidation_fee_bps": 20, "borrow_rate": 0.2},
    {"slippage": {"type": "volume_impact", "max_participation": 0.0002, "remainder": "carry"}},
    {"funding": {"rate": 1e-4, "every": "8h"}, "size": 50_000.0, "size_unit": "cash"},
]


def stepped(bars, targets, **options):
    stepper = Stepper(bars, **options)
    states = [stepper.reset()]
    for target in targets:
        if states[-1].done:
            break
        states.append(stepper.step(target))
    return stepper, states


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    options=st.sampled_from(OPTIONS),
    targets=st.lists(st.sampled_from([NAN, NAN, NAN, -1.0, -0.4, 0.0, 0.4, 1.0]), min_size=1, max_size=80),
)
def test_the_same_targets_give_the_same_to_the_last_bit(random_bars, seed, options, targets):
    bars = random_bars(seed, 81, vol=0.03)
    stepper, states = stepped(bars, targets, **options)
    n = len(states)
    whole = backtest(bars.slice(0, n), targets=[*targets[: n - 1], NAN], **options)
    found = stepper.result()
    assert found.equity.tobytes() == whole.equity.tobytes()
    assert found.value.tobytes() == whole.value.tobytes()
    assert found.trades.tobytes() == whole.trades.tobytes()
    assert found.open_trades.tobytes() == whole.open_trades.tobytes()
    assert found.ledger[:14].tobytes() == whole.ledger[:14].tobytes()
    np.testing.assert_equal(found.stats, whole.stats)
    assert found.orders.tobytes() == whole.orders.tobytes()
    assert [s.equity for s in states] == whole.equity.tolist()
    assert [s.reward for s in states] == whole.returns.tolist()
    assert [s.exposure for s in states] == whole.exposure.tolist()
    assert [s.bar for s in states] == list(range(n))


def test_steps_by_hand(make_bars):
    bars = make_bars([(100, 100, 100, 100), (100, 110, 100, 110), (110, 121, 99, 99)])
    stepper = Stepper(bars, cash=1_000.0)
    assert stepper.reset() == Step(0, 1_000.0, 0.0, 0.0, 0.0, False)
    assert stepper.step(1.0) == Step(1, 1_100.0, 0.1, 10.0, 1.0, False)
    assert stepper.step(NAN) == Step(2, 990.0, -0.1, 10.0, 1.0, True)
    with pytest.raises(DataError) as caught:
        stepper.step(0.0)
    assert str(caught.value) == "X: there is no further bar after row 2; call reset() to begin anew"
    assert stepper.result().open_trades["pnl"].tolist() == [-10.0]


def test_a_result_in_between_disturbs_nothing_and_reset_forgets(random_bars):
    bars = random_bars(4, 60)
    rng = np.random.default_rng(0)
    targets = rng.choice([NAN, -1.0, 0.0, 1.0], 60)
    whole = backtest(bars, targets=[*targets[:-1], NAN], stop_loss=0.02)
    stepper = Stepper(bars, stop_loss=0.02)
    for _ in range(2):
        stepper.reset()
        for i, target in enumerate(targets[:-1]):
            stepper.step(target)
            if i % 7 == 0:
                early = stepper.result()
                assert early.equity.tobytes() == whole.equity[: i + 2].tobytes()
        assert stepper.result().trades.tobytes() == whole.trades.tobytes()
        assert stepper.result().stats == whole.stats


def test_bankruptcy_is_the_end(make_bars):
    bars = make_bars([(100, 100, 100, 100), (100, 100, 100, 100), (300, 300, 300, 300), (300, 300, 300, 300)])
    stepper, states = stepped(bars, [-1.0, NAN, NAN])
    assert [s.done for s in states] == [False, False, True]
    with pytest.raises(DataError) as caught:
        stepper.step(0.0)
    assert str(caught.value) == "X: the account is bankrupt after row 2; call reset() to begin anew"
    assert stepper.result().bankrupt == ("X",)


def test_an_order_beyond_the_volume_is_refused_and_can_be_replaced(make_bars):
    bars = make_bars([(100, 100, 100, 100)] * 4, volume=1.0)
    options = {"slippage": {"type": "volume_impact", "impact_bps": 5_000}, "cash": 10_000.0}
    stepper = Stepper(bars, **options)
    with pytest.raises(
        DataError, match=r"^X: an order at row 1 is too large for the volume of its bar \(1\)"
    ):
        stepper.step(-1.0)
    assert stepper.step(0.001).bar == 1
    whole = backtest(bars.slice(0, 2), targets=[0.001, NAN], **options)
    assert stepper.result().equity.tobytes() == whole.equity.tobytes()
    assert stepper.result().costs == whole.costs


@pytest.mark.parametrize("target", [1.5, -math.inf])
def test_a_target_beyond_the_leverage(random_bars, target):
    stepper = Stepper(random_bars(1, 10))
    stepper.step(NAN)
    with pytest.raises(DataError) as caught:
        stepper.step(target)
    assert str(caught.value) == (
        f"X: target is {target} at row 1 (2020-01-01T01:00:00Z); targets are exposures in [-1, 1], "
        "NaN keeps the last one"
    )
    assert stepper.step(1.0).bar == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": [1.0]}, "targets: a Stepper is told its targets step by step; use backtest for it"),
        ({"on_bar": len}, "on_bar: a Stepper is told its targets by its caller; use backtest for it"),
        ({"cash": -5}, "cash must be finite and above 0, received -5"),
    ],
)
def test_options_are_checked(random_bars, options, message):
    with pytest.raises(ConfigError) as caught:
        Stepper(random_bars(1, 10), **options)
    assert str(caught.value) == message


def test_a_misspelled_option(random_bars):
    with pytest.raises(
        ConfigError, match=r"^unknown option 'stop_los' \(did you mean 'stop_loss'\?\); known: "
    ):
        Stepper(random_bars(1, 10), stop_los=0.1)


def test_one_symbol_only(random_bars):
    with pytest.raises(ConfigError) as caught:
        Stepper({name: random_bars(1, 10, symbol=name) for name in "AB"})
    assert str(caught.value) == "a Stepper trades one symbol, received 2"


def test_no_result_before_the_first_step(random_bars):
    with pytest.raises(DataError) as caught:
        Stepper(random_bars(1, 10)).result()
    assert str(caught.value) == "X: nothing has happened yet; call step() first"


@pytest.mark.parametrize("target", ["a", None, True, [0.5], 1j])
def test_a_target_that_is_no_number(random_bars, target):
    stepper = Stepper(random_bars(1, 10))
    with pytest.raises(DataError) as caught:
        stepper.step(target)
    assert str(caught.value) == f"target must be a number or NaN, received {target!r}"
    assert stepper.step(np.float32(0.5)).bar == 1


@pytest.mark.parametrize("by_symbol", [False, True])
def test_a_result_in_between_with_a_funding_rate_per_bar(random_bars, by_symbol):
    bars, rates = random_bars(1, 10), np.full(10, 0.001)
    stepper = Stepper(bars, funding={"X": rates} if by_symbol else rates)
    stepper.step(1.0)
    stepper.step(NAN)
    whole = backtest(bars.slice(0, 3), targets=[1.0, NAN, NAN], funding=rates[:3])
    assert stepper.result().equity.tobytes() == whole.equity.tobytes()
