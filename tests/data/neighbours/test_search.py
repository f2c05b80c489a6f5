"""The nearest windows against scikit-learn's brute force over the same candidates, windows materialised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from simengine.data.neighbours.axis import axis_length, build_axis, steps
from simengine.data.neighbours.query import Query, available
from simengine.data.neighbours.search import BudgetError, nearest
from simengine.data.windows import WindowSet
from simengine.errors import DataError

METHODS = ("sliding sums", "direct products")
ROOMY = 64 * 2**20


def windows(matrix, ends, groups=None, *, labels=None, length=6):
    ends = np.asarray(ends, np.int32)
    groups = np.zeros(len(ends), np.int16) if groups is None else np.asarray(groups, np.int16)
    labels = np.arange(len(ends)) % 3 if labels is None else labels
    return WindowSet(matrix, ends, np.asarray(labels, np.int8), groups, length)


def walk(bars, features, seed):
    """A walk: windows that overlap are near, and so are some that do not."""
    steps_ = np.random.default_rng(seed).standard_normal((bars, features))
    return (np.cumsum(steps_, axis=0) * 0.3 + 5).astype(np.float32)


def candidates(query, row):
    data = query.windows
    same = query.kinds == query.kinds[row]
    apart = np.abs(data.ends.astype(int) - int(data.ends[row])) >= query.exclusion
    return np.flatnonzero(same & (apart | (data.groups != data.groups[row])))


def brute(query):
    """Distances (b, k) of scikit-learn, squared."""
    flat = query.windows.gather(slice(None)).reshape(len(query.windows), -1).astype(np.float64)
    found = []
    for row in query.bases:
        allowed = candidates(query, row)
        model = NearestNeighbors(n_neighbors=query.k, algorithm="brute").fit(flat[allowed])
        distances, places = model.kneighbors(flat[row : row + 1])
        found.append((distances[0] ** 2, allowed[places[0]]))
    return [np.stack(part) for part in zip(*found, strict=True)]


def by_difference(query):
    """The same distances from the differences themselves, which is quicker for many small cases."""
    flat = query.windows.gather(slice(None)).reshape(len(query.windows), -1).astype(np.float64)
    found = []
    for row in query.bases:
        distances = ((flat[candidates(query, row)] - flat[row]) ** 2).sum(axis=1)
        found.append(np.sort(distances)[: query.k])
    return np.stack(found)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 7])
def test_the_nearest_are_those_of_brute_force(method, stride):
    matrix = walk(900, 3, seed=stride)
    ends = np.concatenate([np.arange(10, 400, stride), np.arange(420, 900, stride)])
    groups = (ends >= 410).astype(int)
    labels = np.random.default_rng(0).integers(0, 3, len(ends))
    data = windows(matrix, ends, groups, labels=labels)
    rng = np.random.default_rng(1)
    query = Query(data, np.sort(rng.permutation(len(ends))[:60]), data.labels, 5, 6)
    found = nearest(query, ROOMY, method=method)
    distances, rows = brute(query)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-9)
    assert found.info["method"] == method


@pytest.mark.parametrize("method", METHODS)
def test_tiles_smaller_than_the_data_change_nothing(method):
    matrix = walk(1500, 4, seed=0)
    data = windows(matrix, np.arange(5, 1500), labels=np.random.default_rng(0).integers(0, 2, 1495))
    query = Query(data, np.arange(0, 1495, 3), data.labels, 4, 6)
    whole = nearest(query, ROOMY)
    small = nearest(query, 600_000, method=method)
    assert small.info["tile"] < 512
    np.testing.assert_array_equal(small.rows, whole.rows)
    np.testing.assert_array_equal(small.distances, whole.distances)


@settings(max_examples=40)
@given(data=st.data())
def test_any_layout_agrees_with_brute_force_and_nothing_overlaps(data):
    seed = data.draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    length = data.draw(st.integers(1, 8))
    exclusion = data.draw(st.integers(1, 12))
    matrix = walk(260, data.draw(st.integers(1, 4)), seed)
    keep = data.draw(st.sampled_from([0.2, 0.6, 1.0]))
    spans = (np.arange(length - 1, 120), np.arange(120 + length - 1, 260))
    ends = np.concatenate([span[rng.random(len(span)) < keep] for span in spans])
    if data.draw(st.booleans()):  # rows need not be sorted
        ends = rng.permutation(ends)
    groups = (ends >= 120).astype(int)
    made = windows(matrix, ends, groups, labels=rng.integers(0, 2, len(ends)), length=length)
    counts = available(made, made.labels, exclusion)
    assert counts.tolist() == [
        len(candidates(Query(made, np.array([0]), made.labels, 1, exclusion), row))
        for row in range(len(ends))
    ]
    bases = np.flatnonzero(counts >= 3)
    if len(bases) == 0:
        return
    query = Query(made, bases, made.labels, 3, exclusion)
    found = [nearest(query, ROOMY, method=method) for method in METHODS]
    np.testing.assert_array_equal(found[0].rows, found[1].rows)
    np.testing.assert_allclose(found[0].distances, by_difference(query), rtol=1e-9)
    ends = made.ends.astype(int)
    near = np.abs(ends[found[0].rows] - ends[bases][:, None]) < exclusion
    assert not (near & (made.groups[found[0].rows] == made.groups[bases][:, None])).any()
    assert (made.labels[found[0].rows] == made.labels[bases][:, None]).all()


@pytest.mark.parametrize("method", METHODS)
def test_ties_go_to_the_lower_row_however_many_there_are(method):
    # Whole numbers: every distance is exact, and each window has some 20 equals.
    pattern = np.random.default_rng(0).integers(-2, 3, (24, 2))
    matrix = np.tile(pattern, (20, 1)).astype(np.float32)
    data = windows(matrix, np.arange(5, len(matrix)), labels=np.zeros(475))
    query = Query(data, np.arange(0, 475, 7), data.labels, 18, 6)
    found = nearest(query, ROOMY, method=method)
    flat = data.gather(slice(None)).reshape(475, -1).astype(np.float64)
    for place, row in enumerate(query.bases):
        allowed = candidates(query, row)
        distances = ((flat[allowed] - flat[row]) ** 2).sum(axis=1)
        order = np.lexsort((allowed, distances))[:18]
        assert found.rows[place].tolist() == allowed[order].tolist()
        assert found.distances[place].tolist() == distances[order].tolist()


def test_windows_that_rounding_cannot_tell_apart_are_scanned():
    # 40 windows within 1e-6 of each other, far from the centre: float32 products see one distance.
    rng = np.random.default_rng(0)
    matrix = np.repeat(np.array([[100.0], [-100.0]]), 200, axis=0) + rng.normal(0, 1e-5, (400, 1))
    matrix = matrix.astype(np.float32)
    data = windows(matrix, np.arange(0, 400, 5), labels=np.zeros(80), length=1)
    query = Query(data, np.arange(80), data.labels, 3, 1)
    for method in METHODS:
        found = nearest(query, ROOMY, method=method)
        assert found.info["rescanned"] == 80
        flat = matrix[data.ends].astype(np.float64)
        distances = (flat - flat.T) ** 2
        np.fill_diagonal(distances, np.inf)
        np.testing.assert_array_equal(found.rows, np.argsort(distances, axis=1, kind="stable")[:, :3])


def test_bars_outside_the_windows_may_be_missing():
    matrix = walk(300, 2, seed=0)
    matrix[:20], matrix[150:160], matrix[290:] = np.nan, np.inf, np.nan
    ends = np.concatenate([np.arange(25, 150), np.arange(165, 290)])
    data = windows(matrix, ends, labels=np.zeros(len(ends)))
    query = Query(data, np.arange(0, 250, 9), data.labels, 2, 6)
    np.testing.assert_array_equal(nearest(query, ROOMY, method=METHODS[0]).rows, brute(query)[1])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e20])
def test_a_window_with_an_unusable_feature_is_refused(value):
    matrix = walk(60, 2, seed=0)
    matrix[30, 1] = value
    data = windows(matrix, np.arange(5, 60), labels=np.zeros(55))
    with pytest.raises(DataError) as error:
        nearest(Query(data, np.arange(5), data.labels, 2, 6), ROOMY)
    assert str(error.value) == (
        "neighbours: window 25 (and 5 more) holds a feature that is NaN, infinite or above 1e15; scale the "
        "features or leave these windows out"
    )


def test_two_windows_at_one_bar_are_refused():
    data = windows(walk(60, 2, seed=0), [20, 30, 20, 40], labels=np.zeros(4))
    with pytest.raises(DataError) as error:
        nearest(Query(data, np.arange(2), data.labels, 1, 6), ROOMY)
    assert str(error.value) == "neighbours: windows 0 and 2 end at the same bar 20; keep one of them"


class Memory:
    """Keeps states, and can be told to break off after some of them."""

    def __init__(self, breaks_after=None):
        self.states, self.breaks_after = [], breaks_after

    def load(self):
        return self.states[-1] if self.states else None

    def save(self, arrays):
        self.states.append({name: array.copy() for name, array in arrays.items()})
        if len(self.states) == self.breaks_after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("method", METHODS)
def test_a_search_that_was_killed_ends_in_the_same_bytes(method):
    data = windows(walk(1200, 3, seed=0), np.arange(5, 1200), labels=np.arange(1195) % 2)
    query = Query(data, np.arange(0, 1195, 2), data.labels, 3, 6)
    budget = 500_000
    whole = nearest(query, budget, method=method)
    chunks = whole.info["chunks"]
    assert chunks > 3
    for after in (1, 3, chunks):
        memory = Memory(after)
        with pytest.raises(KeyboardInterrupt):
            nearest(query, budget, method=method, keep=memory)
        memory.breaks_after = None
        again = nearest(query, budget, method=method, keep=memory)
        assert len(memory.states) == chunks
        assert again.rows.tobytes() == whole.rows.tobytes()
        assert again.distances.tobytes() == whole.distances.tobytes()


def test_a_budget_that_is_too_small_says_what_would_do():
    data = windows(walk(1200, 3, seed=0), np.arange(5, 1200), labels=np.zeros(1195))
    query = Query(data, np.arange(1195), data.labels, 3, 6)
    with pytest.raises(BudgetError) as error:
        nearest(query, 1000)
    least = error.value.least_mb
    assert least >= 1
    nearest(query, least * 2**20)


def test_blocks_are_as_long_as_the_stride():
    data = windows(walk(400, 1, seed=0), np.arange(10, 400, 3))
    rows = np.arange(len(data))
    assert steps(data, rows) == [1, 3]
    axis = build_axis(data, rows, 3)
    # 130 windows of two blocks, each one block after the one before.
    assert len(axis) == axis_length(data, rows, 3) == 131
    assert axis.first.tolist() == list(range(5, 5 + 131 * 3, 3))
    assert axis.row.tolist() == [-1, *range(130)]


def test_a_run_ends_where_the_phase_changes():
    data = windows(walk(100, 1, seed=0), [10, 12, 14, 17, 19, 40])
    axis = build_axis(data, np.arange(6), 2)
    assert axis.row.tolist() == [-1, -1, 0, 1, 2, -1, -1, 3, 4, -1, -1, 5]
    assert axis.first.tolist() == [5, 7, 9, 11, 13, 12, 14, 16, 18, 35, 37, 39]
