"""The quick classifier: causal features, a purged inner split, no figure where nothing can be learnt."""

from dataclasses import replace

import numpy as np
import pytest

from simengine.backtest import backtest
from simengine.data.split import purge_bars
from simengine.plugin.testing.samples import changed_after, make_bars
from simengine_plugins.threshold_optimizers.proxy import LAGS, Proxy, proxy_features


def proxy(task, classifier="logistic", fee_bps=10.0, slippage_bps=5.0):
    return Proxy(task, classifier, fee_bps, slippage_bps)


def with_momentum(n=4000, seed=1):
    """Bars whose moves go on for a while, which nine features can see."""
    rng = np.random.default_rng(seed)
    drift = np.repeat(rng.choice([-1.0, 1.0], n // 40), 40)
    close = 100 * np.exp(np.cumsum(0.0008 * drift + 0.001 * rng.standard_normal(n)))
    plain = make_bars(n, seed)
    return replace(plain, open=close, high=close, low=close, close=close)


def test_features_by_hand_and_never_from_later_bars():
    bars = make_bars(400, 2)
    found = proxy_features(bars)
    assert found.shape == (400, len(LAGS) + 3)
    returns = np.diff(np.log(bars.close[:301]))
    weights = (1 - 2 / 97) ** np.arange(len(returns))[::-1]
    mean = np.average(returns, weights=weights)
    biased = np.average((returns - mean) ** 2, weights=weights)
    vol = np.sqrt(biased / (1 - (weights**2).sum() / weights.sum() ** 2))
    assert found[300, 2] == pytest.approx(np.log(bars.close[300] / bars.close[296]) / (vol * 2))
    assert found[300, 8] == pytest.approx(np.log1p(bars.volume[300] / bars.volume[253:301].mean()))
    assert np.isfinite(found[248:]).all()
    for how in ("scale", "spike"):
        later = proxy_features(changed_after(bars, 320, how))
        np.testing.assert_array_equal(found[:321], later[:321])


def test_trending_bars_have_skill_and_a_random_walk_has_none(make_task):
    trending = make_task({"TEST": with_momentum()}, multiplier=0.5, horizon_bars=8)
    walk = make_task({"TEST": make_bars(4000, 1)}, multiplier=0.5, horizon_bars=8)
    for name in ("logistic", "gradient_boosting"):
        skill, _ = proxy(trending, name).judge({})
        assert skill > 0.03
        assert proxy(walk, name).judge({})[0] < skill - 0.03


def test_costs_lower_the_net_return(make_task):
    task = make_task({"TEST": with_momentum()}, multiplier=0.5, horizon_bars=8)
    free, dear = proxy(task, fee_bps=0, slippage_bps=0).judge({}), proxy(task, fee_bps=50).judge({})
    assert free[0] == dear[0]
    assert free[1] > dear[1]


def test_the_inner_split_is_purged(make_task, bars, monkeypatch):
    """Changing labels between the purge and the border changes nothing; one bar earlier it does."""
    task = make_task(bars, multiplier=0.3, horizon_bars=6)
    plain = proxy(task)
    expected = plain.judge({})
    purge = purge_bars(task.window, 6)

    def judged(distance):
        changed = proxy(task)
        own = changed._labels

        def labels(options):
            found, horizon = own(options)
            for rows, values in zip(changed.rows, found, strict=True):
                values[rows.border - distance : rows.border] = 2
            return found, horizon

        monkeypatch.setattr(changed, "_labels", labels)
        return changed.judge({})

    assert judged(purge) == expected
    assert judged(purge + 40) != expected


def test_the_labeler_is_fitted_on_the_inner_train_alone(make_task, bars):
    task = make_task(bars, "volatility_quantile", horizon_bars=6)
    seen = []

    def create(changed):
        labeler = task.create(changed)
        fit = labeler.fit
        labeler.fit = lambda given, end: (seen.append(end), fit(given, end))[1]
        return labeler

    watched = proxy(replace(task, create=create))
    watched.judge({})
    assert seen == [watched.border]
    start = min(int(item.timestamp[0]) for item in bars.values())
    assert watched.border == start + round(0.7 * (task.train_end - start))


def test_labels_of_one_class_cannot_be_judged(make_task, bars):
    task = make_task(bars, adaptive=False, price_change=0.9)
    assert np.isnan(proxy(task).judge({})).all()


def test_the_net_return_is_that_of_the_engine(make_task, bars, monkeypatch):
    task = make_task(bars, multiplier=0.3, horizon_bars=6)
    given = {}

    def spied(inner, **options):
        given.update(options, bars=inner)
        return backtest(inner, **options)

    monkeypatch.setattr("simengine_plugins.threshold_optimizers.proxy.backtest", spied)
    _, net = proxy(task, fee_bps=3, slippage_bps=1).judge({})
    border = proxy(task).border
    assert all((inner.timestamp >= border).all() for inner in given["bars"].values())
    assert (given["fee_bps"], given["slippage_bps"]) == (3, 1)
    assert all(np.isin(values[~np.isnan(values)], (-1, 1)).all() for values in given["targets"].values())
    inner = given.pop("bars")
    assert net == backtest(inner, **given).stats["net_return"]
