import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.errors import ConfigError
from simengine_plugins.augmenters.time_shift import TimeShift


def of(augmenter, batch, seed=(3, 4)):
    return np.asarray(augmenter(tf.constant(batch), tf.constant(seed, tf.int32)))


def places(n, length):
    """Windows whose values are the places of their bars."""
    return np.tile(np.arange(length, dtype=np.float32)[None, :, None], (n, 1, 2))


def shifts(found):
    """Shift of each window, read off its middle bar."""
    middle = found.shape[1] // 2
    return (middle - found[:, middle, 0]).astype(int)


def test_the_docstring_example():
    found = of(TimeShift(max_bars=1), places(60, 4) + 1)[:, :, 0]
    seen = {tuple(row) for row in found.astype(int).tolist()}
    assert seen == {(1, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 4)}


@settings(max_examples=25)
@given(max_bars=st.integers(1, 9), seed=st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 2))
def test_every_window_is_its_own_bars_with_edges_repeated(max_bars, seed):
    batch = np.random.default_rng(0).normal(size=(12, 20, 3)).astype(np.float32)
    by = shifts(of(TimeShift(max_bars=max_bars), places(12, 20), seed))
    assert (np.abs(by) <= max_bars).all()
    for window, found, k in zip(batch, of(TimeShift(max_bars=max_bars), batch, seed), by, strict=True):
        padded = np.concatenate([[window[0]] * 9, window, [window[-1]] * 9])
        np.testing.assert_array_equal(found, padded[9 - k : 29 - k])


def test_shifts_are_uniform_both_ways():
    by = shifts(of(TimeShift(max_bars=2), places(5000, 7)))
    np.testing.assert_allclose(np.bincount(by + 2) / 5000, 0.2, atol=0.02)


@pytest.mark.parametrize("max_bars", [10, 11])
def test_a_shift_as_long_as_the_window_is_an_error(max_bars):
    with pytest.raises(ConfigError) as caught:
        of(TimeShift(max_bars=max_bars), places(2, 10))
    assert str(caught.value) == (
        f"training.augment: time_shift max_bars {max_bars} must be below window.length 10"
    )
