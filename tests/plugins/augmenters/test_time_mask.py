import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.errors import ConfigError
from simengine_plugins.augmenters.time_mask import TimeMask


def of(augmenter, batch, seed=(3, 4)):
    return np.asarray(augmenter(tf.constant(batch), tf.constant(seed, tf.int32)))


def masked(augmenter, n, length, seed=(3, 4)):
    """Return which bars of n windows are masked, (n, length)."""
    return of(augmenter, np.ones((n, length, 1), np.float32), seed)[:, :, 0] == 0


def runs(row):
    """Number of separate spans in a row."""
    return int((np.diff(np.r_[0, row.astype(int)]) == 1).sum())


@settings(max_examples=25)
@given(
    spans=st.integers(1, 3),
    max_bars=st.integers(1, 20),
    fill=st.sampled_from(["zero", "mean"]),
    seed=st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 2),
)
def test_whole_bars_in_few_spans_are_replaced_and_nothing_else(spans, max_bars, fill, seed):
    batch = np.random.default_rng(0).normal(3, 1, size=(12, 20, 4)).astype(np.float32)
    holes = masked(TimeMask(spans=spans, max_bars=max_bars), 12, 20, seed)
    found = of(TimeMask(spans=spans, max_bars=max_bars, fill=fill), batch, seed)
    np.testing.assert_array_equal(found[~holes], batch[~holes])
    mean = batch.mean(axis=1, keepdims=True) if fill == "mean" else np.zeros((12, 1, 4), np.float32)
    np.testing.assert_allclose(found[holes], np.broadcast_to(mean, batch.shape)[holes], rtol=1e-5)
    for row in holes:
        assert runs(row) <= spans
        assert row.sum() <= spans * max_bars


def test_lengths_and_places_are_uniform():
    holes = masked(TimeMask(max_bars=3), 20000, 8)
    lengths = holes.sum(axis=1)
    np.testing.assert_allclose(np.bincount(lengths) / 20000, 0.25, atol=0.02)
    first = holes[lengths == 2].argmax(axis=1)
    np.testing.assert_allclose(np.bincount(first, minlength=7) / len(first), 1 / 7, atol=0.02)


def test_half_the_longest_span_is_blank_on_average():
    assert masked(TimeMask(max_bars=6), 5000, 60).sum(axis=1).mean() == pytest.approx(3, abs=0.1)


def test_the_whole_window_can_be_masked_but_no_more():
    holes = masked(TimeMask(max_bars=4), 500, 4)
    assert sorted(set(holes.sum(axis=1))) == [0, 1, 2, 3, 4]
    with pytest.raises(ConfigError) as caught:
        masked(TimeMask(max_bars=5), 2, 4)
    assert str(caught.value) == "training.augment: time_mask max_bars 5 must be at most window.length 4"
