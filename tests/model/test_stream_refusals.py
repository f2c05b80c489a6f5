"""A stream refuses what would spoil it, and is as before: bars that overflow and snapshots that are none."""

import numpy as np
import pytest

from simengine.model.classifier import XLSTMClassifier
from simengine.model.streaming import stream

FEATURES, LENGTH, SEEN = 5, 8, 20


@pytest.fixture(scope="module")
def model():
    return XLSTMClassifier(FEATURES, LENGTH, embedding=8, heads=2, blocks=("mlstm", "slstm"), stateful=True)


@pytest.fixture(scope="module")
def bars():
    return np.random.default_rng(1).normal(size=(60, FEATURES)).astype(np.float32)


@pytest.fixture(params=("windowed_exact", "stateful"))
def opened(request, model):
    return stream(model, request.param, allow_stateful_trained=True)


def message(call, *arguments):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        call(*arguments)
    return str(error.value)


@pytest.mark.parametrize("seen", [0, 3, SEEN])
def test_a_finite_bar_that_overflows_is_refused_and_leaves_no_trace(opened, bars, seen):
    opened.run(bars[:seen])
    expected = opened.copy().run(bars[seen:])
    huge = np.full(FEATURES, 3e38, np.float32)
    for call, features, bar in (
        (opened.update, huge, seen),
        (opened.run, np.concatenate([bars[40:45], huge[None], bars[45:]]), seen + 5),
        (opened.run, np.concatenate([bars[:40], huge[None]]), seen + 40),
    ):
        assert message(call, features) == (
            f"features: bar {bar} is so large that the network overflows; "
            "leave the bar out or scale it as in training"
        )
        assert opened.bars == seen
    np.testing.assert_array_equal(opened.run(bars[seen:]), expected)
    opened.reset()
    assert message(opened.update, huge).startswith("features: bar 0 is so large")
    opened.run(bars[:seen])
    np.testing.assert_array_equal(opened.run(bars[seen:]), expected)


ADVICE = "give what Stream.snapshot returned"
START = {"bars": np.array(0)}
BAD = [
    ("stateful", {"bars": np.array(-1)}, "'bars' must be an integer >= 0; received -1"),
    ("stateful", {"bars": np.array(2.5)}, "'bars' must be an integer >= 0; received 2.5"),
    ("stateful", {"bars": np.array(True)}, "'bars' must be an integer >= 0; received True"),
    ("windowed_exact", {"bars": np.array(-1)}, "'bars' must be an integer >= 0; received -1"),
    ("stateful", START, "'block_0/conv' holds a state, but 'bars' is 0"),
    ("stateful", {"block_0/n": np.nan}, "'block_0/n' must be finite; received nan"),
    ("stateful", {"block_0/n": -np.inf}, "'block_0/n' must be finite; received -inf"),
    ("stateful", {"block_1/m": np.inf}, "'block_1/m' must be finite; received inf"),
    ("stateful", {"block_1/h": "x"}, "'block_1/h' must hold numbers; received <U1"),
    ("windowed_exact", {"features": np.nan}, "'features' must be finite; received nan"),
    ("windowed_exact", {"features": 1e39}, "'features' must be finite; received inf"),
]


@pytest.mark.parametrize(("mode", "changes", "expected"), BAD)
def test_a_snapshot_that_no_stream_makes_is_refused_and_changes_nothing(model, bars, mode, changes, expected):
    opened = stream(model, mode, allow_stateful_trained=True)
    opened.run(bars[:SEEN])
    snapshot = opened.snapshot()
    for key, value in changes.items():
        snapshot[key] = np.full(snapshot[key].shape, value) if key != "bars" else value
    after = opened.copy().run(bars[SEEN:])
    assert message(opened.restore, snapshot) == f"snapshot: {expected}: {ADVICE}"
    assert opened.bars == SEEN
    np.testing.assert_array_equal(opened.run(bars[SEEN:]), after)


def test_a_snapshot_after_reset_is_that_of_a_new_stream(opened, bars):
    new = opened.snapshot()
    opened.run(bars)
    opened.reset()
    again = opened.snapshot()
    assert again.keys() == new.keys()
    for key, array in new.items():
        np.testing.assert_array_equal(again[key], array)
    opened.restore(new)


def test_minus_infinity_is_a_stabiliser(model, bars):
    opened = stream(model)
    opened.run(bars[:SEEN])
    snapshot = opened.snapshot()
    snapshot["block_1/m"][:] = -np.inf
    opened.restore(snapshot)
    assert np.isfinite(opened.update(bars[0])).all()
