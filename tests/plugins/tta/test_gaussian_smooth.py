import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from simengine_plugins.tta.gaussian_smooth import GaussianSmooth


def test_docstring_example():
    pulse = np.array([0, 0, 1, 0, 0], np.float32).reshape(1, 5, 1)
    seen = GaussianSmooth(sigma=1.0)(pulse).ravel()
    assert seen[2] == pytest.approx(0.40, abs=0.005)
    np.testing.assert_allclose(seen, seen[::-1], rtol=1e-6)


def test_inner_bars_agree_with_scipy():
    batch = np.random.default_rng(0).normal(size=(3, 60, 4)).astype(np.float32)
    expected = gaussian_filter1d(batch.astype(float), 1.5, axis=1, truncate=4.0)
    np.testing.assert_allclose(GaussianSmooth(sigma=1.5)(batch)[:, 6:-6], expected[:, 6:-6], atol=1e-6)


def test_a_constant_stays_also_at_the_ends():
    np.testing.assert_allclose(
        GaussianSmooth(sigma=3.0)(np.full((2, 10, 3), 2.5, np.float32)), 2.5, rtol=1e-6
    )


def test_features_do_not_mix():
    batch = np.zeros((1, 10, 2), np.float32)
    batch[0, :, 1] = np.arange(10)
    np.testing.assert_array_equal(GaussianSmooth()(batch)[0, :, 0], 0)


def test_a_narrow_kernel_changes_nothing():
    batch = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)
    np.testing.assert_array_equal(GaussianSmooth(sigma=0.1)(batch), batch)
