import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE
from sklearn.neighbors import NearestNeighbors

from simengine import PerClass
from simengine.data.spill import mixed
from simengine.data.synthetic import SmoteTask
from simengine.data.windows import WindowSet
from simengine.errors import ConfigError, DataError
from simengine.plugin.manager import build_registry
from simengine_plugins.smote.chunked_smote import ChunkedSmote
from simengine_plugins.smote.wanted import wanted_rows

REGISTRY = build_registry(discover=False)


def synthesize(train, seed=1, scratch=None, **options):
    return ChunkedSmote(**options).synthesize(SmoteTask(train, seed, scratch))


def same(first, second):
    pairs = [(getattr(first, name), getattr(second, name)) for name in ("first", "second", "mix")]
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


@pytest.mark.parametrize(
    ("target", "made"),
    [
        ("balance", [10, 6, 0]),
        ("minority", [10, 0, 0]),
        # BUY has 40 / .3 = 133.33 rows in all; 53.33 - 30 and 40 - 34 are to be made.
        (PerClass(0.4, 0.3, 0.3), [23, 6, 0]),
        # SELL has the most for its share: 30 / .2 = 150 rows in all.
        (PerClass(0.2, 0.3, 0.5), [0, 11, 35]),
    ],
)
def test_how_many_rows_each_class_gets(train, target, made):
    data = train((30, 34, 40))
    synthetic = synthesize(data, target=target)
    assert np.bincount(data.labels[synthetic.first], minlength=3).tolist() == made
    assert synthetic.report["made"] == dict(zip(("sell", "hold", "buy"), made, strict=True))
    synthetic.check(data.labels, "test")


@given(counts=st.tuples(*[st.integers(1, 10**6)] * 3), shares=st.tuples(*[st.integers(1, 50)] * 3))
def test_shares_are_met_and_no_class_shrinks(counts, shares):
    target = PerClass(*(share / sum(shares) for share in shares))
    before = np.array(counts)
    wanted = wanted_rows(before, target, "test")
    after = before + wanted
    assert wanted.min() == 0
    # Each class within half a row of its share of the real number that the fullest class asks for.
    exact = (before / target).max() * np.asarray(target)
    assert np.abs(after - exact).max() <= 0.5 + 1e-5


def test_neighbours_and_mixtures_by_hand():
    # One bar, one feature: SELL at 0, 1, 10 and 12, in pairs of nearest; 4 HOLD and 4 BUY. With SELL a half
    # there are 4 / .25 = 16 rows in all, 8 of them SELL: each of the 4 is a base once.
    places = np.array([0, 1, 10, 12, *range(50, 58)], np.float32)
    labels = np.repeat([0, 1, 2], 4).astype(np.int8)
    ends, groups = np.arange(12, dtype=np.int32), np.zeros(12, np.int16)
    data = WindowSet(places[:, None], ends, labels, groups, 1)
    made = synthesize(data, target=PerClass(0.5, 0.25, 0.25), k_neighbors=1)
    assert sorted(made.first) == [0, 1, 2, 3]
    nearest = np.array([1, 0, 3, 2])
    np.testing.assert_array_equal(made.second, nearest[made.first])
    expected = (1 - made.mix) * places[made.first] + made.mix * places[made.second]
    np.testing.assert_allclose(mixed(made, data, slice(None))[:, 0, 0], expected, rtol=1e-6)


def test_what_is_mixed_are_the_nearest_that_share_no_bar(train):
    data = train()
    synthetic = synthesize(data, k_neighbors=4)
    flat = data.gather(slice(None)).reshape(len(data), -1).astype(np.float64)
    assert len(synthetic) == 70 + 40
    seen = set()
    for first, second in zip(synthetic.first.tolist(), synthetic.second.tolist(), strict=True):
        apart = (np.abs(data.ends - data.ends[first]) >= data.length) | (data.groups != data.groups[first])
        allowed = np.flatnonzero((data.labels == data.labels[first]) & apart)
        model = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(flat[allowed])
        four = allowed[model.kneighbors(flat[[first]], return_distance=False)[0]]
        assert second in four
        seen.add(four.tolist().index(second))
    assert seen == {0, 1, 2, 3}


def test_a_mixture_is_the_one_of_imbalanced_learn(train):
    data = train()
    synthetic = synthesize(data)
    flat = data.gather(slice(None)).reshape(len(data), -1).astype(np.float64)
    place = np.arange(len(synthetic))
    expected = SMOTE()._generate_samples(
        flat[synthetic.first],
        flat,
        synthetic.second[:, None],
        place,
        np.zeros_like(place),
        synthetic.mix[:, None],
    )
    found = mixed(synthetic, data, slice(None)).reshape(len(synthetic), -1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert synthetic.mix.dtype == np.float32
    assert 0 <= synthetic.mix.min() < 0.1
    assert 0.9 < synthetic.mix.max() < 1


def test_a_row_is_a_base_again_only_after_all_others(train):
    data = train((20, 70, 90))
    sell = synthesize(data, target="minority").first
    assert len(sell) == 70
    assert sorted(np.bincount(sell)[np.flatnonzero(data.labels == 0)]) == [3] * 10 + [4] * 10
    for start in range(0, 60, 20):
        assert len(set(sell[start : start + 20])) == 20


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**16), stride=st.integers(1, 4), exclusion=st.integers(1, 15), k=st.integers(1, 5)
)
def test_no_pair_overlaps_and_each_is_of_one_class(train, seed, stride, exclusion, k):
    data = train((40, 60, 80), seed=seed, stride=stride)
    synthetic = synthesize(data, seed=seed, k_neighbors=k, exclusion_bars=exclusion)
    first, second = synthetic.first, synthetic.second
    own = data.groups[first] == data.groups[second]
    assert (np.abs(data.ends[first] - data.ends[second])[own] >= exclusion).all()
    assert (data.labels[first] == data.labels[second]).all()
    assert np.bincount(data.labels[first], minlength=3).tolist() == [40, 20, 0]


def test_windows_of_two_symbols_may_be_neighbours(train):
    synthetic = synthesize(data := train())
    assert (data.groups[synthetic.first] != data.groups[synthetic.second]).any()


def test_the_seed_decides(train):
    data = train()
    assert same(synthesize(data), synthesize(data))
    assert not same(synthesize(data), synthesize(data, seed=2))


def test_equal_classes_get_nothing(train):
    synthetic = synthesize(train((50, 50, 50)))
    assert len(synthetic) == 0
    assert synthetic.first.dtype == synthetic.second.dtype == np.int64
    assert synthetic.mix.dtype == np.float32


class KilledError(Exception):
    """Stands for a kill."""


class Breaks:
    """A progress that breaks off after some chunks."""

    def __init__(self, after):
        self.left = after

    def start(self, label, total):
        assert total > 1

    def advance(self, steps=1, **info):
        if steps == 1:
            self.left -= 1
            if self.left == 0:
                raise KilledError

    def stop(self):
        pass


@pytest.fixture
def large(train):
    """Enough places for some tiles."""
    return train((1600, 1900, 3500))


@pytest.mark.parametrize("after", [1, 5])
def test_a_killed_one_goes_on_and_ends_in_the_same_bytes(large, tmp_path, after):
    options = {"memory_budget_mb": 4}
    whole = synthesize(large, **options)
    assert whole.report["neighbours"]["chunks"] == 8
    with pytest.raises(KilledError):
        ChunkedSmote(**options).synthesize(SmoteTask(large, 1, tmp_path, Breaks(after)))
    assert [path.name for path in tmp_path.iterdir()] == ["neighbours.npz"]
    with np.load(tmp_path / "neighbours.npz") as stored:
        assert stored["next"] == after
    again = synthesize(large, scratch=tmp_path, **options)
    assert same(again, whole)
    assert [path.name for path in tmp_path.iterdir()] == ["synthetic.npz"]
    restored = synthesize(large, scratch=tmp_path, **options)
    assert same(restored, whole)
    assert restored.report["restored"] is True


@pytest.mark.parametrize("change", [{"seed": 2}, {"k_neighbors": 3}, {"exclusion_bars": 9}])
def test_a_scratch_of_another_task_is_put_aside_with_a_line_in_the_log(train, tmp_path, caplog, change):
    data = train()
    synthesize(data, scratch=tmp_path)
    caplog.set_level("INFO", "simengine")
    other = synthesize(data, scratch=tmp_path, **change)
    assert same(other, synthesize(data, **change))
    path = tmp_path / "synthetic.npz"
    assert f"smote: {path} belongs to other data or options; starting anew" in caplog.messages


def test_a_damaged_scratch_is_put_aside(train, tmp_path, caplog):
    caplog.set_level("INFO", "simengine")
    (tmp_path / "synthetic.npz").write_bytes(b"half a file")
    data = train()
    assert same(synthesize(data, scratch=tmp_path), synthesize(data))
    assert any("cannot be read" in message for message in caplog.messages)


@pytest.mark.parametrize("stride", [1, 3])
def test_the_budget_is_kept(large, train, stride):
    data = train((2500, 3000, 4500), stride=stride)
    synthesize(data, memory_budget_mb=64)  # compiled before it is measured
    for budget in (6, 12, 64):
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        report = synthesize(data, memory_budget_mb=budget).report
        peak = (tracemalloc.get_traced_memory()[1] - before) / 2**20
        tracemalloc.stop()
        assert peak <= report["memory_estimate_mb"] <= budget
        assert report["memory_peak_mb"] <= report["memory_estimate_mb"]


def test_a_budget_that_is_too_small_says_the_least_that_works(train):
    data = train((2500, 3000, 4500))
    with pytest.raises(ConfigError) as error:
        synthesize(data, memory_budget_mb=1)
    least = int(str(error.value).rpartition(" ")[2])
    assert str(error.value) == (
        "smote chunked_smote: memory_budget_mb 1 is too small for 10,000 train rows; the least that works is "
        f"{least}"
    )
    assert same(synthesize(data, memory_budget_mb=least), synthesize(data))


def test_too_few_rows_that_do_not_overlap(train):
    data = train((5, 60, 60))
    with pytest.raises(DataError) as error:
        synthesize(data, k_neighbors=5)
    assert str(error.value) == (
        "smote chunked_smote: class SELL has 5 train rows, and row 6 finds only 4 other rows of its class at "
        "least 6 bars apart, but k_neighbors is 5; use k_neighbors <= 4, more bars, or a target that leaves "
        "SELL as it is"
    )
    assert len(synthesize(data, k_neighbors=4)) == 55


def test_a_class_of_one_row_has_no_fix_but_more_bars(train):
    with pytest.raises(DataError) as error:
        synthesize(train((1, 60, 60)))
    assert "finds no other row of its class at least 6 bars apart, but k_neighbors is 5; use more" in str(
        error.value
    )


def test_a_class_without_rows_is_an_error(train):
    with pytest.raises(DataError) as error:
        synthesize(train((0, 60, 70)))
    assert str(error.value) == (
        "smote chunked_smote: no train row is SELL, so there is nothing to make more of; change "
        "labels.labeler or use more bars"
    )


@pytest.mark.parametrize("shares", [(0.3, 0.3, 0.3), (0.0, 0.5, 0.5)])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValueError, match=r"^target shares must be above 0 and sum to 1; received \("):
        ChunkedSmote(target=PerClass(*shares))


def test_the_target_is_a_word_or_shares_in_yaml():
    made = REGISTRY.create(
        "smote", {"type": "chunked_smote", "target": {"sell": 0.3, "hold": 0.3, "buy": 0.4}}
    )
    assert made.target == PerClass(0.3, 0.3, 0.4)
    assert REGISTRY.create("smote", "chunked_smote").target == "balance"
    with pytest.raises(ConfigError, match="target"):
        REGISTRY.create("smote", {"type": "chunked_smote", "target": "all"})


def test_the_prior_tilt_is_that_of_the_rows_made(train):
    share = np.array([0.283, 0.339, 0.378])
    for target in ("balance", "minority", PerClass(0.3, 0.3, 0.4), PerClass(0.2, 0.3, 0.5)):
        counts = np.array([283_000, 339_000, 378_000])
        after = counts + wanted_rows(counts, target, "test")
        expected = np.log(after / after.sum() / share)
        np.testing.assert_allclose(ChunkedSmote(target=target).prior_tilt(share), expected, atol=1e-5)


def test_the_report_is_plain(train):
    report = synthesize(train()).report
    assert json.loads(json.dumps(report)) == report
    assert report["rows"] == {"sell": 40, "hold": 70, "buy": 110}
    assert set(report) == {"rows", "made", "neighbours", "memory_estimate_mb", "memory_peak_mb"}
