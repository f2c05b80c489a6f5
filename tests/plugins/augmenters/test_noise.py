import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine_plugins.augmenters.noise import Noise

BATCH = np.random.default_rng(1).normal(size=(40, 60, 25)).astype(np.float32)


def of(augmenter, batch=BATCH, seed=(3, 4)):
    return np.asarray(augmenter(tf.constant(batch), tf.constant(seed, tf.int32)))


def test_the_noise_is_gaussian_of_the_given_scale():
    drawn = of(Noise(scale=0.2)) - BATCH
    assert drawn.mean() == pytest.approx(0, abs=0.003)
    assert drawn.std() == pytest.approx(0.2, rel=0.01)
    assert (np.abs(drawn) < 0.2).mean() == pytest.approx(0.683, abs=0.01)


def test_every_value_has_its_own():
    drawn = of(Noise()) - BATCH
    across = drawn.reshape(40, -1)
    assert abs(np.corrcoef(across[0], across[1])[0, 1]) < 0.1
    assert abs(np.corrcoef(drawn[:, 0].ravel(), drawn[:, 1].ravel())[0, 1]) < 0.15


@settings(max_examples=25)
@given(scale=st.floats(0.001, 3), seed=st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 2))
def test_it_is_the_scale_times_a_draw_of_the_seed(scale, seed):
    few = BATCH[:3]
    unit = of(Noise(scale=1.0), np.zeros_like(few), seed)
    np.testing.assert_allclose(
        of(Noise(scale=scale), few, seed) - few, scale * unit, atol=2e-6 + 1e-6 * scale
    )
    np.testing.assert_array_equal(of(Noise(scale=scale), few, seed), of(Noise(scale=scale), few, seed))
