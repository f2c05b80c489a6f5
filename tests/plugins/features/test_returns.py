import numpy as np
import pytest

from simengine.types import Bars
from simengine_plugins.features.returns import Returns


def bars(close):
    close = np.asarray(close, dtype=np.float64)
    return Bars("X", np.arange(len(close), dtype=np.int64), close, close, close, close, close)


def test_by_hand():
    features = Returns(lags=(1, 3))
    matrix = features.compute(bars([1, 2, 4, 8, 4]))
    assert matrix.dtype == np.float32
    assert features.names == ("return_1", "return_3")
    assert features.warmup == 3
    assert np.isnan(matrix[:3]).all()
    np.testing.assert_allclose(matrix[3:], np.log([[2, 8], [0.5, 2]]), rtol=1e-6)


def test_later_bars_change_nothing_before_them():
    close = np.exp(np.cumsum(np.random.default_rng(0).normal(size=100)))
    changed = close.copy()
    changed[60:] *= 9
    features = Returns()
    assert features.compute(bars(close))[:60].tobytes() == features.compute(bars(changed))[:60].tobytes()


def test_repeated_lags_are_refused():
    with pytest.raises(ValueError, match=r"lags must differ from each other; received \[1, 1\]"):
        Returns(lags=(1, 1))


def test_fewer_bars_than_lags():
    assert np.isnan(Returns(lags=(5,)).compute(bars([1, 2]))).all()
