import numpy as np
import pytest

from simengine_plugins.tta.zscore_window import ZscoreWindow

BATCH = np.random.default_rng(1).normal(3, 2, size=(4, 30, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("axes", "numbers"), [(("time",), 1), (("feature",), 2), (("time", "feature"), (1, 2))]
)
def test_named_axes_have_mean_zero_and_deviation_one(axes, numbers):
    seen = ZscoreWindow(axes=axes)(BATCH)
    np.testing.assert_allclose(seen.mean(axis=numbers), 0, atol=1e-5)
    np.testing.assert_allclose(seen.std(axis=numbers), 1, atol=1e-5)


def test_docstring_example():
    column = np.array([1, 2, 3], np.float32).reshape(1, 3, 1)
    np.testing.assert_allclose(ZscoreWindow(axes=("time",))(column).ravel(), [-1.2247, 0, 1.2247], atol=1e-4)


def test_both_axes_undo_a_common_scale_and_shift():
    view = ZscoreWindow()
    np.testing.assert_allclose(view(BATCH * 10 + 4), view(BATCH), atol=1e-4)


def test_a_constant_window_becomes_zero():
    np.testing.assert_array_equal(ZscoreWindow()(np.full((2, 5, 3), 7.1, np.float32)), 0)


def test_an_axis_named_twice_is_refused():
    with pytest.raises(ValueError, match=r"^axes: expected each axis once, received \['time', 'time'\]$"):
        ZscoreWindow(axes=("time", "time"))
