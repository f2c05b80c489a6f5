import numpy as np

from simengine.data.volatility import ewm_volatility


def closes(n=400, seed=0):
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, n)))


def test_equals_the_formula():
    close = closes()
    found = ewm_volatility(close)
    returns = np.diff(np.log(close))
    for t in (48, 100, 399):
        x = returns[:t]
        w = (1 - 2 / 97) ** np.arange(t - 1, -1, -1)
        mean = (w * x).sum() / w.sum()
        biased = (w * (x - mean) ** 2).sum() / w.sum()
        unbiased = biased * w.sum() ** 2 / (w.sum() ** 2 - (w**2).sum())
        np.testing.assert_allclose(found[t], np.sqrt(unbiased), rtol=1e-10)


def test_needs_forty_eight_returns():
    found = ewm_volatility(closes(60))
    assert np.isnan(found[:48]).all()
    assert np.isfinite(found[48:]).all()
    assert np.isnan(ewm_volatility(closes(30))).all()


def test_later_bars_change_nothing_before_them():
    close = closes()
    changed = close.copy()
    changed[200:] *= 50
    assert ewm_volatility(changed)[:200].tobytes() == ewm_volatility(close)[:200].tobytes()


def test_price_unit_does_not_matter():
    np.testing.assert_allclose(ewm_volatility(closes() * 1000), ewm_volatility(closes()), rtol=1e-9)
