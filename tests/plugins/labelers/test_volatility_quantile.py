import numpy as np
import pytest

from simengine.data.labels import label_shares
from simengine.data.volatility import ewm_volatility
from simengine.errors import DataError, PluginError
from simengine.types import Bars
from simengine_plugins.labelers.volatility_quantile import VolatilityQuantile


def market(n=3000, seed=0, scale=0.01, symbol="X"):
    close = 50 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, scale, n)))
    return Bars(symbol, np.arange(n, dtype=np.int64), close, close, close, close, np.ones(n))


def test_train_shares_are_the_options():
    bars = {"A": market(), "B": market(seed=1, scale=0.1, symbol="B")}
    labeler = VolatilityQuantile(horizon_bars=12, sell=0.283, buy=0.378).fit(bars, 3000)
    labels = np.concatenate([labeler.label(found) for found in bars.values()])
    np.testing.assert_allclose(label_shares(labels), [0.283, 0.339, 0.378], atol=1e-3)


def test_thresholds_are_the_quantiles_times_volatility_and_cut_the_labels():
    bars = market()
    labeler = VolatilityQuantile(horizon_bars=4).fit({"X": bars}, 2000)
    forward = np.full(3000, np.nan)
    forward[:-4] = np.log(bars.close[4:] / bars.close[:-4])
    scale = ewm_volatility(bars.close) * 2
    z = (forward / scale)[: 2000 - 4]
    lower, upper = np.quantile(z[48:], [0.283, 1 - 0.378])
    assert (labeler.lower_, labeler.upper_) == (lower, upper)
    found = labeler.thresholds(bars)
    np.testing.assert_array_equal(found[0], lower * scale)
    np.testing.assert_array_equal(found[1], upper * scale)
    labels = labeler.label(bars)
    assert (labels[48:-4] == np.where(forward < found[0], 0, np.where(forward > found[1], 2, 1))[48:-4]).all()


def test_bars_without_volatility_have_no_label():
    close = np.concatenate([np.full(200, 5.0), market().close])
    bars = Bars("X", np.arange(len(close), dtype=np.int64), close, close, close, close, close)
    labels = VolatilityQuantile().fit({"X": bars}, len(close)).label(bars)
    assert (labels[:200] == -1).all()
    assert (labels[201:-12] >= 0).all()


def test_shares_must_leave_room_for_hold():
    with pytest.raises(
        ValueError, match=r"sell \+ buy must be below 1 to leave room for HOLD; received 0\.6 \+ 0\.4"
    ):
        VolatilityQuantile(sell=0.6, buy=0.4)


def test_too_few_bars_to_fit():
    with pytest.raises(DataError) as caught:
        VolatilityQuantile().fit({"X": market(60)}, 10**9)
    assert str(caught.value) == (
        "volatility_quantile: no bar of train has a label: a symbol needs at least 61 bars before the end of "
        "train (49 for the volatility + 12 of horizon) and prices that move; the longest has 60 in all"
    )


def test_as_many_bars_as_the_message_asks_for_are_enough():
    labeler = VolatilityQuantile().fit({"X": market(61)}, 10**9)
    assert np.isfinite([labeler.lower_, labeler.upper_]).all()


def test_unfitted():
    with pytest.raises(
        PluginError, match="volatility_quantile: fit must be called before label and thresholds"
    ):
        VolatilityQuantile().label(market())
