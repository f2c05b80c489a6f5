import numpy as np
import pytest

from simengine import PerClass
from simengine.errors import ConfigError, DataError, PluginError
from simengine.evaluate.classification import nll
from simengine.evaluate.logproba import log_softmax
from simengine_plugins.models.hist_gradient_boosting import HistGradientBoosting
from simengine_plugins.reweighters.static import Static

SMALL = {
    "lags": 3,
    "learning_rate": 0.3,
    "max_iter": 6,
    "max_leaf_nodes": 6,
    "min_samples_leaf": 20,
    "patience": 3,
}


class Spy(HistGradientBoosting):
    """Keeps scikit-learn's own model beside the trees taken from it."""

    def _keep(self, booster, iterations):
        self._booster, self._iterations = booster, iterations
        super()._keep(booster, iterations)


def raw_scores(spy, rows, iterations):
    return list(spy._booster._staged_raw_predict(rows))[iterations - 1]


def test_it_learns_from_the_bars_it_may_see(windows, context):
    train, val = windows(900), windows(300, seed=1)
    model, blind = HistGradientBoosting(**SMALL), HistGradientBoosting(**{**SMALL, "lags": 2})
    (seen,), (unseen,) = model.fit(train, val, context()), blind.fit(train, val, context())
    prior = np.log(np.bincount(train.labels) / len(train))
    baseline = nll(np.tile(prior, (len(val), 1)), val.labels)
    assert seen.val_nll < 0.6 * baseline
    assert unseen.val_nll > 0.95 * baseline
    assert seen.val_nll == pytest.approx(nll(log_softmax(model.predict_logits(val)), val.labels))


def test_scores_equal_scikit_learn_to_the_bit(windows, context):
    train, val, model = windows(900), windows(300, seed=1), Spy(**SMALL)
    model.fit(train, val, context())
    rows = np.stack([val.matrix[end - 2 : end + 1].ravel() for end in val.ends])
    np.testing.assert_array_equal(
        model.predict_logits(val), raw_scores(model, rows, model._iterations).astype(np.float32)
    )


def test_the_iteration_with_the_lowest_validation_loss_is_kept(windows, context):
    train, val = windows(300), windows(300, seed=1)
    model = Spy(
        **{**SMALL, "learning_rate": 1.0, "min_samples_leaf": 2, "max_iter": 30, "max_leaf_nodes": 31}
    )
    (record,) = model.fit(train, val, context())
    rows = np.stack([val.matrix[end - 2 : end + 1].ravel() for end in val.ends])
    losses = [nll(log_softmax(raw), val.labels) for raw in model._booster._staged_raw_predict(rows)]
    assert model._iterations == int(np.argmin(losses)) + 1
    assert len(losses) == model._iterations + 3
    assert record.val_nll == pytest.approx(min(losses), rel=1e-6)


def test_without_any_gain_the_prior_is_kept(windows, context):
    train, val = windows(300), windows(300, seed=1)
    val.labels[:] = (val.labels + 1) % 3
    model = HistGradientBoosting(**SMALL)
    model.fit(train, val, context())
    share = np.bincount(train.labels) / len(train)
    np.testing.assert_allclose(
        log_softmax(model.predict_logits(val)), np.tile(np.log(share), (300, 1)), atol=1e-6
    )


def test_state_is_plain_arrays_and_restores_the_scores(windows, context):
    train, val = windows(300), windows(100, seed=1)
    model, restored = HistGradientBoosting(**SMALL), HistGradientBoosting(**SMALL)
    model.fit(train, val, context())
    state = model.get_state()
    assert {value.dtype.kind for value in state.values()} <= {"f", "i", "u"}
    restored.set_state(state)
    np.testing.assert_array_equal(restored.predict_logits(val), model.predict_logits(val))


def test_equal_seeds_give_equal_bytes(windows, context):
    train, val = windows(900), windows(100, seed=1)
    states = []
    for _ in range(2):
        model = HistGradientBoosting(**SMALL)
        model.fit(train, val, context())
        states.append({name: value.tobytes() for name, value in model.get_state().items()})
    assert states[0] == states[1]


def test_class_weights_move_the_scores(windows, context):
    train, val = windows(900), windows(300, seed=1)
    plain, tilted = HistGradientBoosting(**SMALL), HistGradientBoosting(**SMALL)
    plain.fit(train, val, context())
    (record,) = tilted.fit(train, val, context(reweighter=Static(weights=PerClass(1.0, 0.2, 5.0))))
    buy = [np.exp(log_softmax(model.predict_logits(val)))[:, 2].mean() for model in (plain, tilted)]
    assert buy[1] > buy[0]
    assert record.class_weights == (1.0, 0.2, 5.0)


def test_a_transform_sees_whole_windows(windows, context):
    train, val, model, shapes = windows(300), windows(50, seed=1), HistGradientBoosting(**SMALL), []
    model.fit(train, val, context())

    def look(batch):
        shapes.append(batch.shape)
        return batch.copy()

    np.testing.assert_array_equal(model.predict_logits(val, look), model.predict_logits(val))
    assert shapes == [(50, 8, 5)]
    with pytest.raises(PluginError) as error:
        model.predict_logits(val, lambda batch: batch[:, 1:])
    assert str(error.value) == "function: expected a batch of shape (50, 8, 5); received (50, 7, 5)"


def test_more_lags_than_the_window_has_bars_are_refused(windows, context):
    with pytest.raises(ConfigError) as error:
        HistGradientBoosting(lags=9).fit(windows(50), windows(50), context())
    assert str(error.value) == "model.lags: 9 bars are more than window.length 8"


def test_an_empty_class_is_an_error(windows, context):
    train = windows(200)
    train.labels[train.labels == 1] = 0
    with pytest.raises(DataError, match="model hist_gradient_boosting needs every class"):
        HistGradientBoosting(**SMALL).fit(train, train, context())
