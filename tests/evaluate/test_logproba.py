import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simengine.errors import DataError
from simengine.evaluate.logproba import as_log_proba, check_labels, check_scores, floor_log_proba, log_softmax

LOGITS = arrays(np.float64, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(-1e4, 1e4))


def test_log_softmax_of_known_odds():
    result = log_softmax(np.log([[1.0, 2.0, 5.0]]) + 1000)
    np.testing.assert_allclose(np.exp(result), [[0.125, 0.25, 0.625]], rtol=1e-12)


@settings(deadline=None)
@given(LOGITS)
def test_log_softmax_is_normalised_and_leaves_normalised_scores_alone(logits):
    result = log_softmax(logits)
    assert result.dtype == np.float64
    np.testing.assert_allclose(np.exp(result).sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(log_softmax(result), result, atol=1e-9)


@settings(deadline=None)
@given(LOGITS)
def test_floor_keeps_every_probability_near_or_above_the_floor_and_normalised(logits):
    proba = np.exp(floor_log_proba(log_softmax(logits)))
    assert proba.min() >= 1e-7 * (1 - 3e-7)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)


def test_probability_of_zero_becomes_the_floor():
    np.testing.assert_allclose(np.exp(as_log_proba([[0.0, 0.25, 0.75]])), [[1e-7, 0.25, 0.75]], rtol=2e-7)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 2, -1], np.int8), "received -1 in row 2"),
        (np.array([3], np.int8), "received 3 in row 0"),
    ],
)
def test_labels_that_are_no_class_are_refused(labels, message):
    with pytest.raises(DataError) as caught:
        check_labels(labels)
    assert str(caught.value) == (
        f"labels: expected 0 (SELL), 1 (HOLD) or 2 (BUY), {message}; leave rows without a label out"
    )


def test_empty_rows_wrong_shapes_and_nan_are_refused():
    with pytest.raises(DataError, match=r"^labels: expected one row or more, received shape \(0,\)$"):
        check_labels(np.array([], np.int8))
    with pytest.raises(DataError, match=r"^scores: expected shape \(2, 3\) for 2 labels, received \(2, 2\)$"):
        check_scores(np.zeros((2, 2)), np.array([0, 1], np.int8))
    with pytest.raises(DataError, match=r"^scores: expected log-probabilities, received NaN in row 1$"):
        check_scores(np.array([[0.0] * 3, [0.0, np.nan, 0.0]]), np.array([0, 1], np.int8))
