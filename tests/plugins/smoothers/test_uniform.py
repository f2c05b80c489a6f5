import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine_plugins.smoothers.uniform import Uniform

ROWS = np.eye(3, dtype=np.float32)


def test_six_percent_by_hand():
    np.testing.assert_allclose(Uniform(smoothing=0.06)(ROWS), 0.94 * ROWS + 0.02, rtol=1e-6)
    np.testing.assert_allclose(Uniform(smoothing=0.06)(ROWS)[2], [0.02, 0.02, 0.96], rtol=1e-6)


def test_none_changes_nothing():
    np.testing.assert_array_equal(Uniform(smoothing=0.0)(ROWS), ROWS)


@given(smoothing=st.floats(0, 0.99))
def test_rows_stay_distributions_with_the_label_on_top(smoothing):
    soft = Uniform(smoothing=smoothing)(np.eye(3))
    assert (soft >= 0).all()
    assert soft.sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert soft.argmax(axis=1).tolist() == [0, 1, 2]
