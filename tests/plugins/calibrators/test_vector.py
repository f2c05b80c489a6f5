import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from simengine.errors import DataError
from simengine.evaluate.classification import nll, top_label_ece
from simengine.evaluate.logproba import log_softmax
from simengine_plugins.calibrators.scaling import penalised_nll
from simengine_plugins.calibrators.vector import Vector


def draw(seed, n=400, scale=(1.0, 1.0, 1.0), bias=(0.0, 0.0, 0.0)):
    """Scores distorted by a known scale and bias per class."""
    rng = np.random.default_rng(seed)
    exact = log_softmax(rng.normal(size=(n, 3)))
    labels = (exact + rng.gumbel(size=exact.shape)).argmax(axis=1).astype(np.int8)
    return log_softmax(np.array(scale) * exact + np.array(bias)), labels, exact


def test_gradient_is_that_of_the_value():
    scores, labels, _ = draw(0, 50)
    mean = scores.mean(axis=0)
    rows = (scores - mean).T.copy(), mean, np.eye(3)[:, labels]
    for point in (np.array([1.0, 1, 1, 0, 0, 0]), np.array([0.3, 2, 0.7, -1, 0.5, 2])):
        error = check_grad(
            lambda p: penalised_nll(p, *rows, 1.0)[0],
            lambda p: penalised_nll(p, *rows, 1.0)[1],
            point,
        )
        assert error < 1e-6


def test_value_is_the_log_loss_plus_the_prior():
    scores, labels, _ = draw(0, 50)
    parameters = np.array([0.5, 1.0, 1.5, 1.0, 0.0, -1.0])
    mean = scores.mean(axis=0)
    value, _ = penalised_nll(parameters, (scores - mean).T.copy(), mean, np.eye(3)[:, labels], 3.0)
    shifted = parameters[:3] * (scores - mean) + mean + parameters[3:]
    expected = nll(log_softmax(shifted), labels) + 3 / 100 * (0.5 + 2)
    assert value == pytest.approx(expected, rel=1e-12)


def test_by_hand():
    # .5, .25, .25 with scales 2, 1, 1: .25, .25, .25; a bias of log 2 for BUY doubles its part.
    fitted = Vector()
    fitted.scale_, fitted.bias_ = np.array([2.0, 1.0, 1.0]), np.log([1.0, 1.0, 2.0])
    proba = np.exp(fitted.transform(np.log([[0.5, 0.25, 0.25], [0.2, 0.4, 0.4]])))
    np.testing.assert_allclose(proba, [[0.25, 0.25, 0.5], [0.04 / 1.24, 0.4 / 1.24, 0.8 / 1.24]])


def test_undoes_a_tilt_that_collapsed_the_argmax():
    scores, labels, exact = draw(1, 20_000, scale=(2.5, 2.5, 2.5), bias=(0, -1, 4))
    assert (scores.argmax(axis=1) == 2).mean() > 0.8
    fitted = Vector().fit(scores, labels)
    calibrated = fitted.transform(scores)
    assert np.abs(np.exp(calibrated) - np.exp(exact)).max() < 0.05
    assert top_label_ece(calibrated, labels) < 0.015
    np.testing.assert_allclose(fitted.scale_, 0.4, atol=0.03)
    assert fitted.bias_.sum() == pytest.approx(0, abs=1e-12)


def test_mean_probability_of_each_class_becomes_its_share():
    scores, labels, _ = draw(2, 2000, bias=(2, 0, -1))
    calibrated = np.exp(Vector(l2=0).fit(scores, labels).transform(scores))
    np.testing.assert_allclose(calibrated.mean(axis=0), np.bincount(labels) / 2000, atol=1e-4)


@settings(deadline=None)
@given(st.integers(0, 500), st.sampled_from([0.2, 1.0, 5.0]), st.sampled_from([0.0, 1.0, 100.0]))
def test_normalised_and_never_worse_on_the_fitted_rows(seed, steepness, l2):
    scores, labels, _ = draw(seed, 80, scale=(steepness,) * 3, bias=(1, 0, 0))
    calibrated = Vector(l2=l2).fit(scores, labels).transform(scores)
    np.testing.assert_allclose(np.exp(calibrated).sum(axis=1), 1)
    assert nll(calibrated, labels) <= nll(scores, labels) + 1e-12


def test_scores_against_the_labels_are_all_but_ignored_and_not_turned_round():
    scores, labels, exact = draw(3, 2000)
    fitted = Vector(l2=0).fit(log_softmax(-2 * exact), labels)
    np.testing.assert_allclose(fitted.scale_, 0.01, atol=1e-6)
    np.testing.assert_allclose(np.exp(fitted.transform(scores))[0], np.bincount(labels) / 2000, atol=0.02)
    assert len(np.unique(fitted.transform(scores), axis=0)) == 2000


def test_constant_scores_become_the_label_shares():
    labels = np.repeat([0, 1, 2], [30, 50, 120]).astype(np.int8)
    flat = np.log(np.full((200, 3), 1 / 3))
    np.testing.assert_allclose(
        np.exp(Vector(l2=0).fit(flat, labels).transform(flat))[0], [0.15, 0.25, 0.6], atol=1e-4
    )


def test_a_strong_prior_changes_nothing():
    scores, labels, _ = draw(4, 400, bias=(1, 0, 0))
    np.testing.assert_allclose(Vector(l2=1e9).fit(scores, labels).transform(scores), scores, atol=1e-5)


def test_a_missing_class_and_few_rows_are_refused():
    scores, labels, _ = draw(5, 200)
    with pytest.raises(DataError) as caught:
        Vector().fit(scores, np.where(labels == 1, 2, labels).astype(np.int8))
    assert str(caught.value).startswith(
        "calibrator vector: needs 50 validation rows of 3 classes or more, received 200 (SELL "
    )
    assert "HOLD 0, " in str(caught.value)
    with pytest.raises(DataError, match="received 49 "):
        Vector().fit(scores[:49], labels[:49])


def test_transform_before_fit_is_refused():
    with pytest.raises(DataError, match=r"^calibrator vector: transform was called before fit$"):
        Vector().transform(np.zeros((1, 3)))


@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-3, 0.1, 30.0])
@pytest.mark.parametrize("l2", [0.0, 1.0])
def test_converges_however_much_or_little_the_scores_vary(spread, l2):
    rng = np.random.default_rng(8)
    scores = log_softmax(spread * rng.normal(size=(1500, 3)) + [3.0, 0.0, -10.0])
    labels = rng.choice(3, size=1500, p=[0.2, 0.5, 0.3]).astype(np.int8)
    calibrated = Vector(l2=l2).fit(scores, labels).transform(scores)
    np.testing.assert_allclose(np.exp(calibrated).mean(axis=0), np.bincount(labels) / 1500, atol=0.02)
