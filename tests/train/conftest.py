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


class FadingModel(KerasSignalModel):
    """Logits of an exponential moving average of the bars; its second state has the batch axis second."""

    keep = 0.8

    def __init__(self, *, dropout=0.0, chunk=8, stateful=True, ema=None, weight_decay=0.0):
        self.dropout = dropout
        self.chunk = chunk
        self.stateful = stateful
        self.ema = ema
        self.weight_decay = weight_decay

    def build(self, n_features, length, seed):
        import keras
        import tensorflow as tf

        keep = self.keep

        class Fading(keras.Model):
            def initial_state(self, batch):
                return (tf.zeros((batch, n_features)), tf.zeros((2, batch)))

            def sequence(self, x, state, training=False):
                mean, counters = state
                means = []
                for step in range(x.shape[1]):
                    mean = keep * mean + (1 - keep) * x[:, step]
                    means.append(mean)
                counters += tf.cast(x.shape[1], tf.float32) * tf.constant([[1.0], [2.0]])
                hidden = self.get_layer("dropout")(tf.stack(means, axis=1), training=training)
                return self.get_layer("logits")(hidden), (mean, counters)

        inputs = keras.Input((length, n_features))
        weights = (1 - keep) * keep ** tf.range(length - 1, -1, -1.0)
        mean = keras.layers.Lambda(lambda x: tf.einsum("btf,t->bf", x, weights))(inputs)
        mean = keras.layers.Dropout(self.dropout, seed=seed, name="dropout")(mean)
        glorot = keras.initializers.GlorotUniform(seed=seed)
        logits = keras.layers.Dense(3, kernel_initializer=glorot, name="logits")(mean)
        return Fading(inputs, logits)


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


def make_series(counts, seed=0, stride=1):
    """Two or more symbols; the label of a bar is the sign of the mean of its last ten bars."""
    rng, parts, first = np.random.default_rng(seed), [], 0
    for group, n in enumerate(counts):
        values = rng.normal(size=(n, FEATURES)).astype(np.float32)
        ends = np.arange(LENGTH - 1, n)[::stride]
        past = np.convolve(values[:, 0], np.ones(10))[:n]
        parts.append((values, first + ends, np.digitize(past[ends], [-1.5, 1.5]), group, first))
        first += n
    return WindowSet(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]).astype(np.int32),
        np.concatenate([part[2] for part in parts]).astype(np.int8),
        np.concatenate([np.full(len(part[1]), part[3]) for part in parts]).astype(np.int16),
        LENGTH,
        np.concatenate([np.full(len(part[1]), part[4]) for part in parts]).astype(np.int32),
    )


@pytest.fixture
def windows():
    return make_windows


@pytest.fixture
def series():
    return make_series


@pytest.fixture
def fading_model():
    """The class of a model that can be trained statefully."""
    return FadingModel


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
