"""Hard rows go with every balancer, and with synthetic rows."""

import numpy as np
import pytest

from simengine.plugin.manager import build_registry
from simengine.train.mining import Mining

REGISTRY = build_registry(discover=False)
BALANCERS, MINERS = REGISTRY.names("balancer"), REGISTRY.names("miner")
REAL = np.repeat([0, 1, 2], [85, 100, 115]).astype(np.int8)
LABELS = np.concatenate([REAL, np.zeros(30, np.int8)])
"""Of 300 train rows and 30 synthetic ones."""


def selected(miner):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(3), len(REAL))
    mining = Mining(REGISTRY.create("miner", {"type": miner, "start": 0.0, "end": 0.4}), 7, 3)
    mining.select(REAL, np.log(proba), -np.log(proba[np.arange(len(REAL)), REAL]), 1)
    return mining


@pytest.mark.parametrize("miner", MINERS)
@pytest.mark.parametrize("balancer", BALANCERS)
@pytest.mark.parametrize(("epoch", "share"), [(1, 0.0), (2, 0.2), (3, 0.4)])
def test_each_batch_of_any_balancer_takes_the_share_of_the_epoch(balancer, miner, epoch, share):
    mining = selected(miner)
    rng, groups = np.random.default_rng([1, epoch]), np.zeros(len(LABELS), np.int64)
    batches = list(REGISTRY.create("balancer", balancer).epoch(LABELS, groups, epoch, rng, 40))
    mixed = mining.mix_in(batches, epoch)
    assert len(mixed) == len(batches)
    for before, (rows, mined) in zip(batches, mixed, strict=True):
        assert mined.sum() == round(share * len(before))
        assert np.isin(rows[mined], mining.pool).all()
        np.testing.assert_array_equal(rows[~mined], before[~mined])
    assert mining.pool.max() < len(REAL)
