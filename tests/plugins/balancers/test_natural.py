import numpy as np
import pytest

from simengine_plugins.balancers.natural import Natural


@pytest.mark.parametrize(("n", "sizes"), [(10, [4, 4, 2]), (8, [4, 4]), (3, [3])])
def test_every_row_once_an_epoch(n, sizes):
    batches = list(
        Natural().epoch(np.zeros(n, np.int8), np.zeros(n, np.int64), 1, np.random.default_rng(0), 4)
    )
    assert [len(rows) for rows in batches] == sizes
    assert sorted(np.concatenate(batches)) == list(range(n))


def test_the_order_follows_the_stream():
    labels, groups = np.zeros(50, np.int8), np.zeros(50, np.int64)
    orders = [
        np.concatenate(list(Natural().epoch(labels, groups, 1, np.random.default_rng(seed), 8))).tolist()
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != list(range(50))
