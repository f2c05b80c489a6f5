import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine import PerClass
from simengine.errors import ConfigError, DataError
from simengine_plugins.balancers.class_quota import ClassQuota


def epoch(balancer, labels, batch_size, seed=0):
    labels = np.asarray(labels, np.int8)
    rng = np.random.default_rng(seed)
    return list(balancer.epoch(labels, np.zeros(len(labels), np.int64), 1, rng, batch_size))


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


def test_the_stream_decides():
    labels = np.repeat([0, 1, 2], 40)
    first, second, other = (np.concatenate(epoch(ClassQuota(), labels, 20, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


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
