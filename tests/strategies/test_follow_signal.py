from __future__ import annotations

import numpy as np

from simengine.types import Signal
from simengine_strategies.follow_signal import FollowSignal, simengine_register_strategies

SIGNALS = [Signal.BUY, Signal.HOLD, Signal.SELL, -1]


def test_hold_keeps_the_position(make_context):
    targets = FollowSignal().targets(make_context([1] * 4, signals=SIGNALS))
    np.testing.assert_array_equal(targets, [1, np.nan, -1, np.nan])


def test_hold_closes_the_position_when_asked_and_no_signal_still_keeps_it(make_context):
    targets = FollowSignal(on_hold="flat", size=0.5).targets(make_context([1] * 4, signals=SIGNALS))
    np.testing.assert_array_equal(targets, [0.5, 0, -0.5, np.nan])


def test_causal(assert_causal):
    assert_causal(FollowSignal())


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_strategies()] == ["follow_signal"]
