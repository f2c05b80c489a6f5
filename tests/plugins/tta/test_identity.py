import numpy as np

from simengine_plugins.tta.identity import Identity


def test_the_batch_itself_comes_back():
    batch = np.random.default_rng(0).normal(size=(3, 8, 2)).astype(np.float32)
    assert Identity()(batch) is batch
    assert Identity.is_identity
    assert Identity(weight=3.0).weight == 3.0
