import numpy as np
import pandas as pd
import pytest

from simengine.data.rolling import (
    contrast,
    lagged,
    ratio,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_sum,
)

VALUES = np.random.default_rng(1).normal(size=300)


@pytest.mark.parametrize("window", [1, 2, 7, 300, 301])
@pytest.mark.parametrize(
    ("function", "name"),
    [(rolling_sum, "sum"), (rolling_mean, "mean"), (rolling_max, "max"), (rolling_min, "min")],
)
def test_equals_pandas(function, name, window):
    expected = getattr(pd.Series(VALUES).rolling(window), name)().to_numpy()
    np.testing.assert_allclose(function(VALUES, window), expected, rtol=1e-10, atol=1e-12)


def test_missing_values_reach_only_the_windows_that_hold_them():
    values = VALUES.copy()
    values[0] = np.nan
    assert np.isnan(rolling_sum(values, 5)[:5]).all()
    assert np.isfinite(rolling_sum(values, 5)[5:]).all()
    assert np.isnan(rolling_max(values, 5)[:5]).all()


def test_an_absurd_value_leaves_no_trace_once_it_is_out_of_the_window():
    values = VALUES.copy()
    values[10] = 1e18
    assert rolling_sum(values, 5)[15:].tobytes() == rolling_sum(VALUES, 5)[15:].tobytes()


def test_ratio_and_contrast_define_zero_over_zero_as_zero():
    a, b = np.array([1.0, 0.0, 3.0]), np.array([2.0, 0.0, 1.0])
    assert ratio(a, b).tolist() == [0.5, 0.0, 3.0]
    assert contrast(a, b).tolist() == [-1 / 3, 0.0, 0.5]


def test_lagged():
    np.testing.assert_array_equal(lagged(np.array([1.0, 2.0, 3.0]), 1), [np.nan, 1.0, 2.0])
    assert np.isnan(lagged(np.array([1.0]), 3)).all()
