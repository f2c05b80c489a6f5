import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from simengine.errors import DataError
from simengine.evaluate.classification import nll
from simengine.evaluate.logproba import log_softmax
from simengine_plugins.calibrators.dirichlet import Dirichlet, _penalised_nll

STRENGTH = np.array([[0, 0.1, 0.1, 0.3], [0.1, 0, 0.1, 0.3], [0.1, 0.1, 0, 0.3]])


def draw(seed, n=400, weights=None, bias=(0.0, 0.0, 0.0)):
    """Scores, and labels drawn from a known map of them."""
    rng = np.random.default_rng(seed)
    scores = log_softmax(rng.normal(size=(n, 3)))
    exact = log_softmax(scores @ (np.eye(3) if weights is None else np.array(weights)).T + np.array(bias))
    labels = (exact + rng.gumbel(size=exact.shape)).argmax(axis=1).astype(np.int8)
    return scores, labels, exact


def test_gradient_is_that_of_the_value():
    scores, labels, _ = draw(0, 50)
    rows = np.vstack([scores.T, np.ones(50)]), np.eye(3)[:, labels], STRENGTH
    for seed in (1, 2):
        point = np.random.default_rng(seed).normal(size=12)
        error = check_grad(
            lambda p: _penalised_nll(p.reshape(3, 4), *rows)[0],
            lambda p: _penalised_nll(p.reshape(3, 4), *rows)[1].ravel(),
            point,
        )
        assert error < 1e-5


def test_value_is_the_log_loss_plus_the_penalty_of_the_paper():
    scores, labels, _ = draw(0, 50)
    weights, bias = np.array([[1.0, 2, 0], [0, 0.5, -1], [0.5, 0, 1]]), np.array([0.5, 0.0, -1.0])
    inputs = np.vstack([scores.T, np.ones(50)])
    value, _ = _penalised_nll(np.hstack([weights, bias[:, None]]), inputs, np.eye(3)[:, labels], STRENGTH)
    # off_diagonal 0.6 / 6 on 4 + 1 + 0.25, intercept 0.9 / 3 on 0.25 + 1
    expected = nll(log_softmax(scores @ weights.T + bias), labels) + 0.1 * 5.25 + 0.3 * 1.25
    assert value == pytest.approx(expected, rel=1e-12)


def test_the_penalties_of_the_options_are_those_of_the_docstring(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "simengine_plugins.calibrators.dirichlet._fit",
        lambda inputs, onehot, strength: seen.append(strength) or np.zeros((3, 4)),
    )
    Dirichlet(off_diagonal=0.6, intercept=0.9).fit(*draw(0, 60)[:2])
    np.testing.assert_allclose(seen[0], STRENGTH)


def test_by_hand():
    # SELL reads p_SELL p_BUY, HOLD its own, BUY its own squared, with biases that double HOLD.
    fitted = Dirichlet()
    fitted.weights_ = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    fitted.bias_ = np.log([1.0, 2.0, 1.0])
    proba = np.exp(fitted.transform(np.log([[0.5, 0.3, 0.2]])))
    np.testing.assert_allclose(proba, [np.array([0.10, 0.60, 0.04]) / 0.74])


def test_recovers_a_map_that_no_scale_per_class_can_express():
    weights, bias = [[1.0, 0.6, 0.0], [0.0, 1.0, 0.0], [-0.5, 0.0, 1.0]], (0.3, 0.0, -0.3)
    scores, labels, exact = draw(1, 40_000, weights, bias)
    fitted = Dirichlet(off_diagonal=1e-6, intercept=1e-6).fit(scores, labels)
    calibrated = fitted.transform(scores)
    assert np.abs(np.exp(calibrated) - np.exp(exact)).mean() < 0.01
    assert nll(calibrated, labels) < nll(scores, labels) - 0.03
    # Rows of W are known up to a common row: compare differences.
    np.testing.assert_allclose(
        fitted.weights_ - fitted.weights_[1], np.array(weights) - weights[1], atol=0.08
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 500), st.sampled_from([1e-6, 1e-3, 1.0]))
def test_normalised_and_the_penalised_loss_is_never_worse_than_as_it_was(seed, strength):
    scores, labels, _ = draw(seed, 80, bias=(1, 0, 0))
    fitted = Dirichlet(off_diagonal=strength, intercept=strength).fit(scores, labels)
    calibrated = fitted.transform(scores)
    np.testing.assert_allclose(np.exp(calibrated).sum(axis=1), 1)
    # The identity has no penalty, so that the log-loss alone cannot be worse either.
    assert nll(calibrated, labels) <= nll(scores, labels) + 1e-9


def test_a_strong_penalty_leaves_one_scale_for_each_class():
    scores, labels, _ = draw(4, 2000, [[1, 0.6, 0], [0, 1, 0], [0, 0, 1]])
    fitted = Dirichlet(off_diagonal=1e6, intercept=1e6).fit(scores, labels)
    np.testing.assert_allclose(fitted.weights_ - np.diag(np.diag(fitted.weights_)), 0, atol=1e-4)
    np.testing.assert_allclose(fitted.bias_, 0, atol=1e-4)


@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-3, 0.1, 5.0])
def test_converges_however_much_or_little_the_scores_vary(spread):
    rng = np.random.default_rng(8)
    scores = log_softmax(spread * rng.normal(size=(1500, 3)) + [3.0, 0.0, -10.0])
    labels = rng.choice(3, size=1500, p=[0.2, 0.5, 0.3]).astype(np.int8)
    calibrated = Dirichlet(off_diagonal=1e-6, intercept=1e-6).fit(scores, labels).transform(scores)
    np.testing.assert_allclose(np.exp(calibrated).mean(axis=0), np.bincount(labels) / 1500, atol=0.02)


def test_a_row_does_not_depend_on_its_neighbours_to_the_bit():
    scores, labels, _ = draw(6, 500)
    fitted = Dirichlet().fit(scores, labels)
    whole = fitted.transform(scores)
    for row in range(0, 500, 37):
        assert fitted.transform(scores[row : row + 1]).tobytes() == whole[row : row + 1].tobytes()


def test_few_rows_are_refused():
    scores, labels, _ = draw(5, 49)
    with pytest.raises(DataError) as caught:
        Dirichlet().fit(scores, labels)
    assert str(caught.value).startswith(
        "calibrator dirichlet: needs 50 validation rows of 3 classes or more, received 49 (SELL "
    )


def test_transform_before_fit_is_refused():
    with pytest.raises(DataError, match=r"^calibrator dirichlet: transform was called before fit$"):
        Dirichlet().transform(np.zeros((1, 3)))
