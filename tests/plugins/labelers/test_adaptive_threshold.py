import numpy as np
import pytest

from simengine.data.volatility import ewm_volatility
from simengine.types import Bars
from simengine_plugins.labelers.adaptive_threshold import AdaptiveThreshold


def bars(close):
    close = np.asarray(close, dtype=np.float64)
    return Bars("X", np.arange(len(close), dtype=np.int64), close, close, close, close, np.ones(len(close)))


def market(n=500):
    return bars(50 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.005, n))))


def test_threshold_follows_volatility_between_its_limits():
    found = AdaptiveThreshold(horizon_bars=4, multiplier=1.5, adaptive_min=0.0145, adaptive_max=0.0155)
    lower, upper = found.thresholds(market())
    raw = 1.5 * ewm_volatility(market().close) * 2
    assert raw[100:].min() < 0.0145
    assert raw[100:].max() > 0.0155
    np.testing.assert_array_equal(upper[48:], np.clip(raw[48:], 0.0145, 0.0155))
    np.testing.assert_array_equal(lower, -upper)
    assert np.isnan(upper[:48]).all()


def test_constant_threshold_by_hand_is_a_log_return():
    labeler = AdaptiveThreshold(horizon_bars=1, adaptive=False, price_change=0.01)
    labels = labeler.label(bars([100, 101.01, 100.0, 100.9, 100.9]))
    # log(101.01 / 100) = 0.01005 is above 0.01, log(100.9 / 100) = 0.00896 is not.
    assert labels.tolist() == [2, 0, 1, 1, -1]


def test_limits_must_be_in_order():
    with pytest.raises(
        ValueError, match=r"adaptive_min must not exceed adaptive_max; received 0\.2 and 0\.1"
    ):
        AdaptiveThreshold(adaptive_min=0.2, adaptive_max=0.1)


def test_nothing_is_learnt():
    labeler = AdaptiveThreshold()
    before = dict(vars(labeler))
    assert labeler.fit({"X": market()}, 10) is labeler
    assert vars(labeler) == before
