import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.errors import DataError
from simengine.evaluate.significance import block_bootstrap_interval, newey_west_t, return_lag


def slow_newey_west_t(x, lag):
    """The definition as a double sum: weight (1 - |s - t| / (lag + 1)) on every pair of times."""
    n = len(x)
    e = x - sum(x) / n
    total = 0.0
    for t in range(n):
        for s in range(n):
            total += max(0.0, 1 - abs(s - t) / (lag + 1)) * e[t] * e[s]
    return (sum(x) / n) / np.sqrt(total / n / n)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 30))
def test_t_equals_the_double_sum(seed, lag):
    rng = np.random.default_rng(seed)
    x = np.convolve(rng.normal(size=60), [1, 0.5, 0.2])[:50] + 0.1
    assert newey_west_t(x, lag) == pytest.approx(slow_newey_west_t(x, lag), rel=1e-9)


def test_t_without_lags_is_the_classical_one():
    x = np.array([1.0, 2.0, 3.0, 6.0])
    assert newey_west_t(x, 0) == pytest.approx(3 / (np.std(x) / 2))


def test_overlapping_sums_do_not_look_significant():
    # Moving sums of 24 noise terms: the classical t has a standard deviation of about 5.
    rng = np.random.default_rng(0)
    found = []
    for _ in range(100):
        x = np.convolve(rng.normal(size=3000), np.ones(24), mode="valid")
        found.append((newey_west_t(x, 0), newey_west_t(x, 48)))
    plain, robust = np.std(found, axis=0)
    assert plain > 3.5
    assert 0.8 < robust < 1.4


def test_t_is_nan_where_it_is_not_defined():
    assert np.isnan(newey_west_t(np.zeros(100), 5))
    assert np.isnan(newey_west_t(np.full(100, 0.1), 5))
    assert np.isnan(newey_west_t(np.arange(10.0), 10))
    assert np.isnan(newey_west_t(np.array([]), 0))


def test_t_refuses_bad_input():
    with pytest.raises(DataError, match=r"^returns: expected finite values, received inf at position 1$"):
        newey_west_t(np.array([0.0, np.inf]), 0)
    with pytest.raises(DataError, match=r"^lag: expected 0 or more steps, received -1$"):
        newey_west_t(np.array([0.0, 1.0]), -1)


def test_return_lag():
    assert return_lag(12) == 48
    assert return_lag(40) == 80


def test_interval_holds_the_result_and_is_reproducible():
    returns = np.random.default_rng(3).normal(1e-4, 0.01, size=2000)
    low, high = block_bootstrap_interval(returns, 48, seed=7)
    assert low < np.prod(1 + returns) - 1 < high
    assert (low, high) == block_bootstrap_interval(returns, 48, seed=7)
    assert (low, high) != block_bootstrap_interval(returns, 48, seed=8)


def test_interval_of_a_constant_return_is_that_return():
    low, high = block_bootstrap_interval(np.full(100, 0.01), 7, seed=1, n=50)
    assert low == pytest.approx(1.01**100 - 1, rel=1e-9)
    assert high == pytest.approx(1.01**100 - 1, rel=1e-9)


def test_mean_interval_has_the_width_of_the_normal_one_for_independent_values():
    x = np.random.default_rng(4).normal(size=5000)
    low, high = block_bootstrap_interval(x, 1, seed=2, n=4000, statistic="mean")
    assert high - low == pytest.approx(2 * 1.96 * x.std() / np.sqrt(5000), rel=0.05)
    assert low < x.mean() < high


def test_blocks_widen_the_interval_of_correlated_values():
    x = np.convolve(np.random.default_rng(5).normal(size=5000), np.ones(20) / 20, mode="valid")
    single = np.subtract(*block_bootstrap_interval(x, 1, seed=2, statistic="mean")[::-1])
    blocks = np.subtract(*block_bootstrap_interval(x, 60, seed=2, statistic="mean")[::-1])
    assert 3 < blocks / single < 6


def test_interval_is_nan_where_it_says_nothing():
    assert np.isnan(block_bootstrap_interval(np.full(10, 0.01), 6, seed=1)).all()
    assert np.isnan(block_bootstrap_interval(np.array([0.1, -1.0, 0.0, 0.0]), 1, seed=1)).all()


def test_interval_refuses_bad_numbers():
    with pytest.raises(DataError) as caught:
        block_bootstrap_interval(np.zeros(10), 0, seed=1, level=1.0)
    assert str(caught.value) == (
        "block bootstrap: expected block >= 1, n >= 1 and 0 < level < 1, received block=0, n=1000, level=1.0"
    )
