from __future__ import annotations

import numpy as np

from simengine_strategies.reversal import Reversal, simengine_register_strategies


def test_minus_the_sign_of_the_last_return(make_context):
    targets = Reversal(bars=1).targets(make_context([10, 11, 9, 9]))
    np.testing.assert_array_equal(targets, [np.nan, -1, 1, 0])
    assert not np.signbit(targets[3])


def test_four_bars_by_default(make_context):
    targets = Reversal().targets(make_context([10, 1, 1, 1, 11, 0.5]))
    np.testing.assert_array_equal(targets, [np.nan] * 4 + [-1, 1])


def test_a_market_shorter_than_the_return_gives_no_target(make_context):
    assert np.isnan(Reversal(bars=5).targets(make_context([1, 2, 3]))).all()


def test_causal(assert_causal):
    assert_causal(Reversal())


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_strategies()] == ["reversal"]
