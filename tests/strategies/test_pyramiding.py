from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simengine.backtest import backtest
from simengine_strategies.pyramiding import Pyramiding, simengine_register_strategies

BUY, HOLD, SELL, NONE = 2, 1, 0, -1


def traded(make_context, close, signals, *, low=None, **options):
    """The backtest of the strategy on bars that open where they close, and reach down to ``low``."""
    context = make_context(close, signals=signals)
    if low is not None:
        context = replace(context, bars=replace(context.bars, low=np.asarray(low, dtype=float)))
    strategy = Pyramiding(**options)
    return backtest(context.bars, targets=strategy.targets(context), cash=1_000.0, on_bar=strategy.on_bar)


def test_a_step_is_added_each_time_the_close_is_further(make_context):
    close = [100, 100, 101.9, 103, 105, 105.06, 108, 120, 130]
    result = traded(make_context, close, [BUY, *[BUY] * 8], steps=4, step=0.02, trail=0.2)
    assert result.orders["bar"].tolist() == [1, 4, 6, 7]
    assert result.exposure[[1, 4, 6, 7]] == pytest.approx([0.25, 0.5, 0.75, 1.0], abs=1e-12)


def test_a_short_adds_when_the_price_falls(make_context):
    result = traded(make_context, [100, 100, 98, 97, 97], [SELL, *[NONE] * 4], steps=2, step=0.02, trail=0.2)
    assert result.orders["bar"].tolist() == [1, 3]
    assert result.exposure[[1, 3]] == pytest.approx([-0.5, -1.0])


def test_it_leaves_at_the_trailing_level_and_waits_for_the_other_side(make_context):
    close = [100, 100, 110, 106, 106, 106, 106]
    low = [100, 100, 110, 104, 106, 106, 106]
    signals = [BUY, BUY, BUY, BUY, BUY, SELL, SELL]
    result = traded(make_context, close, signals, low=low, steps=1, step=0.5, trail=0.05)
    (trade,) = result.trades_frame().to_dict("records")
    assert (trade["exit_reason"], trade["exit_price"]) == ("stop_loss", pytest.approx(104.5))
    assert result.exposure.round(3).tolist() == [0, 1, 1, 0, 0, 0, -1]


def test_a_signal_for_the_other_side_turns_the_position(make_context):
    result = traded(make_context, [100] * 4, [BUY, NONE, SELL, NONE], steps=4)
    assert result.exposure.tolist() == pytest.approx([0, 0.25, 0.25, -0.25])


@pytest.mark.parametrize(("on_hold", "exposure"), [("keep", [0, 0.5, 0.5]), ("flat", [0, 0.5, 0])])
def test_hold(make_context, on_hold, exposure):
    result = traded(make_context, [100] * 3, [BUY, HOLD, HOLD], steps=2, on_hold=on_hold)
    assert result.exposure.tolist() == pytest.approx(exposure)


def test_causal(assert_causal):
    assert_causal(Pyramiding())


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_strategies()] == ["pyramiding"]
