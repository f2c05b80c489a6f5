"""What all augmenters have in common."""

import numpy as np
import pytest
import tensorflow as tf

from simengine.plugin.manager import build_registry

REGISTRY = build_registry(discover=False)
BATCH = np.random.default_rng(0).normal(size=(16, 30, 4)).astype(np.float32)


@pytest.fixture(params=REGISTRY.names("augmenter"))
def augment(request):
    augmenter = REGISTRY.create("augmenter", request.param)
    return lambda batch, *seed: np.asarray(augmenter(tf.constant(batch), tf.constant(seed, tf.int32)))


def test_the_seed_decides(augment):
    np.testing.assert_array_equal(augment(BATCH, 1, 2), augment(BATCH, 1, 2))
    assert not np.array_equal(augment(BATCH, 1, 2), augment(BATCH, 1, 3))
    assert not np.array_equal(augment(BATCH, 1, 2), augment(BATCH, 2, 2))


def test_windows_do_not_see_one_another(augment):
    other = BATCH.copy()
    other[1:] = 7.0
    np.testing.assert_array_equal(augment(other, 1, 2)[0], augment(BATCH, 1, 2)[0])


def test_equal_windows_are_changed_differently(augment):
    found = augment(np.repeat(BATCH[:1], 16, axis=0), 1, 2)
    assert len({window.tobytes() for window in found}) > 1


@pytest.mark.parametrize("name", REGISTRY.names("augmenter"))
def test_a_compiled_step_draws_the_same(name):
    augmenter, seed = REGISTRY.create("augmenter", name), tf.constant([1, 2])
    compiled = tf.function(augmenter, jit_compile=True)
    first, second = (np.asarray(compiled(tf.constant(BATCH), seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    if name == "noise":  # XLA makes other normal numbers of the same bits
        assert (first - BATCH).std() == pytest.approx(0.05, rel=0.05)
    else:
        np.testing.assert_array_equal(first, augmenter(tf.constant(BATCH), seed))
