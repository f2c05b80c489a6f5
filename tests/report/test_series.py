"""The numbers behind the charts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simengine.report.series import bucket_means, drawdown, extreme_rows, reliability, reliability_panels


def test_drawdown_by_hand():
    equity = np.array([100.0, 110.0, 99.0, 121.0, 60.5])
    np.testing.assert_allclose(drawdown(equity), [0, 0, -0.1, 0, -0.5])


def test_short_series_are_drawn_whole():
    np.testing.assert_array_equal(extreme_rows(np.zeros((10, 2)), 400), np.arange(10))


@given(st.integers(1, 3000), st.integers(1, 3), st.integers(1, 40), st.integers(0, 2**31))
def test_downsampling_keeps_ends_and_extremes_and_stays_small(n, k, buckets, seed):
    columns = np.random.default_rng(seed).normal(size=(n, k)).cumsum(axis=0)
    rows = extreme_rows(columns, buckets)
    assert (np.diff(rows) > 0).all()
    assert {0, n - 1} <= set(rows.tolist())
    assert len(rows) <= 2 * k * buckets + 2
    np.testing.assert_array_equal(columns[rows].max(axis=0), columns.max(axis=0))
    np.testing.assert_array_equal(columns[rows].min(axis=0), columns.min(axis=0))


def test_a_missing_value_is_no_extreme():
    column = np.arange(100.0)[:, None]
    column[50] = np.nan
    assert 50 not in extreme_rows(column, 4)


def test_bucket_means_by_hand():
    ends, means = bucket_means(np.array([1.0, 3.0, 5.0, 7.0]), 2)
    assert ends.tolist() == [1, 3]
    assert means.tolist() == [2.0, 6.0]
    ends, means = bucket_means(np.array([1.0, -1.0]), 400)
    assert ends.tolist() == [0, 1]
    assert means.tolist() == [1.0, -1.0]


def test_reliability_by_hand():
    probability = np.array([0.10, 0.12, 0.5, 1.0])
    hit = np.array([0.0, 1.0, 1.0, 1.0])
    low, middle, high = reliability(probability, hit, bins=4)
    np.testing.assert_allclose(low, (0.11, 0.5, 2))
    np.testing.assert_allclose(middle, (0.5, 1.0, 1))
    np.testing.assert_allclose(high, (1.0, 1.0, 1))


def test_reliability_gap_is_the_ece():
    from simengine.evaluate.scores import top_label_ece

    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1.0, 1.2, 1.4], size=2000)
    labels = rng.integers(0, 3, size=2000).astype(np.int8)
    title, _, curve = reliability_panels(proba, proba, labels)[0]
    assert title == "top label"
    assert sum(point.n for point in curve) == 2000
    gap = sum(point.n * abs(point.observed - point.predicted) for point in curve) / 2000
    np.testing.assert_allclose(gap, top_label_ece(np.log(proba), labels), atol=1e-12)
