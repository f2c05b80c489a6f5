"""A small learnable data set and a training context, without the plugin registry."""

import numpy as np
import pytest

from simengine.data.windows import WindowSet
from simengine.train.context import TrainContext
from simengine_plugins.balancers.natural import Natural
from simengine_plugins.losses.cross_entropy import CrossEntropy

LENGTH, FEATURES = 8, 5


def make_windows(n, seed=0):
    """The label is the sign of the first feature, two bars before the last; HOLD when it is small."""
    matrix = np.random.default_rng(seed).normal(size=(n + LENGTH - 1, FEATURES)).astype(np.float32)
    ends = np.arange(LENGTH - 1, len(matrix), dtype=np.int32)
    labels = np.digitize(matrix[ends - 2, 0], [-0.4, 0.4]).astype(np.int8)
    return WindowSet(matrix, ends, labels, np.zeros(n, np.int16), LENGTH)


@pytest.fixture
def windows():
    return make_windows


@pytest.fixture
def context():
    """Return a function of the settings that differ from the defaults."""

    def make(**changes):
        defaults = {
            "balancer": Natural(),
            "reweighter": None,
            "loss": CrossEntropy(),
            "seed": 7,
            "epochs": 1,
            "batch_size": 64,
            "learning_rate": 0.01,
        }
        return TrainContext(**{**defaults, **changes})

    return make
