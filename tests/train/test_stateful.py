import dataclasses

import numpy as np
import pytest

from simengine.errors import ConfigError, PluginError
from simengine.evaluate.classification import nll
from simengine.evaluate.logproba import log_softmax
from simengine.seed import stream
from simengine.train.lanes import Lanes

KEEP = 0.8


def weights_of(model):
    return {name: value.tobytes() for name, value in model.get_state()["weights"].items()}


def faded(rows):
    """Exponential moving average of rows (n, F) from zero, in float64."""
    mean, out = np.zeros(rows.shape[1]), []
    for row in rows:
        mean = KEEP * mean + (1 - KEEP) * row
        out.append(mean)
    return np.array(out)


def by_hand(model, hidden):
    state = model.get_state()["weights"]
    return hidden @ state["logits/kernel"] + state["logits/bias"]


def test_it_learns_and_the_balancer_has_no_part_in_it(fading_model, series, context):
    train, val, model = series([300, 260]), series([200], seed=1), fading_model()
    history = model.fit(train, val, context(epochs=8, balancer=None, batch_size=8, learning_rate=0.1))
    prior = np.log(np.bincount(train.labels) / len(train))
    log_proba = log_softmax(model.predict_logits(val))
    assert nll(log_proba, val.labels) < 0.8 * nll(np.tile(prior, (len(val), 1)), val.labels)
    assert nll(log_proba, val.labels) == pytest.approx(min(record.val_nll for record in history), rel=1e-6)
    assert model.uses == {"reweighter", "loss", "smoother", "penalties", "optimizer"}
    assert fading_model(stateful=False).uses == model.uses | {"balancer", "miner", "augment", "smote"}


@pytest.mark.parametrize("stride", [1, 3])
def test_the_loss_is_that_of_bars_with_state_carried_through_their_lane(
    fading_model, series, context, stride
):
    class Told:
        def start(self, labels):
            return np.array([0.5, 1.0, 2.0])

        def update(self, labels, log_proba, epoch):
            self.labels, self.log_proba = labels, log_proba
            return np.ones(3)

    train, told, model = series([90, 70], stride=stride), Told(), fading_model()
    settings = context(epochs=1, batch_size=4, learning_rate=1e-12, reweighter=told)
    (record,) = model.fit(train, train, settings)

    lanes = Lanes(train, 4, 8)
    steps = lanes.steps(int(stream(7, "lanes", 1).integers(lanes.size)))
    logits, labels = [], []
    for lane in range(lanes.n):
        begins = [number for number, step in enumerate(steps) if step.fresh[lane]]
        for begin, stop in zip(begins, [*begins[1:], len(steps)], strict=True):
            rows = np.concatenate([step.rows[lane] for step in steps[begin:stop]])
            counts = np.concatenate([step.counts[lane] for step in steps[begin:stop]])
            logits.append(by_hand(model, faded(train.matrix[rows]))[counts])
            labels.append(np.concatenate([step.labels[lane] for step in steps[begin:stop]])[counts])
    log_proba, labels = log_softmax(np.concatenate(logits)), np.concatenate(labels)
    weights = np.array([0.5, 1.0, 2.0])[labels]
    expected = (-log_proba[np.arange(len(labels)), labels] * weights).mean()
    assert len(labels) == len(train)
    assert record.train_loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(np.bincount(told.labels), np.bincount(train.labels))
    assert nll(log_softmax(told.log_proba), told.labels) == pytest.approx(nll(log_proba, labels), rel=1e-5)


def test_no_bar_after_the_train_segment_is_touched(fading_model, series, context):
    whole = series([200, 150])
    train = whole.take((whole.ends < 120) | ((whole.ends >= 200) & (whole.ends < 290)))
    later = np.ones(len(whole.matrix), bool)
    later[:120], later[200:290] = False, False
    spoilt = dataclasses.replace(train, matrix=np.where(later[:, None], np.nan, train.matrix))
    results = []
    for windows in (train, spoilt):
        model = fading_model(dropout=0.2)
        model.fit(windows, windows, context(batch_size=6))
        results.append(weights_of(model))
    assert results[0] == results[1]


def test_scores_are_those_of_one_run_from_the_start_of_the_series(fading_model, series, context):
    windows, model = series([150, 90]), fading_model()
    model.fit(windows, windows, context(epochs=1, batch_size=4))
    hidden = np.concatenate([faded(windows.matrix[:150])[5:], faded(windows.matrix[150:])[5:]])
    logits = model.predict_logits(windows)
    np.testing.assert_allclose(logits, by_hand(model, hidden), atol=1e-5)
    assert logits.dtype == np.float32
    some = np.array([200, 3, 90, 91, 4])
    np.testing.assert_allclose(model.predict_logits(windows.take(some)), logits[some], atol=1e-6)
    assert model.predict_logits(windows.take(slice(0, 0))).shape == (0, 3)


def test_scores_neither_look_ahead_nor_at_other_symbols(fading_model, series, context):
    windows, model = series([150, 90]), fading_model()
    model.fit(windows, windows, context(epochs=1, batch_size=4))
    logits = model.predict_logits(windows)
    changed = windows.matrix.copy()
    changed[60:150] *= 3
    other = model.predict_logits(dataclasses.replace(windows, matrix=changed))
    same = (windows.ends < 60) | (windows.groups == 1)
    np.testing.assert_array_equal(other[same], logits[same])
    assert (other[~same] != logits[~same]).any(axis=1).all()


def test_windows_without_a_known_start_are_scored_by_themselves(fading_model, series, context):
    windows, model = series([700]), fading_model()
    model.fit(windows.take(slice(0, 100)), windows.take(slice(0, 50)), context(epochs=1, batch_size=4))
    alone = dataclasses.replace(windows, starts=None)
    hidden = np.array([faded(window)[-1] for window in windows.gather(slice(None))])
    np.testing.assert_allclose(model.predict_logits(alone), by_hand(model, hidden), atol=1e-5)


def test_equal_seeds_give_equal_bytes_compiled_or_not(fading_model, series, context):
    train = series([120, 80])
    for compiled in (False, True):
        results = []
        for seed in (7, 7, 8):
            model = fading_model(dropout=0.3)
            model.jit_compile = compiled
            model.fit(train, train, context(batch_size=4, seed=seed))
            results.append(weights_of(model))
        assert results[0] == results[1]
        assert results[0] != results[2]


def test_every_epoch_cuts_the_lanes_elsewhere(fading_model, series, context):
    still, train = 1e-12, series([120, 80])
    history = fading_model().fit(train, train, context(epochs=3, batch_size=4, learning_rate=still))
    assert len({record.train_loss for record in history}) == 3


def test_a_killed_training_ends_with_the_same_bytes(fading_model, series, context, tmp_path):
    class KilledError(Exception):
        pass

    def kill(record):
        if record.epoch == 1:
            raise KilledError

    train, val = series([120, 80]), series([60], seed=1)
    options = {"dropout": 0.2, "ema": 0.9, "weight_decay": 0.1}
    whole, resumed = fading_model(**options), fading_model(**options)
    expected = whole.fit(train, val, context(epochs=3, batch_size=4))
    with pytest.raises(KilledError):
        fading_model(**options).fit(
            train, val, context(epochs=3, batch_size=4, checkpoint=tmp_path, on_epoch=kill)
        )
    assert resumed.fit(train, val, context(epochs=3, batch_size=4, checkpoint=tmp_path)) == expected
    assert weights_of(whole) == weights_of(resumed)


def test_a_network_without_state_is_refused(tiny_model, series, context):
    model = tiny_model()
    model.stateful = True
    with pytest.raises(PluginError) as error:
        model.fit(series([60]), series([60]), context())
    assert str(error.value).endswith(
        ": initial_state is missing; stateful training needs initial_state(batch) and "
        "sequence(x, state, training)"
    )


def test_only_the_identity_view_fits_a_stateful_model(fading_model, series, context):
    class Mirror:
        def __call__(self, batch):
            return -batch

    class Same(Mirror):
        is_identity = True

    windows, model = series([60]), fading_model()
    model.fit(windows, windows, context(epochs=1, batch_size=4))
    np.testing.assert_array_equal(model.predict_logits(windows, Same()), model.predict_logits(windows))
    with pytest.raises(ConfigError) as error:
        model.predict_logits(windows, Mirror())
    assert str(error.value) == (
        "inference.tta: Mirror changes single windows, which a stateful model does not see; use [identity]"
    )
