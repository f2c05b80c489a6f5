import numpy as np
import pytest

from simengine.data.labels import (
    check_label_shares,
    classify,
    forward_log_return,
    known_before,
    label_shares,
)
from simengine.errors import CheckFailedError
from simengine.types import Bars


def bars(close, open_=None):
    close = np.asarray(close, dtype=np.float64)
    open_ = close if open_ is None else np.asarray(open_, dtype=np.float64)
    return Bars("X", np.arange(len(close), dtype=np.int64) * 10, open_, close, close, close, close)


def test_forward_return_by_hand():
    found = forward_log_return(bars([1, 2, 4, 16]), 2)
    np.testing.assert_allclose(found, [np.log(4), np.log(8), np.nan, np.nan])


def test_forward_return_from_the_next_open():
    found = forward_log_return(bars([1, 2, 4, 16], open_=[9, 1, 2, 8]), 2, "next_open")
    np.testing.assert_allclose(found, [np.log(4), np.log(8), np.nan, np.nan])


def test_horizon_longer_than_the_series():
    assert np.isnan(forward_log_return(bars([1, 2]), 5)).all()


def test_thresholds_themselves_are_hold():
    lower, upper = np.full(6, -0.1), np.full(6, 0.2)
    forward = np.array([-0.2, -0.1, 0.0, 0.2, 0.3, np.nan])
    assert classify(forward, lower, upper).tolist() == [0, 1, 1, 1, 2, -1]
    assert classify(forward[:1], lower[:1] * np.nan, upper[:1]).tolist() == [-1]


def test_labels_known_before_an_instant():
    # Bars open at 0, 10, .., 50; the label of bar 2 needs bar 4, which opens at 40.
    assert known_before(bars(range(1, 7)), 2, 41) == 3
    assert known_before(bars(range(1, 7)), 2, 40) == 2
    assert known_before(bars(range(1, 7)), 2, 0) == 0


def test_shares_leave_undefined_labels_out():
    np.testing.assert_allclose(label_shares(np.array([0, 1, 1, 2, -1], dtype=np.int8)), [0.25, 0.5, 0.25])


def test_a_class_under_one_percent_ends_the_run():
    labels = np.repeat(np.array([0, 1, 2], dtype=np.int8), [3, 996, 1001])
    with pytest.raises(CheckFailedError) as caught:
        check_label_shares(labels)
    assert caught.value.exit_code == 1
    assert str(caught.value) == (
        "labels: SELL has 0.15% of the 2,000 train labels (SELL 0.1%, HOLD 49.8%, BUY 50.0%), and a class "
        "under 1% cannot be learnt: change the thresholds or the horizon_bars of labels.labeler"
    )
    check_label_shares(np.repeat(np.array([0, 1, 2], dtype=np.int8), [20, 980, 1000]))
