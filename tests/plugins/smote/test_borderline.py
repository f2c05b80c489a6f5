from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import BorderlineSMOTE

from simengine.data.synthetic import SmoteTask
from simengine.data.windows import WindowSet
from simengine.errors import DataError
from simengine_plugins.smote.borderline import Borderline
from simengine_plugins.smote.chunked_smote import ChunkedSmote


def synthesize(train, seed=1, scratch=None, **options):
    return Borderline(**options).synthesize(SmoteTask(train, seed, scratch))


def nearest_of_any_class(data, m):
    """Row itself and its m nearest that share no bar, (n, m + 1)."""
    flat = data.gather(slice(None)).reshape(len(data), -1).astype(np.float64)
    found = []
    for row in range(len(data)):
        distances = ((flat - flat[row]) ** 2).sum(axis=1)
        near = (np.abs(data.ends - data.ends[row]) < data.length) & (data.groups == data.groups[row])
        distances[near] = np.inf
        found.append([row, *np.argsort(distances, kind="stable")[:m]])
    return np.array(found)


@pytest.mark.parametrize("m", [2, 5, 10])
def test_bases_are_the_rows_that_imbalanced_learn_calls_in_danger(train, m):
    data = train()
    synthetic = synthesize(data, m_neighbors=m)
    found = nearest_of_any_class(data, m)
    border = synthetic.report["border"]
    for label, name in ((0, "sell"), (1, "hold")):
        own = np.flatnonzero(data.labels == label)
        model = SimpleNamespace(kneighbors=lambda rows, return_distance: found[rows], n_neighbors=m + 1)
        danger, noise = (
            BorderlineSMOTE()._in_danger_noise(model, own, label, data.labels, kind)
            for kind in ("danger", "noise")
        )
        bases = synthetic.first[data.labels[synthetic.first] == label]
        assert set(bases) <= set(own[danger])
        # As many rows are made as make each of them a base.
        assert len(set(bases)) == min(danger.sum(), len(bases))
        assert border[name] == {
            "safe": len(own) - danger.sum() - noise.sum(),
            "danger": danger.sum(),
            "noise": noise.sum(),
        }


def lonely(labels):
    """Windows of one bar at places of which all nearest are known by hand: four groups of four."""
    places = np.add.outer([0, 10, 20, 30], [0, 1, 2.1, 3.3]).astype(np.float32).reshape(-1, 1)
    n = len(places)
    return WindowSet(
        places, np.arange(n, dtype=np.int32), np.array(labels, np.int8), np.zeros(n, np.int16), 1
    )


def test_danger_by_hand():
    # The two nearest of the four of a group: 0 -> 1, 2; 1 -> 0, 2; 2 -> 1, 3; 3 -> 2, 1.
    # SELL rows: 0 and 1 find SELL alone and are safe; 2 finds SELL 1 and BUY 3; 5 finds BUY 4 and BUY 6.
    data = lonely([0, 0, 0, 2, 2, 0, 2, 2, 1, 1, 1, 1, 1, 1, 2, 2])
    synthetic = synthesize(data, k_neighbors=1, m_neighbors=2, target="minority")
    assert synthetic.report["border"] == {"sell": {"safe": 2, "danger": 1, "noise": 1}}
    assert synthetic.first.tolist() == [2, 2]
    assert synthetic.second.tolist() == [1, 1]


def test_a_class_without_rows_in_danger_is_an_error():
    data = lonely([0, 0, 0, 0, 2, 2, 2, 2, 1, 1, 1, 1, 1, 2, 1, 2])
    with pytest.raises(DataError) as error:
        synthesize(data, k_neighbors=1, m_neighbors=2, target="minority")
    assert str(error.value) == (
        "smote borderline: of 4 SELL rows none is in danger (4 safe, 0 noise), so there is no base; use "
        "another m_neighbors, or smote: chunked_smote"
    )


def test_too_few_rows_of_any_class(train):
    data = train((5, 6, 7))
    with pytest.raises(DataError) as error:
        synthesize(data, k_neighbors=1, m_neighbors=17)
    assert str(error.value) == (
        "smote borderline: class SELL has 5 train rows, and row 4 finds only 9 other rows at least 6 bars "
        "apart, but m_neighbors is 17; use m_neighbors <= 9, more bars, or a target that leaves SELL as it is"
    )


class KilledError(Exception):
    """Stands for a kill."""


class Breaks:
    """A progress that breaks off in one of the two searches."""

    def __init__(self, search):
        self.left = search

    def start(self, label, total):
        self.left -= 1

    def advance(self, steps=1, **info):
        if self.left == 0 and steps == 1:
            raise KilledError

    def stop(self):
        pass


@pytest.mark.parametrize("search", [1, 2])
def test_a_killed_one_goes_on_and_ends_in_the_same_bytes(train, tmp_path, search):
    data = train((600, 700, 1200))
    whole = synthesize(data)
    with pytest.raises(KilledError):
        Borderline().synthesize(SmoteTask(data, 1, tmp_path, Breaks(search)))
    again = synthesize(data, scratch=tmp_path)
    for name in ("first", "second", "mix"):
        assert getattr(again, name).tobytes() == getattr(whole, name).tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["synthetic.npz"]


def test_all_else_is_as_in_chunked_smote(train):
    # Where all rows of a class are in danger, bases and neighbours are the same.
    data = train((30, 60, 60), seed=3)
    labels = np.random.default_rng(0).permutation(data.labels)
    data = WindowSet(data.matrix, data.ends, labels, data.groups, data.length)
    options = {"k_neighbors": 3, "target": "minority"}
    both = [kind(**options).synthesize(SmoteTask(data, 1)) for kind in (Borderline, ChunkedSmote)]
    pairs = [set(zip(found.first.tolist(), found.second.tolist(), strict=True)) for found in both]
    assert {first for first, _ in pairs[0]} < {first for first, _ in pairs[1]}
    share = np.array([0.2, 0.4, 0.4])
    np.testing.assert_array_equal(
        Borderline(target="minority").prior_tilt(share), ChunkedSmote(target="minority").prior_tilt(share)
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 2**16), stride=st.integers(1, 3))
def test_no_pair_overlaps_and_each_is_of_one_class(train, seed, stride):
    data = train((50, 70, 90), seed=seed, stride=stride)
    synthetic = synthesize(data, seed=seed)
    first, second = synthetic.first, synthetic.second
    own = data.groups[first] == data.groups[second]
    assert (np.abs(data.ends[first] - data.ends[second])[own] >= data.length).all()
    assert (data.labels[first] == data.labels[second]).all()
    assert np.bincount(data.labels[first], minlength=3).tolist() == [40, 20, 0]
