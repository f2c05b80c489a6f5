import dataclasses

import numpy as np
import pytest

from simengine.errors import DataError, PluginError, RunError
from simengine.evaluate.classification import nll
from simengine.evaluate.logproba import log_softmax
from simengine.train.schedule import warmup_cosine


def weights_of(model):
    return {name: value.tobytes() for name, value in model.get_state()["weights"].items()}


class Recording:
    """A reweighter that keeps what it is told and doubles the weight of BUY."""

    def start(self, labels):
        self.started = labels
        return np.array([1.0, 1.0, 1.0])

    def update(self, labels, log_proba, epoch):
        self.seen = (labels, log_proba, epoch)
        return np.array([1.0, 1.0, 2.0])


def test_it_learns_what_can_be_learnt(model, windows, context):
    train, val = windows(800), windows(400, seed=1)
    history = model.fit(train, val, context(epochs=6, learning_rate=0.05))
    log_proba = log_softmax(model.predict_logits(val))
    prior = np.log(np.bincount(train.labels) / len(train))
    assert nll(log_proba, val.labels) < 0.7 * nll(np.tile(prior, (len(val), 1)), val.labels)
    assert [record.epoch for record in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1].val_macro_f1 > 0.6


def test_equal_seeds_give_equal_bytes(tiny_model, windows, context):
    train, val = windows(200), windows(60, seed=1)
    first, second, other = tiny_model(), tiny_model(), tiny_model()
    records = [first.fit(train, val, context()), second.fit(train, val, context())]
    other.fit(train, val, context(seed=8))
    assert weights_of(first) == weights_of(second)
    assert records[0] == records[1]
    assert weights_of(first) != weights_of(other)


def test_compiled_steps_are_as_deterministic_and_agree_with_plain_ones(tiny_model, windows, context):
    class Compiled(tiny_model):
        jit_steps = 1

    train, val = windows(100), windows(60, seed=1)
    plain, first, second = tiny_model(dropout=0.0), Compiled(dropout=0.0), Compiled(dropout=0.0)
    for model in (plain, first, second):
        model.fit(train, val, context())
    assert weights_of(first) == weights_of(second)
    np.testing.assert_allclose(first.predict_logits(val), plain.predict_logits(val), atol=1e-4)


def test_train_loss_is_the_mean_of_weighted_losses_over_all_rows(tiny_model, windows, context):
    # 100 rows in batches of 32: the last batch has 4, which must count as 4 and not as 32.
    train, val = windows(100), windows(40, seed=1)
    model, reweighter = tiny_model(dropout=0.0), Recording()
    reweighter.start = lambda labels: np.array([0.5, 1.0, 2.0])
    (record,) = model.fit(train, val, context(epochs=1, learning_rate=1e-12, reweighter=reweighter))
    log_proba = log_softmax(model.predict_logits(train))
    losses = -log_proba[np.arange(100), train.labels]
    expected = (losses * np.array([0.5, 1.0, 2.0])[train.labels]).mean()
    assert record.train_loss == pytest.approx(expected, rel=1e-5)
    assert record.class_weights == (0.5, 1.0, 2.0)


def test_a_class_of_weight_zero_leaves_no_trace(tiny_model, windows, context):
    class Rows:
        def __init__(self, rows):
            self.rows = rows

        def epoch(self, labels, groups, epoch, rng, batch_size):
            yield self.rows

    class Without:
        def start(self, labels):
            return np.array([1.0, 1.0, 0.0])

        def update(self, labels, log_proba, epoch):
            return np.array([1.0, 1.0, 0.0])

    train, val = windows(40), windows(40, seed=1)
    muted = dataclasses.replace(train, matrix=train.matrix.copy())
    buy = np.flatnonzero(train.labels == 2)
    swapped = np.where(
        train.labels == 2, np.roll(buy, 1)[np.searchsorted(buy, np.arange(40)) % len(buy)], np.arange(40)
    )
    results = []
    for rows in (np.arange(40), swapped):
        model = tiny_model(dropout=0.0)
        model.fit(muted, val, context(balancer=Rows(rows), reweighter=Without(), batch_size=40))
        results.append(model.predict_logits(val))
    np.testing.assert_allclose(results[0], results[1], atol=1e-6)


def test_the_reweighter_sees_the_rows_of_the_epoch(tiny_model, windows, context):
    train, val, reweighter = windows(100), windows(40, seed=1), Recording()
    model = tiny_model(dropout=0.0)
    history = model.fit(train, val, context(reweighter=reweighter, learning_rate=1e-12))
    labels, log_proba, epoch = reweighter.seen
    assert epoch == 2
    assert log_proba.shape == (100, 3)
    assert log_proba.dtype == np.float64
    np.testing.assert_array_equal(reweighter.started, train.labels)
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(train.labels))
    expected = nll(log_softmax(model.predict_logits(train)), train.labels)
    assert nll(log_softmax(log_proba), labels) == pytest.approx(expected, rel=1e-5)
    assert [record.class_weights for record in history] == [(1.0, 1.0, 1.0), (1.0, 1.0, 2.0)]


def test_every_epoch_has_its_own_random_numbers_and_its_own_dropout(tiny_model, windows, context):
    class InOrder:
        def __init__(self):
            self.draws = []

        def epoch(self, labels, groups, epoch, rng, batch_size):
            self.draws.append(int(rng.integers(2**60)))
            yield np.arange(len(labels))

    balancer, still = InOrder(), 1e-12  # the weights stand still: only the dropout tells epochs apart
    settings = context(balancer=balancer, epochs=3, batch_size=64, learning_rate=still)
    history = tiny_model(dropout=0.5).fit(windows(64), windows(40, seed=1), settings)
    assert len(set(balancer.draws)) == 3
    losses = [record.train_loss for record in history]
    assert min(abs(np.diff([*losses, losses[0]]))) > 1e-4


class Misled:
    """True labels in epoch 1, false ones afterwards (the second half of the rows)."""

    def epoch(self, labels, groups, epoch, rng, batch_size):
        half = len(labels) // 2
        rows = rng.permutation(half) + (0 if epoch == 1 else half)
        for start in range(0, half, batch_size):
            yield rows[start : start + batch_size]


@pytest.fixture
def misleading(windows):
    """Twice the same windows, labelled rightly and then wrongly."""
    train = windows(200)
    doubled = train.take(np.concatenate([np.arange(200), np.arange(200)]))
    doubled.labels[200:] = (doubled.labels[200:] + 1) % 3
    return doubled


def test_patience_stops_and_the_best_weights_are_kept(model, misleading, windows, context):
    val = windows(200, seed=1)
    settings = context(balancer=Misled(), epochs=5, patience=2, learning_rate=0.05, warmup=0.0)
    history = model.fit(misleading, val, settings)
    assert [record.best for record in history] == [True, False, False]
    assert nll(log_softmax(model.predict_logits(val)), val.labels) == pytest.approx(
        history[0].val_nll, rel=1e-6
    )


def test_without_patience_all_epochs_run_and_the_best_weights_are_kept(model, misleading, windows, context):
    val = windows(200, seed=1)
    history = model.fit(misleading, val, context(balancer=Misled(), epochs=4, learning_rate=0.05))
    assert len(history) == 4
    best = min(record.val_nll for record in history)
    assert nll(log_softmax(model.predict_logits(val)), val.labels) == pytest.approx(best, rel=1e-6)


class Told:
    def __init__(self):
        self.calls = []

    def start(self, label, total):
        self.calls.append((label, total))

    def advance(self, steps=1, **info):
        self.calls.append((steps, sorted(info)))

    def stop(self):
        self.calls.append("stop")


def test_progress_and_epochs_are_reported(model, windows, context):
    told, epochs = Told(), []
    history = model.fit(windows(70), windows(40, seed=1), context(progress=told, on_epoch=epochs.append))
    assert epochs == history
    assert told.calls[0] == ("train", 6)
    assert sum(call[0] for call in told.calls[1:-1]) == 6
    assert told.calls[-2] == (1, ["epoch", "loss", "seconds_per_epoch"])
    assert told.calls[-1] == "stop"
    assert [record.learning_rate for record in history] == pytest.approx(
        [warmup_cosine(share, 0.02, 0.05) for share in (2.5 / 6, 5.5 / 6)]
    )


class Exploding:
    def __call__(self, targets, logits):
        import tensorflow as tf

        return tf.reduce_sum(logits, axis=-1) * float("nan")


@pytest.mark.parametrize(("clip", "advice"), [(1.0, ""), (None, " or set training.clip_norm to 1.0")])
def test_a_loss_that_is_not_finite_says_where_and_what_to_try(model, windows, context, clip, advice):
    with pytest.raises(RunError) as error:
        model.fit(windows(70), windows(40, seed=1), context(loss=Exploding(), clip_norm=clip))
    assert str(error.value) == (
        "training diverged: the loss is nan in epoch 1, step 1; "
        f"lower training.learning_rate (now 0.02){advice}"
    )


class Yielding:
    def __init__(self, *batches):
        self.batches = batches

    def epoch(self, labels, groups, epoch, rng, batch_size):
        yield from self.batches


@pytest.mark.parametrize(
    ("balancer", "message"),
    [
        (Yielding(), "expected at least one batch an epoch; received none"),
        (
            Yielding(np.array([0.0])),
            "expected batches of integer row ids, shape (B,) with B >= 1; received float64 of shape (1,)",
        ),
        (
            Yielding(np.array([], int)),
            "expected batches of integer row ids, shape (B,) with B >= 1; received int64 of shape (0,)",
        ),
        (Yielding(np.array([3, 70])), "expected row ids from 0 to 69; received 3 to 70"),
    ],
)
def test_a_balancer_that_breaks_its_contract_is_named(model, windows, context, balancer, message):
    with pytest.raises(PluginError) as error:
        model.fit(windows(70), windows(40, seed=1), context(balancer=balancer))
    assert str(error.value) == f"balancer Yielding: {message}"


def test_a_loss_that_returns_one_number_is_named(model, windows, context):
    def mean_loss(targets, logits):
        import tensorflow as tf

        return tf.reduce_mean(logits)

    with pytest.raises(PluginError) as error:
        model.fit(windows(70), windows(40, seed=1), context(loss=mean_loss))
    assert str(error.value) == (
        "loss function: expected one number per row, shape (2,) for two rows; received shape ()"
    )


def test_segments_that_cannot_be_trained_on_are_refused(model, windows, context):
    train, val = windows(70), windows(40, seed=1)
    with pytest.raises(DataError) as error:
        model.fit(train, val.take(slice(0, 0)), context())
    assert str(error.value) == (
        "the val segment has no labelled window: use more bars or a shorter window.length"
    )
    train.labels[3] = -1
    with pytest.raises(DataError) as error:
        model.fit(train, val, context())
    assert str(error.value) == "1 of 70 train windows have no label 0, 1 or 2: drop them first"


def test_windows_outside_their_matrix_are_refused(model, windows, context):
    train, val = windows(70), windows(40, seed=1)
    train.ends[0] = 2
    with pytest.raises(DataError) as error:
        model.fit(train, val, context())
    assert str(error.value) == (
        "train windows end at rows 2 to 74, but windows of 6 bars over 75 rows can end at 5 to 74"
    )


def test_a_loss_with_a_prior_is_fitted_on_the_train_labels(model, windows, context):
    class Fitted:
        def fit(self, labels):
            self.labels = labels

        def __call__(self, targets, logits):
            import tensorflow as tf

            return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)

    loss, train = Fitted(), windows(70)
    model.fit(train, windows(40, seed=1), context(loss=loss, epochs=1))
    np.testing.assert_array_equal(loss.labels, train.labels)
