"""Costs, stops, margin and rounding: what they mean, and what they refuse."""

import math

import numpy as np
import pytest

from simengine.backtest.costs import FeeSchedule, Margin, Rounding, SlippageModel, Stops, rounding_by_symbol
from simengine.errors import ConfigError

FREE = ((0.0, 0.0),)


def test_defaults_restrict_nothing():
    assert (FeeSchedule(FREE).fixed, FeeSchedule(FREE).minimum) == (0.0, 0.0)
    assert not SlippageModel(0.0).is_capped
    assert SlippageModel(0.0).on_stops
    assert (Margin().leverage, Margin().initial, Margin().maintenance_margin) == (1.0, 1.0, 0.0)
    assert Rounding() == Rounding(0.0, 0.0, 0.0)
    assert Stops() == Stops(None, None, None, None)


@pytest.mark.parametrize(
    ("margin", "initial"),
    [
        (Margin(leverage=4), 0.25),
        (Margin(leverage=0.5), 1.0),  # no more than the whole notional is ever needed
        (Margin(leverage=4, initial_margin=0.5), 0.5),
    ],
)
def test_the_initial_margin_follows_from_the_leverage(margin, initial):
    assert margin.initial == initial


def test_numpy_numbers_are_numbers():
    assert Stops(np.float32(0.5), max_bars=np.int64(3)).max_bars == 3
    assert Margin(np.float64(2)).initial == 0.5


def test_a_cap_of_the_whole_volume_is_a_cap():
    assert SlippageModel(0.0, max_participation=1, remainder="cancel").is_capped


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FeeSchedule(((0, True),)), "a fee rate is a fraction of notional in [0, 1), received True"),
        (
            lambda: FeeSchedule(FREE, fixed=-1),
            "a fixed fee is an amount of quote currency, 0 or more, received -1",
        ),
        (
            lambda: FeeSchedule(FREE, minimum=math.inf),
            "a minimum fee is an amount of quote currency, 0 or more, received inf",
        ),
        (
            lambda: SlippageModel(np.float64(1)),
            "a slippage rate is a fraction of the price in [0, 1), received 1.0",
        ),
        (
            lambda: SlippageModel(0, max_participation=0),
            "max_participation is a share of a bar's volume in (0, 1], or infinite for no cap, received 0",
        ),
        (
            lambda: SlippageModel(0, max_participation=1.5),
            "max_participation is a share of a bar's volume in (0, 1], or infinite for no cap, received 1.5",
        ),
        (
            lambda: SlippageModel(0, remainder="cary"),
            "unknown remainder 'cary' (did you mean 'carry'?); known: cancel, carry",
        ),
        (lambda: SlippageModel(0, on_stops="no"), "on_stops is True or False, received 'no'"),
        (
            lambda: Stops(stop_loss="2"),
            "stop_loss is a fraction of the entry price above 0 (0.02 = 2 %) or None, received '2'",
        ),
        (
            lambda: Stops(trailing_stop=1),
            "trailing_stop is a fraction of the best price in (0, 1) or None, received 1",
        ),
        (
            lambda: Stops(trailing_stop=math.nan),
            "trailing_stop is a fraction of the best price in (0, 1) or None, received nan",
        ),
        (lambda: Stops(max_bars=0), "max_bars is a whole number of bars, 1 or more, or None, received 0"),
        (
            lambda: Stops(max_bars=2**31),
            "max_bars is at most 2147483647 bars, received 2147483648; None is off",
        ),
        (lambda: Stops(max_bars=2.0), "max_bars is a whole number of bars, 1 or more, or None, received 2.0"),
        (
            lambda: Margin(leverage=0),
            "leverage is the largest exposure as a multiple of equity, finite and above 0 "
            "(1 = no borrowing), received 0",
        ),
        (
            lambda: Margin(initial_margin=2),
            "initial_margin is a fraction of notional in (0, 1], or None for 1 / leverage, received 2",
        ),
        (
            lambda: Margin(5, maintenance_margin=0.3),
            "maintenance_margin is a fraction of notional from 0 to the initial margin (0.2) and below 1, "
            "received 0.3",
        ),
        (
            lambda: Margin(maintenance_margin=1),
            "maintenance_margin is a fraction of notional from 0 to the initial margin (1) and below 1, "
            "received 1",
        ),
        (
            lambda: Margin(liquidation_fee=-0.1),
            "a liquidation fee is a fraction of notional in [0, 1), received -0.1",
        ),
        (lambda: Rounding(tick_size=-0.01), "tick_size is a number, 0 (none) or more, received -0.01"),
        (lambda: Rounding(lot_size=None), "lot_size is a number, 0 (none) or more, received None"),
        (lambda: Rounding(tick_size=1e-320), "tick_size is 0 (none) or at least 1e-12, received 1e-320"),
        (lambda: Rounding(lot_size=9e-13), "lot_size is 0 (none) or at least 1e-12, received 9e-13"),
        (
            lambda: Rounding(min_notional=1e-300),
            "min_notional is 0 (none) or at least 1e-12, received 1e-300",
        ),
        (lambda: Rounding(min_notional=math.inf), "min_notional is a number, 0 (none) or more, received inf"),
    ],
)
def test_parameters_that_make_no_sense(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message


def test_rounding_is_for_all_symbols_or_by_symbol():
    found = rounding_by_symbol(("A", "B"), tick_size={"A": 0.01, "B": 0.5}, lot_size=1)
    assert found == {"A": Rounding(0.01, 1), "B": Rounding(0.5, 1)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tick_size": {"AAPL": 1}}, "tick_size is missing for MSFT; 0 is none"),
        (
            {"lot_size": {"AAPL": 1, "MSFT": 1, "MSFTT": 1}},
            "lot_size given for an unknown symbol 'MSFTT' (did you mean 'MSFT'?); known: AAPL, MSFT",
        ),
        ({"min_notional": "10"}, "min_notional is a number, 0 (none) or more, received '10'"),
    ],
)
def test_rounding_that_does_not_fit_the_symbols(given, message):
    with pytest.raises(ConfigError) as caught:
        rounding_by_symbol(("AAPL", "MSFT"), **given)
    assert str(caught.value) == message
