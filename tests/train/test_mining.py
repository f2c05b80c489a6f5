import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine.errors import PluginError
from simengine.train.mining import Mining


class Worst:
    """The rows with the largest losses."""

    every = 2

    def __init__(self, count=10, share=0.25, start=0.25):
        self.count, self._shares = count, (start, share)

    def select(self, labels, log_proba, losses):
        return np.argsort(-losses)[: self.count]

    def share(self, epoch, epochs):
        return self._shares[0] if epoch == 1 else self._shares[1]


def selected(miner, n=100, epochs=6):
    mining = Mining(miner, 7, epochs)
    labels = (np.arange(n) % 3).astype(np.int8)
    mining.select(labels, np.full((n, 3), -np.log(3)), np.arange(n, dtype=float), 1)
    return mining


def test_it_is_due_after_the_first_epoch_and_then_every_few_but_not_after_the_last():
    assert [epoch for epoch in range(1, 8) if Mining(Worst(), 7, 7).due(epoch)] == [1, 3, 5]


def test_before_the_first_selection_batches_stay_as_they_are():
    batches = [np.arange(8), np.arange(8, 12)]
    mixed = Mining(Worst(), 7, 4).mix_in(batches, 1)
    assert all(
        batch.rows is rows and not batch.mined.any() for batch, rows in zip(mixed, batches, strict=True)
    )


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    count=st.integers(1, 30),
    share=st.floats(0, 0.99),
    epoch=st.integers(2, 5),
)
def test_each_batch_has_its_share_of_hard_rows_and_none_comes_twice_before_all_came(
    sizes, count, share, epoch
):
    mining = selected(Worst(count, share))
    # Ids that no hard row has, so that replaced places can be told.
    easy = [np.full(size, 5) for size in sizes]
    mixed = mining.mix_in(easy, epoch)
    replaced = [rows[rows != 5] for rows, _ in mixed]
    assert all((mined == (rows != 5)).all() for rows, mined in mixed)
    assert [len(rows) for rows in replaced] == [round(share * size) for size in sizes]
    assert [len(rows) for rows, _ in mixed] == sizes
    drawn = np.bincount(np.concatenate(replaced), minlength=100)[mining.pool]
    assert drawn.max() - drawn.min() <= 1
    assert all((rows == 5).all() for rows in easy)


def test_epochs_place_them_elsewhere_and_a_seed_repeats_them():
    batches = [np.arange(32), np.arange(32, 64)]
    first, again = (selected(Worst()).mix_in(batches, 2) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
    later = selected(Worst()).mix_in(batches, 3)
    assert any((one.rows != other.rows).any() for one, other in zip(first, later, strict=True))


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (np.array([0.5]), r"^miner Worst: expected distinct integer row ids; received float64 of \(1,\)$"),
        (np.array([3, 3]), r"^miner Worst: expected distinct integer row ids; received int64 of \(2,\)$"),
        (np.array([100]), r"^miner Worst: expected row ids from 0 to 99; received 100 to 100$"),
    ],
)
def test_rows_that_are_none_are_refused(pool, message):
    miner = Worst()
    miner.select = lambda labels, log_proba, losses: pool
    with pytest.raises(PluginError, match=message):
        selected(miner)


def test_a_share_outside_is_refused():
    message = r"^miner Worst: share\(\) must lie in \[0, 1\); received 1\.0 in epoch 2$"
    with pytest.raises(PluginError, match=message):
        selected(Worst(share=1.0)).mix_in([np.arange(4)], 2)
