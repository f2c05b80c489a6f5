"""What the config says of labels, split and windows arrives in the data set."""

import numpy as np

from simengine.steps.prepare import forward_returns, prepare

HORIZON = 3


def test_the_labeler_learns_from_train_alone(parts, prepared):
    assert prepared.times.train_end == 60
    assert parts.labeler.fitted_until == 60


def test_the_embargo_of_the_config_is_kept_after_both_borders(make_config, parts):
    prepared = prepare(make_config(split={"embargo_bars": 2}), parts)
    for windows, first in ((prepared.val, 62), (prepared.test, 82)):
        times = prepared.dataset.times(windows)
        assert [times[windows.groups == group].min() for group in (0, 1)] == [first, first]


def test_train_is_strided_and_val_and_test_are_not(make_config, parts):
    prepared = prepare(make_config(window={"length": 5, "train_stride": 4}), parts)
    steps = {
        name: set(np.diff(prepared.dataset.rows(windows)[windows.groups == 0]).tolist())
        for name, windows in (("train", prepared.train), ("val", prepared.val), ("test", prepared.test))
    }
    assert steps == {"train": {4}, "val": {1}, "test": {1}}


def test_test_holds_the_last_bars_although_their_labels_are_not_known(prepared):
    rows = prepared.dataset.rows(prepared.test)[prepared.test.groups == 0]
    assert rows.tolist() == [*range(80, 101)]
    assert (prepared.test.labels == -1).sum() == 2 * HORIZON
    assert (prepared.val.labels >= 0).all()


def test_the_longest_hole_of_the_config_is_kept(make_config, parts):
    second = 10**9
    for bars in parts.source.bars.values():
        bars.timestamp[:] *= second
        bars.timestamp[bars.timestamp >= 50 * second] += 7 * second
    free = prepare(make_config(), parts)
    cut = prepare(make_config(data={"max_gap": "5s"}), parts)
    assert free.dataset.counts["long_holes"] == 0
    assert cut.dataset.counts["long_holes"] == 2
    assert len(cut.train) < len(free.train)


def test_forward_returns_start_where_the_labeler_says(parts):
    bars = parts.source.bars["A"]
    later = bars.close[HORIZON:]
    for entry, start in (
        (None, bars.close[:-HORIZON]),
        ("close", bars.close[:-HORIZON]),
        ("next_open", bars.open[1 : 1 - HORIZON]),
    ):
        if entry is not None:
            parts.labeler.entry = entry
        found = forward_returns(parts.labeler, {"A": bars})["A"]
        np.testing.assert_allclose(found[:-HORIZON], np.log(later / start), rtol=1e-12)
        assert np.isnan(found[-HORIZON:]).all()
