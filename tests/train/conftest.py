"""A tiny learnable data set, a tiny network and a training context with defaults."""

import numpy as np
import pytest

from simengine.data.windows import WindowSet
from simengine.train.context import TrainContext
from simengine.train.keras_model import KerasSignalModel

LENGTH, FEATURES = 6, 4


class TinyModel(KerasSignalModel):
    """A linear layer on the flattened window, with dropout so that its seeds matter."""

    def __init__(self, *, dropout=0.2):
        self.dropout = dropout

    def build(self, n_features, length, seed):
        import keras

        inputs = keras.Input((length, n_features))
        flat = keras.layers.Dropout(self.dropout, seed=seed, name="dropout")(keras.layers.Flatten()(inputs))
        glorot = keras.initializers.GlorotUniform(seed=seed)
        return keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=glorot, name="logits")(flat))


class Shuffled:
    """All rows once an epoch; the last batch may be short."""

    def epoch(self, labels, groups, epoch, rng, batch_size):
        order = rng.permutation(len(labels))
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]


class Logarithmic:
    """Cross-entropy."""

    def __call__(self, targets, logits):
        import tensorflow as tf

        return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)


def make_windows(n, seed=0):
    """The label of a window is the sign of its last bar's first feature, HOLD when it is small."""
    matrix = np.random.default_rng(seed).normal(size=(n + LENGTH - 1, FEATURES)).astype(np.float32)
    ends = np.arange(LENGTH - 1, len(matrix), dtype=np.int32)
    labels = np.digitize(matrix[ends, 0], [-0.4, 0.4]).astype(np.int8)
    return WindowSet(matrix, ends, labels, np.zeros(n, np.int16), LENGTH)


@pytest.fixture
def model():
    return TinyModel()


@pytest.fixture
def tiny_model():
    """The class, for tests that need several."""
    return TinyModel


@pytest.fixture
def windows():
    return make_windows


@pytest.fixture
def context():
    """Return a function of the settings that differ from the defaults."""

    def make(**changes):
        defaults = {
            "balancer": Shuffled(),
            "reweighter": None,
            "loss": Logarithmic(),
            "seed": 7,
            "epochs": 2,
            "batch_size": 32,
            "learning_rate": 0.02,
        }
        return TrainContext(**{**defaults, **changes})

    return make
