import numpy as np
import pytest

from simengine_plugins.tta.jitter import Jitter

BATCH = np.random.default_rng(1).normal(size=(4, 60, 25)).astype(np.float32)


def test_every_window_gets_the_same_pattern_of_the_given_scale():
    noise = Jitter(scale=0.2)(np.zeros_like(BATCH))
    assert (noise == noise[0]).all()
    assert noise[0].std() == pytest.approx(0.2, rel=0.05)
    assert noise[0].mean() == pytest.approx(0, abs=0.02)


def test_the_seed_chooses_the_pattern():
    np.testing.assert_array_equal(Jitter(seed=3)(BATCH), Jitter(seed=3)(BATCH))
    assert np.abs(Jitter(seed=3)(BATCH) - Jitter(seed=4)(BATCH)).max() > 0.01


def test_the_pattern_is_the_scale_times_that_of_scale_one():
    unit = Jitter(scale=1.0, seed=5)(np.zeros((1, 60, 25), np.float32))[0]
    np.testing.assert_allclose(Jitter(scale=0.25, seed=5)(BATCH), BATCH + 0.25 * unit, atol=1e-6)
