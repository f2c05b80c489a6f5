"""Borders, purge and embargo, counted by hand."""

import numpy as np
import pytest

from simengine.data.split import purge_bars, segments, split_times
from simengine.errors import DataError
from simengine.types import Bars


def bars_at(times, symbol="X"):
    times = np.asarray(times, dtype=np.int64)
    ones = np.ones(len(times))
    return Bars(symbol, times, ones, ones, ones, ones, ones)


def test_shares_cut_the_span_of_all_symbols_together():
    times = split_times({"A": bars_at([0, 50]), "B": bars_at([20, 100])}, 0.6, 0.2, 0.2)
    assert (times.start, times.train_end, times.val_end, times.end) == (0, 60, 80, 100)


def test_purge_and_embargo_by_hand():
    # 101 bars 0..100, window 5, horizon 3: purge 7. Train holds bars 0..59, of which 53..59 are purged.
    times = split_times({"A": bars_at(range(101))}, 0.6, 0.2, 0.2)
    found = segments(np.arange(101), times, purge=purge_bars(5, 3), embargo_bars=2)
    assert found.train == (0, 53)
    assert found.val == (62, 73)
    assert found.test == (82, 101)
    assert found.rows("val") == (62, 73)


@pytest.mark.parametrize(("window", "horizon"), [(5, 3), (60, 12), (2, 1)])
def test_last_label_of_train_and_first_window_of_val_touch_but_share_no_bar(window, horizon):
    times = split_times({"A": bars_at(range(1001))}, 0.6, 0.2, 0.2)
    found = segments(np.arange(1001), times, purge=purge_bars(window, horizon))
    last_bar_of_label = found.train[1] - 1 + horizon
    first_bar_of_window = found.val[0] - window + 1
    assert last_bar_of_label + 1 == first_bar_of_window
    assert found.val[1] - 1 + horizon + 1 == found.test[0] - window + 1


def test_purge_is_counted_in_the_symbols_own_bars():
    times = split_times({"A": bars_at(range(101))}, 0.6, 0.2, 0.2)
    sparse = segments(np.arange(0, 101, 10), times, purge=3)
    assert sparse.train == (0, 3)  # bars at 0..50 are train, the three before the border are purged
    assert sparse.val == (6, 6)  # two bars, both purged


def test_symbol_without_bars_in_a_segment_has_an_empty_range():
    times = split_times({"A": bars_at(range(101))}, 0.6, 0.2, 0.2)
    late = segments(np.arange(90, 101), times, purge=7)
    assert late.train == (0, 0)
    assert late.val[0] == late.val[1]
    assert late.test == (0, 11)
    early = segments(np.arange(0, 20), times, purge=7, embargo_bars=3)
    assert early.train == (0, 13)
    assert early.test == (20, 20)


def test_shares_must_be_positive_and_sum_to_one():
    with pytest.raises(ValueError, match=r"shares must be above 0 and sum to 1; received 0\.6, 0\.2, 0\.1"):
        split_times({"A": bars_at([0, 1])}, 0.6, 0.2, 0.1)


def test_no_bars_cannot_be_split():
    with pytest.raises(DataError, match="split: there are no bars to split"):
        split_times({"A": bars_at([])}, 0.6, 0.2, 0.2)


def test_the_example_of_the_conventions_page():
    times = split_times({"A": bars_at(np.arange(1000) * 10**9)}, 0.6, 0.2, 0.2)
    found = segments(np.arange(1000) * 10**9, times, purge=purge_bars(60, 12))
    assert purge_bars(60, 12) == 71
    assert found.train == (0, 529)  # last row 528, its label looks at bars 529 to 540
    assert found.val[0] - 60 + 1 == 541
