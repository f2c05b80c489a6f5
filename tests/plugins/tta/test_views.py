"""What all test-time views have in common."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine_plugins.tta.gaussian_smooth import GaussianSmooth
from simengine_plugins.tta.identity import Identity
from simengine_plugins.tta.jitter import Jitter
from simengine_plugins.tta.zscore_window import ZscoreWindow

VIEWS = [Identity(weight=2.0), ZscoreWindow(weight=2.0), GaussianSmooth(weight=2.0), Jitter(weight=2.0)]


@pytest.fixture
def batch():
    return np.random.default_rng(0).normal(size=(7, 60, 25)).astype(np.float32)


@pytest.mark.parametrize("view", VIEWS, ids=lambda v: type(v).__name__)
def test_a_view_keeps_shape_dtype_and_its_input(view, batch):
    before = batch.copy()
    seen = view(batch)
    assert (seen.shape, seen.dtype) == (batch.shape, np.float32)
    np.testing.assert_array_equal(batch, before)
    np.testing.assert_array_equal(seen, view(batch))
    assert np.isfinite(seen).all()
    assert view.weight == 2.0


@pytest.mark.parametrize("view", VIEWS, ids=lambda v: type(v).__name__)
def test_the_view_of_a_window_does_not_depend_on_its_batch(view, batch):
    whole = view(batch)
    np.testing.assert_array_equal(np.concatenate([view(batch[i : i + 1]) for i in range(7)]), whole)
    np.testing.assert_array_equal(view(batch[::-1].copy()), whole[::-1])


@settings(max_examples=25)
@given(
    size=st.tuples(st.integers(2, 6), st.integers(2, 40), st.integers(1, 6)),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 9999),
)
def test_views_of_windows_of_any_shape_are_finite_and_their_own(size, scale, seed):
    windows = (scale * np.random.default_rng(seed).normal(size=size)).astype(np.float32)
    windows[0] = scale  # a constant window
    for view in VIEWS:
        whole = view(windows)
        assert whole.shape == size
        assert np.isfinite(whole).all()
        for row in range(size[0]):
            alone = view(windows[row : row + 1])[0]
            np.testing.assert_allclose(whole[row], alone, rtol=1e-5, atol=1e-6 * scale)
