"""Windows, segments and scaling over several symbols."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from simengine.data.dataset import build_dataset
from simengine.data.need import Need
from simengine.data.scale import Scaler
from simengine.data.split import SEGMENTS, split_times
from simengine.errors import DataError, PluginError
from simengine.types import Bars

WINDOW = 5
HORIZON = 3
WARMUP = 4


class Ramp:
    """Feature 0 is the number of the bar, feature 1 the close."""

    names = ("row", "close")
    warmup = WARMUP

    def compute(self, bars):
        matrix = np.stack([np.arange(len(bars)), bars.close], axis=1).astype(np.float32)
        matrix[: self.warmup] = np.nan
        return matrix


class Alternating:
    """Labels 0, 1, 2, 0, ... by bar number."""

    horizon_bars = HORIZON

    def label(self, bars):
        labels = (np.arange(len(bars)) % 3).astype(np.int8)
        labels[-self.horizon_bars :] = -1
        return labels


def bars(symbol, times):
    times = np.asarray(times, dtype=np.int64)
    close = 100.0 + np.arange(len(times)) + (1000 if symbol == "B" else 0)
    return Bars(symbol, times, close, close, close, close, close)


TWO = {"A": bars("A", range(101)), "B": bars("B", range(40, 101))}
TIMES = split_times(TWO, 0.6, 0.2, 0.2)  # borders at 60 and 80, purge 5 + 3 - 1 = 7


def build(two=TWO, **options):
    options = {"window": WINDOW, "times": TIMES} | options
    return build_dataset(two, Ramp(), Alternating(), **options)


def test_segments_by_hand():
    data = build()
    assert data.symbols == ("A", "B")
    assert data.offsets.tolist() == [0, 101, 162]
    # A: first full window at 4 + 5 - 1 = 8, train ends before 60 - 7 = 53; B opens at 40: rows 8 to 12.
    train = data.windows("train")
    assert data.rows(train).tolist() == [*range(8, 53), *range(8, 13)]
    assert train.groups.tolist() == [0] * 45 + [1] * 5
    assert data.times(train).tolist() == [*range(8, 53), *range(48, 53)]
    # val 60..72 in both; test 80..97, the last three bars have no label.
    assert data.times(data.windows("val")).tolist() == [*range(60, 73)] * 2
    assert data.times(data.windows("test")).tolist() == [*range(80, 98)] * 2
    assert data.times(data.windows("test", labelled=False)).tolist() == [*range(80, 101)] * 2
    assert train.labels.tolist() == [row % 3 for row in data.rows(train)]


def test_stride_and_embargo():
    data = build(embargo_bars=2)
    assert data.rows(data.windows("train", stride=20)).tolist() == [8, 28, 48, 8]
    assert data.times(data.windows("val")).tolist() == [*range(62, 73)] * 2


def test_no_bar_is_shared_by_the_labels_of_one_segment_and_the_windows_of_the_next():
    data = build()
    for earlier, later in pairwise(SEGMENTS):
        for group in range(2):
            last = max(row for row, g in _rows(data, earlier) if g == group) + HORIZON
            first = min(row for row, g in _rows(data, later) if g == group) - WINDOW + 1
            assert last < first


def _rows(data, segment):
    windows = data.windows(segment)
    return zip(data.rows(windows).tolist(), windows.groups.tolist(), strict=True)


def test_windows_hold_consecutive_bars_of_one_symbol():
    data = build()
    for segment in SEGMENTS:
        windows = data.windows(segment, labelled=False)
        batch = windows.gather(slice(None)) * data.scaler.scale + data.scaler.mean
        assert np.isfinite(batch).all()
        np.testing.assert_allclose(np.diff(batch[:, :, 0], axis=1), 1, atol=1e-4)
        np.testing.assert_allclose(batch[:, -1, 0], data.rows(windows), atol=1e-4)
        assert ((batch[:, :, 1] > 1000).all(axis=1) == (windows.groups == 1)).all()


def test_scaler_is_pooled_over_symbols_on_purged_train_rows_only():
    data = build()
    rows = np.concatenate([np.arange(4, 53), np.arange(4, 13)])
    np.testing.assert_allclose(data.scaler.mean[0], rows.mean())
    np.testing.assert_allclose(data.scaler.scale[0], rows.std())


def test_bars_after_train_do_not_move_the_scaler_or_the_train_windows():
    changed = {name: _scaled_from(found, TIMES.train_end) for name, found in TWO.items()}
    a, b = build(), build(changed)
    assert a.scaler.to_dict() == b.scaler.to_dict()
    train = slice(None)
    assert a.windows("train").gather(train).tobytes() == b.windows("train").gather(train).tobytes()


def _scaled_from(found, start):
    factor = np.where(found.timestamp >= start, 50.0, 1.0)
    columns = {name: values * factor for name, values in found.columns()}
    return Bars(found.symbol, found.timestamp, **columns)


def test_between_gives_every_full_window_of_a_span():
    data = build()
    assert data.times(data.between(50, 53)).tolist() == [50, 51, 52] * 2
    assert data.times(data.between(99)).tolist() == [99, 100] * 2
    assert data.times(data.between(97, labelled=True)).tolist() == [97, 97]
    assert len(data.between(500)) == 0


def test_a_fitted_scaler_is_used_as_it_is_and_needs_no_split():
    scaler = build().scaler
    data = build(times=None, scaler=scaler)
    assert data.scaler is scaler
    assert data.segments == ()
    with pytest.raises(DataError, match="dataset: there is no split; build it with times, or use `between`"):
        data.windows("train")


def test_windows_and_labels_do_not_span_a_long_hole():
    times = np.concatenate([np.arange(30), np.arange(33, 94), [*range(94, 101)]])  # hole of 4 after bar 29
    one = {"A": bars("A", times)}
    free, cut = build(one), build(one, max_gap_ns=3)
    assert free.counts == {"holes": 1, "long_holes": 0, "windows_lost_to_holes": 0, "labels_lost_to_holes": 0}
    assert cut.counts == {"holes": 1, "long_holes": 1, "windows_lost_to_holes": 4, "labels_lost_to_holes": 3}
    lost = set(free.rows(free.windows("train"))) - set(cut.rows(cut.windows("train")))
    assert lost == {27, 28, 29, 30, 31, 32, 33}
    assert set(cut.rows(cut.between(0, 40))) == set(free.rows(free.between(0, 40))) - {30, 31, 32, 33}


def test_missing_feature_after_its_warmup_names_symbol_time_and_feature():
    class Broken(Ramp):
        def compute(self, bars):
            matrix = super().compute(bars)
            matrix[7, 1] = np.inf
            return matrix

    with pytest.raises(DataError) as caught:
        build_dataset(TWO, Broken(), Alternating(), window=WINDOW, times=TIMES)
    assert str(caught.value) == (
        "features: close of A is inf at 1970-01-01T00:00:00Z (bar 8), after the warm-up of 4 bars; "
        "correct the bars there, or the feature"
    )


def test_components_that_break_their_contract_are_named():
    class Double(Ramp):
        def compute(self, bars):
            return super().compute(bars).astype(np.float64)

    class Wide(Alternating):
        def label(self, bars):
            return super().label(bars) + np.int8(2)

    class Long(Alternating):
        def label(self, bars):
            return super().label(bars).astype(np.int64)

    cases = [
        (
            Double(),
            Alternating(),
            "features: Double.compute must return float32 of shape (101, 2); received ",
        ),
        (Ramp(), Wide(), "labeler: Wide.label must return -1, 0, 1 or 2; received 1 to 4"),
        (Ramp(), Long(), "labeler: Long.label must return int8 of shape (101,); received int64 of shape"),
    ]
    for features, labeler, text in cases:
        with pytest.raises(PluginError) as caught:
            build_dataset(TWO, features, labeler, window=WINDOW, times=TIMES)
        assert str(caught.value).startswith(text)


def test_thirty_bars_are_told_how_many_are_needed():
    few = {"BTC": bars("BTC", np.arange(30) * 10**9)}
    with pytest.raises(DataError) as caught:
        Need(warmup=192, window=60, horizon_bars=12).check(few, split_times(few, 0.6, 0.2, 0.2))
    assert str(caught.value) == (
        "too few bars: BTC has 30 bars; train needs 323 of one symbol (192 of feature warm-up + 60 of window "
        "+ 71 purged) and holds no labelled window: use about 539 bars or more in all, or a smaller "
        "window.length or horizon_bars"
    )


@pytest.mark.parametrize(
    ("warmup", "window", "horizon", "embargo"),
    [(4, 5, 3, 0), (192, 60, 12, 0), (4, 60, 12, 30), (1, 2, 40, 7)],
)
def test_as_many_bars_as_the_message_asks_for_are_enough(warmup, window, horizon, embargo):
    need = Need(warmup, window, horizon, embargo)
    second = 10**9
    one = {"A": bars("A", np.arange(20) * second)}
    with pytest.raises(DataError, match="too few bars") as caught:
        need.check(one, split_times(one, 0.6, 0.2, 0.2))
    asked = int(str(caught.value).split("use about ")[1].split(" ")[0].replace(",", ""))
    enough = {"A": bars("A", np.arange(asked + 2) * second)}
    need.check(enough, split_times(enough, 0.6, 0.2, 0.2))


def test_the_need_and_the_dataset_agree_to_the_bar():
    for n in range(30, 60):
        one = {"A": bars("A", range(n))}
        times = split_times(one, 0.6, 0.2, 0.2)
        try:
            Need(WARMUP, WINDOW, HORIZON).check(one, times)
        except DataError:
            continue
        data = build(one, times=times)
        assert all(len(data.windows(segment)) > 0 for segment in SEGMENTS)


def test_a_max_gap_below_the_bar_spacing_is_refused():
    one = {"A": bars("A", np.arange(101) * 3600 * 10**9)}
    with pytest.raises(DataError) as caught:
        build(one, times=split_times(one, 0.6, 0.2, 0.2), max_gap_ns=1800 * 10**9)
    assert str(caught.value) == (
        "A: data.max_gap is 1800 s, but the bars are 3600 s apart; use at least the bar spacing"
    )


def test_holes_everywhere_leave_no_window():
    times = np.cumsum(np.tile([1, 1, 5], 40))
    one = {"A": bars("A", times)}
    with pytest.raises(DataError) as caught:
        build(one, times=split_times(one, 0.6, 0.2, 0.2), max_gap_ns=2)
    assert str(caught.value) == (
        "too few bars: A has 120 bars; the first window is full at bar 9 (4 of feature warm-up + 5 of window)"
        " and crosses no hole above data.max_gap: use more bars or a smaller window.length"
    )


def test_scaler_of_other_features_is_refused():
    other = Scaler(("x", "close"), np.zeros(2), np.ones(2))
    with pytest.raises(DataError) as caught:
        build(scaler=other)
    assert str(caught.value) == (
        "scaler: it was fitted on ('x', 'close'), but the features are ('row', 'close')"
    )
    with pytest.raises(DataError, match="give times"):
        build(times=None)


def test_series_start_after_the_warm_up_of_their_symbol_and_after_long_holes():
    times = [*range(40), *range(50, 101)]  # a hole of ten bars
    data = build({"A": bars("A", times), "B": TWO["B"]}, max_gap_ns=3)
    for segment in SEGMENTS:
        windows = data.windows(segment, labelled=False)
        row = data.rows(windows)
        expected = np.where(windows.groups == 0, np.where(row < 40, WARMUP, 40), WARMUP)
        np.testing.assert_array_equal(windows.starts - data.offsets[windows.groups], expected)
        assert (windows.starts <= windows.ends - (WINDOW - 1)).all()
        assert np.isfinite(data.matrix[windows.starts]).all()
    some = data.windows("train").take(slice(3, 6))
    np.testing.assert_array_equal(some.starts, data.windows("train").starts[3:6])
    np.testing.assert_array_equal(some.series_starts(), some.starts)


def test_without_known_starts_every_window_is_a_series_of_its_own():
    windows = replace(build().windows("train"), starts=None)
    np.testing.assert_array_equal(windows.series_starts(), windows.ends - (WINDOW - 1))
    assert windows.take(slice(0, 2)).starts is None
