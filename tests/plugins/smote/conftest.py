"""Train windows of two symbols, of which SELL is rare and near the border to HOLD."""

import numpy as np
import pytest

from simengine.data.windows import WindowSet

LENGTH = 6


def make_train(counts=(40, 70, 110), seed=0, stride=1, features=3):
    rng = np.random.default_rng(seed)
    n = sum(counts)
    half = (n // 2 - 1) * stride + LENGTH
    bars = half + (n - n // 2 - 1) * stride + LENGTH
    labels = rng.permutation(np.repeat([0, 1, 2], counts)).astype(np.int8)
    ends = np.concatenate([np.arange(LENGTH - 1, half, stride), np.arange(half + LENGTH - 1, bars, stride)])
    groups = (ends >= half).astype(np.int16)
    matrix = rng.standard_normal((bars, features)).astype(np.float32)
    matrix[ends, 0] += 1.5 * labels
    return WindowSet(matrix, ends.astype(np.int32), labels, groups, LENGTH)


@pytest.fixture(scope="session")  # a function: nothing to be made anew for each example
def train():
    """Return a function of counts, seed, stride and features."""
    return make_train
