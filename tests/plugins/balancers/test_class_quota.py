import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine import PerClass
from simengine.errors import ConfigError, DataError
from simengine_plugins.balancers.class_quota import ClassQuota


def epoch(balancer, labels, batch_size, seed=0, number=1, groups=None):
    labels = np.asarray(labels, np.int8)
    groups = np.zeros(len(labels), np.int64) if groups is None else groups
    return list(balancer.epoch(labels, groups, number, np.random.default_rng([seed, number]), batch_size))


def of_class(batches, labels, label):
    """Rows of a class in the order in which they come."""
    rows = np.concatenate(batches)
    return rows[labels[rows] == label]


@pytest.mark.parametrize(
    ("quotas", "batch_size", "counts"),
    [
        ((0.30, 0.30, 0.40), 128, [39, 38, 51]),
        ((0.30, 0.30, 0.40), 10, [3, 3, 4]),
        ((0.25, 0.25, 0.50), 4, [1, 1, 2]),
        ((0.05, 0.05, 0.90), 20, [1, 1, 18]),
    ],
)
def test_every_batch_meets_the_quotas(quotas, batch_size, counts):
    labels = np.repeat([0, 1, 2], [400, 20, 80])
    batches = epoch(ClassQuota(quotas=PerClass(*quotas)), labels, batch_size)
    assert len(batches) == 500 // batch_size
    for rows in batches:
        assert np.bincount(labels[rows], minlength=3).tolist() == counts


def test_rows_of_a_class_repeat_only_after_all_were_seen():
    # 24 batches of 10 take 3 SELL rows each: 72 draws from 7 rows are ten passes and two rows.
    labels = np.repeat([0, 1, 2], [7, 100, 133])
    rows = np.concatenate([batch[labels[batch] == 0] for batch in epoch(ClassQuota(), labels, 10)])
    assert len(rows) == 72
    for start in range(0, 70, 7):
        assert sorted(rows[start : start + 7]) == list(range(7))
    assert len(set(rows[70:])) == 2


@given(
    counts=st.tuples(*[st.integers(1, 60)] * 3),
    batch_size=st.integers(8, 64),
    shares=st.tuples(*[st.integers(15, 40)] * 3),
)
def test_batches_are_full_for_any_quotas(counts, batch_size, shares):
    quotas = PerClass(*(share / sum(shares) for share in shares))
    labels = np.repeat([0, 1, 2], counts)
    batches = epoch(ClassQuota(quotas=quotas), labels, batch_size)
    assert len(batches) == max(1, len(labels) // batch_size)
    for rows in batches:
        assert len(rows) == batch_size
        share = np.bincount(labels[rows], minlength=3) / batch_size
        assert np.abs(share - quotas).max() < 1 / batch_size


def test_an_epoch_goes_on_where_the_one_before_stopped():
    # The docstring's example: 1,000 SELL rows, of which an epoch takes 20 x 39 = 780.
    labels = np.repeat([0, 1, 2], [1000, 800, 760])
    first, second = (of_class(epoch(ClassQuota(), labels, 128, number=e), labels, 0) for e in (1, 2))
    assert len(first) == len(set(first)) == 780
    assert set(first) | set(second[:220]) == set(range(1000))
    assert len(set(second[220:])) == 560


def test_an_epoch_does_not_depend_on_those_before():
    labels, used = np.repeat([0, 1, 2], [90, 30, 80]), ClassQuota()
    for number in (1, 2):
        epoch(used, labels, 20, number=number)
    np.testing.assert_array_equal(
        epoch(used, labels, 20, number=3), epoch(ClassQuota(), labels, 20, number=3)
    )


@given(
    counts=st.tuples(*[st.integers(1, 60)] * 3),
    batch_size=st.integers(8, 40),
    epochs=st.integers(1, 5),
    symbols=st.integers(1, 4),
    by_symbol=st.booleans(),
)
def test_no_row_starves(counts, batch_size, epochs, symbols, by_symbol):
    labels = np.repeat([0, 1, 2], counts)
    groups = np.random.default_rng(0).integers(0, symbols, len(labels))
    balancer = ClassQuota(by_symbol=by_symbol)
    seen = np.zeros(len(labels), int)
    for number in range(1, epochs + 1):
        for rows in epoch(balancer, labels, batch_size, number=number, groups=groups):
            np.add.at(seen, rows, 1)
        for label in range(3):
            assert np.ptp(seen[labels == label]) <= 1


def test_a_class_smaller_than_its_quota_repeats_within_a_batch():
    labels = np.repeat([0, 1, 2], [2, 20, 20])
    batch = epoch(ClassQuota(), labels, 10)[0]
    assert sorted(np.bincount(batch, minlength=42)[:2]) == [1, 2]


def test_symbols_of_a_class_in_proportion_by_hand():
    # SELL rows of symbols A, B, C: 6, 3, 1. Their places (k - 1/2) / n in a pass are
    # A .083 B .167 A .250 A .417 | B .500 C .500 A .583 A .750 | B .833 A .917; an epoch takes four.
    labels = np.repeat([0, 1, 2], [10, 4, 4])
    groups = np.r_[np.repeat([0, 1, 2], [6, 3, 1]), np.zeros(8, np.int64)]
    balancer = ClassQuota(quotas=PerClass(0.4, 0.3, 0.3), by_symbol=True)
    found = []
    for number in range(1, 6):
        rows = of_class(epoch(balancer, labels, 10, number=number, groups=groups), labels, 0)
        found.append(np.bincount(groups[rows], minlength=3).tolist())
    assert found == [[3, 1, 0], [2, 1, 1], [2, 2, 0], [2, 1, 1], [3, 1, 0]]


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    batch_size=st.integers(10, 30),
    number=st.integers(1, 6),
)
def test_symbols_of_a_batch_are_in_proportion(sizes, batch_size, number):
    groups = np.tile(np.repeat(np.arange(len(sizes)), sizes), 3)
    n = sum(sizes)
    labels = np.repeat([0, 1, 2], n)
    batches = epoch(ClassQuota(by_symbol=True), labels, batch_size, number=number, groups=groups)
    stretches = [[batch] for batch in batches] + [batches]
    for label, stretch in itertools.product(range(3), stretches):
        rows = of_class(stretch, labels, label)
        found = np.bincount(groups[rows], minlength=len(sizes))
        share = np.array(sizes) / n
        # Half a row and half a round of ties at each end of the stretch.
        assert (np.abs(found - len(rows) * share) <= 1 + len(sizes) * share + 1e-9).all()


def test_symbols_leave_their_proportion_without_the_option():
    # An epoch takes 360 of 400 SELL rows, half of which are of each symbol.
    labels, groups = np.repeat([0, 1, 2], 400), np.tile([0, 1], 600)

    def worst(balancer):
        rows = [of_class(epoch(balancer, labels, 400, 0, e, groups), labels, 0) for e in range(1, 6)]
        return max(abs(np.bincount(groups[found])[0] - 180) for found in rows)

    assert worst(ClassQuota(by_symbol=True)) <= 1
    assert worst(ClassQuota()) > 2


def test_the_tilt_is_quota_over_share():
    tilt = ClassQuota().prior_tilt(np.array([0.25, 0.25, 0.5]))
    assert tilt.tolist() == pytest.approx([np.log(1.2), np.log(1.2), np.log(0.8)])


def test_the_seed_of_the_training_decides():
    labels, found = np.repeat([0, 1, 2], 40), []
    for seed in (5, 5, 6):
        balancer = ClassQuota()
        balancer.begin(seed)
        found.append(np.concatenate(epoch(balancer, labels, 20)))
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    # Others are left out of a short training, too.
    assert set(found[0]) != set(found[2])


def test_a_class_without_rows_is_an_error():
    with pytest.raises(DataError, match="balancer class_quota needs every class, but none of the 20 "):
        epoch(ClassQuota(), np.repeat([0, 2], 10), 10)


def test_a_batch_too_small_for_three_classes_is_an_error():
    with pytest.raises(ConfigError) as error:
        epoch(ClassQuota(), np.repeat([0, 1, 2], 10), 2)
    assert str(error.value) == (
        "training.batch_size: 2 rows are too few for class_quota (0.3, 0.3, 0.4): a class would get none"
    )


@pytest.mark.parametrize("quotas", [(0.3, 0.3, 0.3), (0.0, 0.5, 0.5)])
def test_quotas_that_are_no_shares_are_refused(quotas):
    with pytest.raises(ValueError, match=r"^quotas must be above 0 and sum to 1; received \("):
        ClassQuota(quotas=PerClass(*quotas))
