"""The battery must fail a smoother, miner, penalty or augmenter that breaks its contract, and say how."""

import numpy as np
import pytest

from simengine.plugin.testing import check_component


class Doubled:
    def __call__(self, targets):
        return 2 * targets


class Below:
    def __call__(self, targets):
        return 1.2 * targets - 0.2 / 3


class BatchMean:
    def __call__(self, targets):
        import tensorflow as tf

        return 0.9 * targets + 0.1 * tf.reduce_mean(targets, axis=0)


class Eager:
    """Leaves TensorFlow, which only works outside a graph."""

    def __call__(self, targets):
        import tensorflow as tf

        outside = not tf.is_symbolic_tensor(targets)
        return targets if outside else 0.5 * targets + 0.5 / 3


class Miner:
    every = 1

    def select(self, labels, log_proba, losses):
        return np.argsort(-losses)[:10]

    def share(self, epoch, epochs):
        return 0.1


class Never(Miner):
    every = 0


class Greedy(Miner):
    def share(self, epoch, epochs):
        return epoch / epochs


class Twice(Miner):
    def select(self, labels, log_proba, losses):
        return np.zeros(4, np.int64)


class Mask(Miner):
    def select(self, labels, log_proba, losses):
        return losses > 1


class Outside(Miner):
    def select(self, labels, log_proba, losses):
        return np.array([len(losses)])


class Idle(Miner):
    def select(self, labels, log_proba, losses):
        return np.zeros(0, np.int64)


class Sorting(Miner):
    def select(self, labels, log_proba, losses):
        losses.sort()
        return np.arange(5)


class RandomMiner(Miner):
    def select(self, labels, log_proba, losses):
        return np.random.default_rng().permutation(len(losses))[:9]


class Scalar:
    def __call__(self, targets, logits):
        import tensorflow as tf

        return tf.reduce_mean(tf.square(logits))


class Centred:
    def __call__(self, targets, logits):
        import tensorflow as tf

        return tf.reduce_sum(tf.square(logits - tf.reduce_mean(logits, axis=0)), axis=-1)


class Cliff:
    def __call__(self, targets, logits):
        import tensorflow as tf

        p = tf.nn.softmax(logits)
        return tf.reduce_sum(p * tf.math.log(p * p), axis=-1)


class Flat:
    def __call__(self, targets, logits):
        import tensorflow as tf

        return tf.stop_gradient(tf.reduce_sum(tf.square(logits), axis=-1))


class Constant:
    def __call__(self, batch, seed):
        return batch + 1.0


class Unseeded:
    def __call__(self, batch, seed):
        import tensorflow as tf

        return batch + tf.random.normal(tf.shape(batch))


class MixedUp:
    def __call__(self, batch, seed):
        import tensorflow as tf

        order = tf.argsort(tf.random.stateless_uniform((tf.shape(batch)[0],), seed))
        return tf.gather(batch, order)


class Shorter:
    def __call__(self, batch, seed):
        return batch[:, 1:]


class Fragile:
    def __call__(self, batch, seed):
        import tensorflow as tf

        return batch / tf.math.reduce_std(batch, axis=1, keepdims=True)


class Late:
    """Focal from epoch 2 on, and then through 1 - p."""

    def __call__(self, targets, logits, epoch):
        import tensorflow as tf

        p = tf.nn.softmax(logits)
        late = tf.cast(epoch > 1, tf.float32)
        return -tf.reduce_sum(targets * (tf.nn.log_softmax(logits) + late * tf.math.log(1 - p)), axis=-1)


class OnTime:
    def __call__(self, targets, logits, epoch):
        import tensorflow as tf

        return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1) / epoch


@pytest.mark.parametrize(
    ("kind", "component", "message"),
    [
        ("smoother", Doubled, "each row of the targets must sum to 1, received 2 .. 2"),
        ("smoother", Below, "the targets must be finite and at least 0"),
        ("smoother", BatchMean, "a row's targets depend on the other rows of its batch"),
        ("smoother", Eager, "the result inside a graph, where the batch size is not known, is another one"),
        ("miner", Never, "every must be an integer of at least 1, received 0"),
        ("miner", Greedy, "share(1, 1) must lie in [0, 1), received 1.0"),
        ("miner", Twice, "select() must name a row once"),
        ("miner", Mask, "select() must return a one-dimensional integer array"),
        ("miner", Outside, "row ids must lie in 0 .. 599, received 600 .. 600"),
        ("miner", Idle, "select() must find hard rows among random predictions"),
        ("miner", Sorting, "select() changed its input; work on a copy"),
        ("miner", RandomMiner, "two selections from the same predictions differ"),
        ("miner", Doubled, "lacks every, select, share"),
        ("penalty", Scalar, "the penalty must have the shape (32,), received ()"),
        ("penalty", Centred, "a row's penalty depends on the other rows of its batch, and is not the same"),
        ("penalty", Cliff, "the penalty must be finite at a logit gap of 50"),
        ("penalty", Flat, "the penalty has no gradient with respect to the logits"),
        ("augmenter", Constant, "the seed given changes nothing"),
        ("augmenter", Unseeded, "two calls with the same seed differ"),
        ("augmenter", MixedUp, "a window's result depends on the other windows of its batch"),
        ("augmenter", Shorter, "the augmented batch must have the shape (32, 16, 5), received (32, 15, 5)"),
        ("augmenter", Fragile, "the augmented batch must be finite, also for constant windows"),
        ("loss", Late, "the loss must be finite at a logit gap of 50"),
    ],
)
def test_a_broken_contract_is_named(kind, component, message):
    with pytest.raises(AssertionError) as caught:
        check_component(kind, component)
    assert str(caught.value).startswith(f"{kind} {component.__name__}: {message}")


def test_a_loss_that_changes_is_accepted():
    check_component("loss", OnTime)
