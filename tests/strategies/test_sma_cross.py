from __future__ import annotations

import re

import numpy as np
import pytest

from simengine_strategies.sma_cross import SmaCross, simengine_register_strategies


def test_long_above_short_below(make_context):
    targets = SmaCross(fast=1, slow=2).targets(make_context([10, 11, 9, 9]))
    np.testing.assert_array_equal(targets, [np.nan, 1, -1, np.nan])


def test_flat_instead_of_short(make_context):
    targets = SmaCross(fast=1, slow=2, allow_short=False).targets(make_context([10, 11, 9]))
    np.testing.assert_array_equal(targets, [np.nan, 1, 0])


def test_averages_are_those_of_the_last_bars(make_context):
    close = 100 + np.cumsum(np.random.default_rng(2).normal(size=90))
    targets = SmaCross(fast=7, slow=30).targets(make_context(close))
    assert np.isnan(targets[:29]).all()
    for t in range(29, 90):
        assert targets[t] == np.sign(close[t - 6 : t + 1].mean() - close[t - 29 : t + 1].mean())


def test_equal_prices_are_a_tie_despite_rounding(make_context):
    assert np.isnan(SmaCross(fast=3, slow=50).targets(make_context([0.1] * 80))).all()


def test_a_market_shorter_than_the_slow_average_gives_no_target(make_context):
    assert np.isnan(SmaCross().targets(make_context([1.0] * 10))).all()


def test_fast_must_be_below_slow():
    text = "fast must be below slow, received 50 and 50"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        SmaCross(fast=50)


def test_causal(assert_causal):
    assert_causal(SmaCross())


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_strategies()] == ["sma_cross"]
