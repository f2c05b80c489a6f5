import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from simengine.errors import DataError
from simengine.evaluate.classification import nll, top_label_ece
from simengine.evaluate.logproba import log_softmax
from simengine_plugins.calibrators.bias_corrected_temperature import BiasCorrectedTemperature
from simengine_plugins.calibrators.scaling import penalised_nll


def draw(seed, n=400, steepness=1.0, bias=(0.0, 0.0, 0.0)):
    """Scores distorted by a known temperature and bias per class."""
    rng = np.random.default_rng(seed)
    exact = log_softmax(rng.normal(size=(n, 3)))
    labels = (exact + rng.gumbel(size=exact.shape)).argmax(axis=1).astype(np.int8)
    return log_softmax(steepness * exact + np.array(bias)), labels, exact


def test_gradient_is_that_of_the_value():
    scores, labels, _ = draw(0, 50)
    mean = scores.mean(axis=0)
    rows = (scores - mean).T.copy(), mean, np.eye(3)[:, labels]
    for point in (np.array([1.0, 0, 0, 0]), np.array([0.3, -1, 0.5, 2])):
        error = check_grad(
            lambda p: penalised_nll(p, *rows, 2.0)[0], lambda p: penalised_nll(p, *rows, 2.0)[1], point
        )
        assert error < 1e-6


def test_value_is_the_log_loss_plus_the_prior():
    scores, labels, _ = draw(0, 50)
    mean = scores.mean(axis=0)
    value, _ = penalised_nll(
        np.array([0.5, 1.0, 0.0, -1.0]), (scores - mean).T.copy(), mean, np.eye(3)[:, labels], 3.0
    )
    shifted = 0.5 * (scores - mean) + mean + [1.0, 0.0, -1.0]
    assert value == pytest.approx(nll(log_softmax(shifted), labels) + 3 / 100 * (0.25 + 2), rel=1e-12)


def test_docstring_example():
    fitted = BiasCorrectedTemperature()
    fitted.temperature_, fitted.bias_ = 2.0, np.array([0.0, np.log(2), 0.0])
    proba = np.exp(fitted.transform(np.log([[0.8, 0.1, 0.1]])))
    np.testing.assert_allclose(proba, [[0.485, 0.343, 0.172]], atol=5e-4)


def test_recovers_a_known_temperature_and_tilt():
    scores, labels, exact = draw(1, 20_000, 2.5, (0, -1, 4))
    assert (scores.argmax(axis=1) == 2).mean() > 0.8
    fitted = BiasCorrectedTemperature().fit(scores, labels)
    calibrated = fitted.transform(scores)
    assert fitted.temperature_ == pytest.approx(2.5, rel=0.04)
    np.testing.assert_allclose(fitted.bias_ * 2.5, [1, 2, -3], atol=0.15)
    assert fitted.bias_.sum() == pytest.approx(0, abs=1e-12)
    assert np.abs(np.exp(calibrated) - np.exp(exact)).max() < 0.05
    assert top_label_ece(calibrated, labels) < 0.015


@settings(deadline=None)
@given(st.integers(0, 500), st.sampled_from([0.2, 1.0, 5.0]), st.sampled_from([0.0, 1.0, 100.0]))
def test_normalised_and_never_worse_on_the_fitted_rows(seed, steepness, l2):
    scores, labels, _ = draw(seed, 80, steepness, (1, 0, 0))
    calibrated = BiasCorrectedTemperature(l2=l2).fit(scores, labels).transform(scores)
    np.testing.assert_allclose(np.exp(calibrated).sum(axis=1), 1)
    assert nll(calibrated, labels) <= nll(scores, labels) + 1e-12


def test_mean_probability_of_each_class_becomes_its_share():
    scores, labels, _ = draw(2, 2000, bias=(2, 0, -1))
    calibrated = np.exp(BiasCorrectedTemperature(l2=0).fit(scores, labels).transform(scores))
    np.testing.assert_allclose(calibrated.mean(axis=0), np.bincount(labels) / 2000, atol=1e-4)


def test_scores_against_the_labels_end_at_the_highest_temperature():
    scores, labels, _ = draw(3, 1000)
    fitted = BiasCorrectedTemperature().fit(log_softmax(-scores), labels)
    assert fitted.temperature_ == pytest.approx(20)


@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-3, 0.1, 30.0])
@pytest.mark.parametrize("l2", [0.0, 1.0])
def test_converges_however_much_or_little_the_scores_vary(spread, l2):
    rng = np.random.default_rng(8)
    scores = log_softmax(spread * rng.normal(size=(1500, 3)) + [3.0, 0.0, -10.0])
    labels = rng.choice(3, size=1500, p=[0.2, 0.5, 0.3]).astype(np.int8)
    calibrated = BiasCorrectedTemperature(l2=l2).fit(scores, labels).transform(scores)
    np.testing.assert_allclose(np.exp(calibrated).mean(axis=0), np.bincount(labels) / 1500, atol=0.02)


def test_a_missing_class_is_refused():
    scores, _, _ = draw(5, 200)
    with pytest.raises(DataError) as caught:
        BiasCorrectedTemperature().fit(scores, np.repeat([0, 2], 100).astype(np.int8))
    assert str(caught.value) == (
        "calibrator bias_corrected_temperature: needs 50 validation rows of 3 classes or more, received 200 "
        "(SELL 100, HOLD 0, BUY 100); use a longer validation segment, or calibrator: null"
    )


def test_transform_before_fit_is_refused():
    message = r"^calibrator bias_corrected_temperature: transform was called before fit$"
    with pytest.raises(DataError, match=message):
        BiasCorrectedTemperature().transform(np.zeros((1, 3)))
