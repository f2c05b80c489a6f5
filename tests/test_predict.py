import numpy as np
import pytest

from simengine.data.windows import WindowSet
from simengine.errors import ConfigError, DataError, PluginError
from simengine.evaluate.logproba import log_softmax
from simengine.predict import apply_inference, calibrate, fit_inference, score
from simengine.types import DecisionContext

CONTEXT = DecisionContext(train_share=np.array([0.3, 0.3, 0.4]), horizon_bars=2)


def windows(n=6):
    matrix = np.random.default_rng(0).normal(size=(n + 3, 3)).astype(np.float32)
    return WindowSet(
        matrix=matrix,
        ends=np.arange(3, n + 3, dtype=np.int32),
        labels=np.tile([0, 1, 2], n)[:n].astype(np.int8),
        groups=np.zeros(n, np.int16),
        length=4,
    )


class LastBar:
    """A model whose logits are the features of the last bar; counts its passes."""

    def __init__(self, scale=1.0):
        self.passes = 0
        self.scale = scale

    def predict_logits(self, windows, transform=None):
        self.passes += 1
        batch = windows.gather(slice(None))
        return self.scale * (batch if transform is None else transform(batch))[:, -1]


class Plain:
    is_identity = True
    weight = 1.0

    def __call__(self, batch):
        return batch


class Times:
    def __init__(self, factor, weight=1.0):
        self.factor, self.weight = factor, weight

    def __call__(self, batch):
        return batch * np.float32(self.factor)


class Tilt:
    """A calibrator that adds to BUY and does not normalise."""

    def fit(self, log_proba, labels):
        self.seen = log_proba
        return self

    def transform(self, log_proba):
        return log_proba + np.array([0.0, 0.0, 2.0])


class Largest:
    def fit(self, log_proba, labels, context):
        self.seen, self.context = log_proba, context
        return self

    def decide(self, log_proba):
        return log_proba.argmax(axis=1)


def test_plain_view_costs_one_pass_and_gives_the_raw_scores():
    model, rows = LastBar(), windows()
    raw, pooled = score(model, rows, [Plain()])
    assert model.passes == 1
    np.testing.assert_allclose(raw, log_softmax(rows.matrix[3:]))
    np.testing.assert_allclose(pooled, raw, atol=1e-6)
    assert raw.dtype == pooled.dtype == np.float64


def test_views_are_averaged_as_probabilities_by_weight():
    model, rows = LastBar(), windows()
    raw, pooled = score(model, rows, [Plain(), Times(2, weight=3)])
    assert model.passes == 2
    x = rows.matrix[3:].astype(float)
    expected = (np.exp(log_softmax(x)) + 3 * np.exp(log_softmax(2 * x))) / 4
    np.testing.assert_allclose(np.exp(pooled), expected, rtol=1e-5)
    np.testing.assert_allclose(raw, log_softmax(x))


def test_raw_scores_are_plain_also_when_no_view_is():
    raw, pooled = score(LastBar(), windows(), [Times(0)])
    assert np.ptp(raw) > 0
    np.testing.assert_allclose(np.exp(pooled), 1 / 3, rtol=1e-6)


def test_certainty_is_floored():
    raw, pooled = score(LastBar(scale=1e4), windows(), [Plain()])
    assert np.exp(raw).min() == 0
    assert np.exp(pooled).min() >= 0.99e-7
    np.testing.assert_allclose(np.exp(pooled).sum(axis=1), 1)


def test_score_refuses_no_view_and_no_window():
    with pytest.raises(ConfigError) as caught:
        score(LastBar(), windows(), [])
    assert str(caught.value) == "inference.tta: expected one view or more, received none; use [identity]"
    with pytest.raises(DataError, match=r"^predict: there is no window to score$"):
        score(LastBar(), windows().take(slice(0, 0)), [Plain()])


def test_a_model_that_returns_nonsense_is_named():
    class Two:
        def predict_logits(self, windows, transform=None):
            return np.zeros((len(windows), 2))

    with pytest.raises(PluginError) as caught:
        score(Two(), windows(), [Plain()])
    assert str(caught.value) == (
        "model Two on the plain windows: expected logits of shape (6, 3), received (6, 2)"
    )
    with pytest.raises(PluginError) as caught:
        score(LastBar(), windows(), [Plain(), Times(np.nan)])
    assert str(caught.value) == (
        "model LastBar on view Times: expected finite logits, received [nan, nan, nan] in row 0 "
        "(6 such rows of 6)"
    )


def test_decision_is_fitted_on_what_it_will_be_asked_about():
    rows = windows()
    _, pooled = score(LastBar(), rows, [Plain()])
    calibrator, decision = fit_inference(pooled, rows.labels, Tilt(), Largest(), CONTEXT)
    scores, signals = apply_inference(pooled, calibrator, decision)
    assert calibrator.seen is pooled
    np.testing.assert_array_equal(decision.seen, scores)
    assert decision.context is CONTEXT
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1)
    np.testing.assert_allclose(scores[:, 2] - scores[:, 0], pooled[:, 2] - pooled[:, 0] + 2, rtol=1e-6)
    np.testing.assert_array_equal(signals, scores.argmax(axis=1))
    assert signals.dtype == np.int8


def test_without_a_calibrator_scores_stay():
    rows = windows()
    _, pooled = score(LastBar(), rows, [Plain()])
    calibrator, decision = fit_inference(pooled, rows.labels, None, Largest(), CONTEXT)
    assert calibrator is None
    np.testing.assert_allclose(apply_inference(pooled, None, decision)[0], pooled, atol=1e-6)


def test_rows_without_labels_are_refused():
    rows = windows()
    _, pooled = score(LastBar(), rows, [Plain()])
    labels = rows.labels.copy()
    labels[4] = -1
    with pytest.raises(DataError, match="received -1 in row 4; leave rows without a label out"):
        fit_inference(pooled, labels, None, Largest(), CONTEXT)


def test_components_that_break_their_contract_are_named():
    pooled = log_softmax(np.zeros((2, 3)))

    class Broken(Tilt):
        def transform(self, log_proba):
            return log_proba * [1.0, 1.0, np.inf]

    with pytest.raises(PluginError) as caught:
        apply_inference(pooled, Broken(), Largest())
    assert str(caught.value).startswith("calibrator Broken: expected finite log-probabilities, received [")

    class Five(Largest):
        def decide(self, log_proba):
            return np.array([1, 5])

    with pytest.raises(PluginError) as caught:
        apply_inference(pooled, None, Five())
    assert str(caught.value) == ("decision Five: expected 0 (SELL), 1 (HOLD) or 2 (BUY), received 5 in row 1")

    class Short(Largest):
        def decide(self, log_proba):
            return np.array([1])

    with pytest.raises(PluginError) as caught:
        apply_inference(pooled, None, Short())
    assert str(caught.value) == "decision Short: expected signals of shape (2,), received (1,)"


class Turning(Largest):
    """A decision on series that keeps what it was told."""

    def decide(self, log_proba):
        raise ConfigError("not row by row")

    def decide_series(self, log_proba, groups, timestamp):
        self.order = groups, timestamp
        return np.zeros(len(log_proba), np.int8)


def test_a_decision_on_series_is_told_symbol_and_time():
    pooled = log_softmax(np.random.default_rng(0).normal(size=(3, 3)))
    groups, times = np.array([0, 1, 0], np.int16), np.array([5, 5, 6])
    decision = Turning()
    scores, signals = apply_inference(pooled, None, decision, groups=groups, timestamp=times)
    np.testing.assert_array_equal(decision.order[0], groups)
    np.testing.assert_array_equal(decision.order[1], times)
    np.testing.assert_array_equal(signals, 0)
    np.testing.assert_array_equal(scores, calibrate(pooled, None))
    with pytest.raises(ConfigError) as caught:
        apply_inference(pooled, None, decision)
    assert str(caught.value) == (
        "decision Turning: a signal depends on the rows before it; give groups and timestamp of the rows"
    )
