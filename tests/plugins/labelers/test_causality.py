"""What every labeler promises about time and units, and each one's figures elsewhere."""

import numpy as np
import pytest

from simengine.types import Bars
from simengine_plugins.labelers.adaptive_threshold import AdaptiveThreshold
from simengine_plugins.labelers.triple_barrier import TripleBarrier
from simengine_plugins.labelers.volatility_quantile import VolatilityQuantile

N = 800
HORIZON = 6
TRAIN_END = 500
LABELERS = [
    pytest.param(VolatilityQuantile, {}, id="volatility_quantile"),
    pytest.param(AdaptiveThreshold, {"adaptive_min": 0.001, "adaptive_max": 0.5}, id="adaptive_threshold"),
    pytest.param(AdaptiveThreshold, {"adaptive": False}, id="constant threshold"),
    pytest.param(TripleBarrier, {}, id="triple_barrier"),
]


def market(seed=0, n=N):
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    open_ = np.concatenate([[50.0], close[:-1]]) * np.exp(rng.normal(0, 0.002, n))
    high = np.maximum(open_, close) * np.exp(rng.exponential(0.003, n))
    low = np.minimum(open_, close) * np.exp(-rng.exponential(0.003, n))
    return Bars("X", np.arange(n, dtype=np.int64), open_, high, low, close, rng.lognormal(3, 1, n))


def mutate(bars, cut, kind):
    future = np.arange(len(bars)) >= cut
    if kind == "scale":
        columns = {name: values * np.where(future, 3.0, 1.0) for name, values in bars.columns()}
    else:
        level = np.where(np.arange(len(bars)) == cut, 1e4, 7.0)
        columns = {name: np.where(future, level, values) for name, values in bars.columns()}
    return Bars(bars.symbol, bars.timestamp, **columns)


def build(factory, options, entry, bars, train_end=TRAIN_END):
    return factory(horizon_bars=HORIZON, entry=entry, **options).fit({"X": bars}, train_end)


@pytest.mark.parametrize("entry", ["close", "next_open"])
@pytest.mark.parametrize("kind", ["scale", "spike and flat"])
@pytest.mark.parametrize("cut", [120, 350, 650])
@pytest.mark.parametrize(("factory", "options"), LABELERS)
def test_a_label_looks_exactly_horizon_bars_ahead(factory, options, cut, kind, entry):
    bars = market()
    changed = mutate(bars, cut, kind)
    labeler = build(factory, options, entry, bars)
    a, b = labeler.label(bars), labeler.label(changed)
    known = cut - HORIZON
    assert a[:known].tobytes() == b[:known].tobytes()
    if kind == "spike and flat":
        assert a[known:].tobytes() != b[known:].tobytes()
    if labeler.thresholds(bars) is not None:
        for x, y in zip(labeler.thresholds(bars), labeler.thresholds(changed), strict=True):
            assert x[:cut].tobytes() == y[:cut].tobytes()


@pytest.mark.parametrize(("factory", "options"), LABELERS)
@pytest.mark.parametrize("kind", ["scale", "spike and flat"])
def test_fitting_sees_nothing_from_the_train_end_on(factory, options, kind):
    bars = market()
    a = build(factory, options, "close", bars)
    b = build(factory, options, "close", mutate(bars, TRAIN_END, kind))
    assert vars(a) == vars(b)


@pytest.mark.parametrize(("factory", "options"), LABELERS)
def test_labels_are_int8_and_undefined_at_both_ends(factory, options):
    bars = market()
    labels = build(factory, options, "close", bars).label(bars)
    assert labels.dtype == np.int8
    assert labels.shape == (N,)
    assert (labels[-HORIZON:] == -1).all()
    assert set(np.unique(labels[48:-HORIZON])) == {0, 1, 2}
    if options.get("adaptive", True):
        assert (labels[:48] == -1).all()


@pytest.mark.parametrize(("factory", "options"), LABELERS)
def test_price_unit_does_not_matter(factory, options):
    bars = market()
    scaled = Bars("X", bars.timestamp, *(values * 4.0 for _, values in bars.columns()))
    labeler = build(factory, options, "close", bars)
    assert (labeler.label(bars) == labeler.label(scaled)).mean() > 0.999


@pytest.mark.parametrize(("factory", "options"), LABELERS)
def test_labels_do_not_change_the_bars(factory, options):
    bars = market()
    before = [values.tobytes() for _, values in bars.columns()]
    build(factory, options, "next_open", bars).label(bars)
    assert [values.tobytes() for _, values in bars.columns()] == before


@pytest.mark.parametrize(("factory", "options"), LABELERS)
def test_fewer_bars_than_the_horizon_have_no_label(factory, options):
    labeler = build(factory, options, "close", market())
    assert (labeler.label(market(n=4)) == -1).all()


def mirrored(bars):
    one = 2500.0
    return Bars(
        "X", bars.timestamp, one / bars.open, one / bars.low, one / bars.high, one / bars.close, bars.volume
    )


@pytest.mark.parametrize(("factory", "options"), LABELERS[1:])
def test_symmetric_labelers_turn_buy_into_sell_when_the_price_is_inverted(factory, options):
    bars = market()
    labels = build(factory, options, "close", bars).label(bars)
    inverse = build(factory, options, "close", bars).label(mirrored(bars))
    defined = labels >= 0
    assert (inverse[defined] == 2 - labels[defined]).mean() > 0.99
    assert (inverse[~defined] == -1).all()
