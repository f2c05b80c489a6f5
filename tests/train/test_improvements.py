"""Smoother, miner, penalties, augmenters and synthetic rows inside a training."""

import numpy as np
import pytest
import tensorflow as tf

from simengine.data.synthetic import Synthetic
from simengine.evaluate.logproba import log_softmax


class Rows:
    """A balancer that yields the same rows in one batch."""

    def __init__(self, *rows):
        self.rows = np.array(rows)

    def epoch(self, labels, groups, epoch, rng, batch_size):
        self.labels = labels
        yield self.rows


class KilledError(Exception):
    pass


def kill_after(epoch):
    def on_epoch(record):
        if record.epoch == epoch:
            raise KilledError

    return on_epoch


def first_loss(model, train, context, **changes):
    """The loss of the first step, of weights that hardly move."""
    (record,) = model.fit(train, train, context(epochs=1, learning_rate=1e-12, **changes))
    return record.train_loss


def test_a_smoother_changes_the_targets(tiny_model, windows, context):
    class Half:
        def __call__(self, targets):
            return 0.5 * targets + 0.5 / 3

    train, model = windows(64), tiny_model(dropout=0.0)
    loss = first_loss(model, train, context, smoother=Half(), balancer=Rows(*range(32)))
    log_p = log_softmax(model.predict_logits(train))[:32]
    targets = 0.5 * np.eye(3)[train.labels[:32]] + 0.5 / 3
    assert loss == pytest.approx(-(targets * log_p).sum(1).mean(), rel=1e-5)


def test_class_weights_may_act_on_the_targets(tiny_model, windows, context):
    class Alpha:
        applies_to = "alpha"

        def start(self, labels):
            return np.array([0.5, 1.0, 2.0])

        def update(self, labels, log_proba, epoch):
            return self.start(labels)

    class Half:
        def __call__(self, targets):
            return 0.5 * targets + 0.5 / 3

    train, model = windows(64), tiny_model(dropout=0.0)
    settings = {"smoother": Half(), "reweighter": Alpha(), "balancer": Rows(*range(32))}
    loss = first_loss(model, train, context, **settings)
    log_p = log_softmax(model.predict_logits(train))[:32]
    targets = (0.5 * np.eye(3)[train.labels[:32]] + 0.5 / 3) * np.array([0.5, 1.0, 2.0])
    assert loss == pytest.approx(-(targets * log_p).sum(1).mean(), rel=1e-5)


def test_penalties_are_added_once_a_row(tiny_model, windows, context):
    class Constant:
        def __call__(self, targets, logits):
            return 0.25 + 0.0 * logits[:, 0]

    train, short = windows(64), Rows(*range(20))  # filled up to 32 rows
    plain = first_loss(tiny_model(dropout=0.0), train, context, balancer=short)
    penalised = first_loss(
        tiny_model(dropout=0.0), train, context, balancer=short, penalties=(Constant(), Constant())
    )
    assert penalised == pytest.approx(plain + 0.5, rel=1e-6)


def test_synthetic_rows_are_mixtures_of_windows(tiny_model, windows, context):
    class Between:
        def synthesize(self, task):
            return Synthetic(np.array([a]), np.array([b]), np.array([0.25], np.float32), {})

    train, model = windows(64), tiny_model(dropout=0.0)
    a, b = np.flatnonzero(train.labels == 2)[:2]
    balancer = Rows(64)
    loss = first_loss(model, train, context, smote=Between(), balancer=balancer)
    assert len(balancer.labels) == 65
    mixed = 0.75 * train.gather(np.array([a])) + 0.25 * train.gather(np.array([b]))
    log_p = log_softmax(np.asarray(model.network(mixed)))
    assert loss == pytest.approx(-log_p[0, 2], rel=1e-5)


def test_augmenters_change_train_windows_in_their_order_and_each_step_otherwise(tiny_model, windows, context):
    seeds = []

    class Add:
        def __init__(self, value):
            self.value = value

        def __call__(self, batch, seed):
            tf.numpy_function(lambda s: seeds.append(tuple(s)), [seed], [])
            return 2.0 * batch + self.value

    train, model = windows(64), tiny_model(dropout=0.0)
    loss = first_loss(model, train, context, augment=(Add(1.0), Add(-3.0)), balancer=Rows(*range(32)))
    changed = 2.0 * (2.0 * train.gather(np.arange(32)) + 1.0) - 3.0
    log_p = log_softmax(np.asarray(model.network(changed)))
    assert loss == pytest.approx(-log_p[np.arange(32), train.labels[:32]].mean(), rel=1e-5)
    first_loss(tiny_model(), train, context, augment=(Add(0.0), Add(0.0)))
    assert len(set(seeds[2:])) == len(seeds[2:])


class Worst:
    """A miner of the 16 rows with the largest losses, from the second epoch on half of each batch."""

    every = 1

    def __init__(self):
        self.seen = []

    def select(self, labels, log_proba, losses):
        self.seen.append((labels, log_proba, losses))
        return np.argsort(-losses)[:16]

    def share(self, epoch, epochs):
        return 0.5


def test_hard_rows_are_those_of_the_weights_after_the_epoch(tiny_model, windows, context):
    train, model, miner = windows(64), tiny_model(dropout=0.0), Worst()
    seen = []

    class Recording:
        def start(self, labels):
            return np.ones(3)

        def update(self, labels, log_proba, epoch):
            seen.append(labels)
            return np.ones(3)

    model.fit(train, train, context(epochs=3, learning_rate=1e-12, miner=miner, reweighter=Recording()))
    assert len(miner.seen) == 2
    labels, log_proba, losses = miner.seen[0]
    np.testing.assert_array_equal(labels, train.labels)
    np.testing.assert_allclose(log_proba, log_softmax(model.predict_logits(train)), atol=1e-6)
    np.testing.assert_allclose(losses, -log_proba[np.arange(64), labels], atol=1e-5)
    # The reweighter compares predictions with all rows: the hard half of later epochs is not shown to it.
    assert [len(rows) for rows in seen] == [64, 32, 32]


def test_hard_rows_are_trained_on(tiny_model, windows, context):
    train = windows(64)

    class Right(Worst):
        def select(self, labels, log_proba, losses):
            return np.flatnonzero(labels == 2)[:4]

    records = tiny_model(dropout=0.0).fit(train, train, context(epochs=3, miner=Right(), learning_rate=0.1))
    plain = tiny_model(dropout=0.0).fit(train, train, context(epochs=3, learning_rate=0.1))
    assert records[0] == plain[0]
    assert records[2].val_argmax_share[2] > plain[2].val_argmax_share[2]


def test_a_killed_training_with_a_miner_ends_with_the_same_bytes(tiny_model, windows, context, tmp_path):
    train, val = windows(150), windows(60, seed=1)
    whole, resumed, plain = tiny_model(), tiny_model(), tiny_model()
    expected = whole.fit(train, val, context(epochs=4, miner=Worst()))
    settings = {"epochs": 4, "checkpoint": tmp_path}
    with pytest.raises(KilledError):
        tiny_model().fit(train, val, context(**settings, miner=Worst(), on_epoch=kill_after(2)))
    assert resumed.fit(train, val, context(**settings, miner=Worst())) == expected
    assert plain.fit(train, val, context(epochs=4)) != expected
    for name, value in whole.get_state()["weights"].items():
        assert value.tobytes() == resumed.get_state()["weights"][name].tobytes(), name


def test_stateful_training_smooths_and_penalises_too(fading_model, series, context):
    class Half:
        def __call__(self, targets):
            return 0.5 * targets + 0.5 / 3

    class Constant:
        def __call__(self, targets, logits):
            return 0.25 + 0.0 * logits[:, 0]

    train = series([120])
    settings = {"epochs": 1, "batch_size": 4, "balancer": None, "learning_rate": 1e-12}
    records = {}
    for name, changes in {
        "plain": {},
        "soft": {"smoother": Half()},
        "more": {"penalties": (Constant(),)},
    }.items():
        model = fading_model()
        (records[name],) = model.fit(train, train, context(**settings, **changes))
    assert records["more"].train_loss == pytest.approx(records["plain"].train_loss + 0.25, rel=1e-5)
    assert abs(records["soft"].train_loss - records["plain"].train_loss) > 1e-3
