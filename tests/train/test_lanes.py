import numpy as np
import pytest

from simengine.data.windows import WindowSet
from simengine.errors import DataError
from simengine.train.lanes import Lanes


def random_series(rng):
    """Windows over several series with holes between them, every k-th bar labelled."""
    length, row, ends, starts = int(rng.integers(2, 9)), int(rng.integers(0, 5)), [], []
    for _ in range(int(rng.integers(1, 7))):
        first = row + length - 1
        last = first + int(rng.integers(0, 60))
        found = np.arange(first, last + 1)[:: int(rng.integers(1, 4))]
        ends.append(found)
        starts.append(np.full(len(found), row))
        row = last + 1 + int(rng.integers(0, 6))
    ends, starts = (np.concatenate(parts).astype(np.int32) for parts in (ends, starts))
    labels = rng.integers(0, 3, len(ends)).astype(np.int8)
    matrix = np.zeros((row + 10, 2), np.float32)
    return WindowSet(matrix, ends, labels, np.zeros(len(ends), np.int16), length, starts)


def followed(steps, lane):
    """Yield (row, counts, bars since the fresh start, first row since) of one lane, bar by bar."""
    age, first = 0, None
    for step in steps:
        for column, row in enumerate(step.rows[lane]):
            if column == 0 and step.fresh[lane]:
                age, first = 0, int(row)
            age += 1
            yield int(row), bool(step.counts[lane, column]), age, first


@pytest.mark.parametrize("seed", range(40))
def test_every_labelled_bar_counts_once_after_a_whole_window_of_its_own_series(seed):
    rng = np.random.default_rng(seed)
    windows = random_series(rng)
    lanes = Lanes(windows, int(rng.integers(1, 12)), int(rng.integers(1, 20)))
    start_of = dict(zip(windows.ends.tolist(), windows.starts.tolist(), strict=True))
    for phase in (0, lanes.size // 2, lanes.size - 1):
        steps = lanes.steps(phase)
        rows = np.concatenate([step.rows[step.counts] for step in steps])
        labels = np.concatenate([step.labels[step.counts] for step in steps])
        order = np.argsort(rows)
        np.testing.assert_array_equal(rows[order], windows.ends)
        np.testing.assert_array_equal(labels[order], windows.labels)
        assert {step.rows.shape for step in steps} == {(lanes.n, lanes.chunk)}
        for lane in range(lanes.n):
            before = None
            for row, counts, age, first in followed(steps, lane):
                if age > 1:
                    assert row == before + 1 or (row == before and not counts)
                if counts:
                    assert age >= windows.length
                    assert first >= start_of[row]
                before = row


def test_lanes_by_hand():
    # Two series of windows of 3 bars: ends 2..7 from row 0, and 12..13 from row 10.
    ends = np.array([2, 3, 4, 5, 6, 7, 12, 13], np.int32)
    starts = np.array([0] * 6 + [10] * 2, np.int32)
    labels = (np.arange(8) % 3).astype(np.int8)
    windows = WindowSet(np.zeros((20, 1), np.float32), ends, labels, np.zeros(8, np.int16), 3, starts)
    lanes = Lanes(windows, 2, 4)
    assert (lanes.n, lanes.size) == (2, 4)
    steps = lanes.steps()
    np.testing.assert_array_equal(
        np.concatenate([step.rows for step in steps], axis=1),
        [[0, 1, 2, 3, 4, 5, 5, 5], [4, 5, 6, 7, 10, 11, 12, 13]],
    )
    np.testing.assert_array_equal([step.fresh for step in steps], [[True, True], [False, True]])
    np.testing.assert_array_equal(
        np.concatenate([step.counts for step in steps], axis=1),
        np.array([[0, 0, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0, 1, 1]], bool),
    )
    shifted = lanes.steps(phase=3)
    rows = [step.rows[lane][step.counts[lane]].tolist() for lane in range(2) for step in shifted]
    assert [row for part in rows[: len(shifted)] for row in part] == [5, 6, 7, 12]
    assert [row for part in rows[len(shifted) :] for row in part] == [13, 2, 3, 4]


def test_there_are_no_more_lanes_than_chunks_of_bars():
    windows = WindowSet(
        np.zeros((40, 1), np.float32),
        np.arange(4, 34, dtype=np.int32),
        np.zeros(30, np.int8),
        np.zeros(30, np.int16),
        5,
        np.zeros(30, np.int32),
    )
    lanes = Lanes(windows, 128, 16)
    assert (lanes.n, lanes.size) == (2, 15)


@pytest.mark.parametrize(
    ("ends", "starts", "message"),
    [
        (
            [4, 5, 5],
            [0, 0, 0],
            "stateful training takes every bar once, but two train windows end at one bar",
        ),
        ([4, 5, 6], [0, 0, 3], "windows: a window begins before the series (starts) that it lies in"),
    ],
)
def test_windows_that_are_no_series_are_refused(ends, starts, message):
    windows = WindowSet(
        np.zeros((9, 1), np.float32),
        np.array(ends, np.int32),
        np.zeros(3, np.int8),
        np.zeros(3, np.int16),
        5,
        np.array(starts, np.int32),
    )
    with pytest.raises(DataError) as error:
        Lanes(windows, 2, 2)
    assert str(error.value) == message
