import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.errors import DataError
from simengine.evaluate.classification import classwise_ace, top_label_ece
from simengine.evaluate.logproba import log_softmax
from simengine_plugins.calibrators.isotonic import Isotonic


def draw(seed, n=400, steepness=1.0, bias=(0.0, 0.0, 0.0)):
    rng = np.random.default_rng(seed)
    exact = log_softmax(rng.normal(size=(n, 3)))
    labels = (exact + rng.gumbel(size=exact.shape)).argmax(axis=1).astype(np.int8)
    return log_softmax(steepness * exact + np.array(bias)), labels


def pooled(values, positive):
    """Pool adjacent violators by hand: the mean of each level, for rows sorted by distinct values."""
    levels = []
    for hit in positive[np.argsort(values)]:
        levels.append([float(hit), 1])
        while len(levels) > 1 and levels[-2][0] >= levels[-1][0]:
            mean, n = levels.pop()
            before, m = levels.pop()
            levels.append([(mean * n + before * m) / (n + m), n + m])
    return np.repeat([mean for mean, _ in levels], [n for _, n in levels])


def test_curves_are_those_of_pool_adjacent_violators():
    scores, labels = draw(0, 200)
    fitted = Isotonic().fit(scores, labels)
    proba = np.exp(scores)
    for label in range(3):
        curve = np.interp(np.sort(proba[:, label]), fitted.inputs_[label], fitted.outputs_[label])
        np.testing.assert_allclose(curve, pooled(proba[:, label], labels == label), atol=1e-12)


def test_curves_are_renormalised_by_hand():
    fitted = Isotonic(floor=0.01)
    fitted.inputs_ = [np.array([0.2, 0.4])] * 3
    fitted.outputs_ = [np.array([0.0, 0.6]), np.array([0.2, 0.2]), np.array([0.0, 0.0])]
    fitted.share_ = np.array([0.2, 0.3, 0.5])
    proba = np.exp(fitted.transform(np.log([[0.3, 0.3, 0.4], [0.1, 0.1, 0.8]])))
    np.testing.assert_allclose(proba[0], np.array([0.3, 0.2, 0.01]) / 0.51)  # straight between the knots
    np.testing.assert_allclose(proba[1], np.array([0.01, 0.2, 0.01]) / 0.22)  # constant beyond them


def test_a_row_of_zeros_gets_the_label_shares():
    fitted = Isotonic(floor=0.01)
    fitted.inputs_ = [np.array([0.4, 0.5])] * 3
    fitted.outputs_ = [np.array([0.0, 0.9])] * 3
    fitted.share_ = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(np.exp(fitted.transform(np.log([[0.3, 0.3, 0.4]]))), [[0.2, 0.3, 0.5]])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 500), st.sampled_from([0.3, 1.0, 6.0]), st.sampled_from([1e-6, 1e-3, 0.05]))
def test_finite_normalised_and_rising_in_the_own_score(seed, steepness, floor):
    scores, labels = draw(seed, 120, steepness)
    if len(np.unique(labels)) < 3:
        return
    fitted = Isotonic(floor=floor).fit(scores, labels)
    calibrated = fitted.transform(scores)
    assert np.isfinite(calibrated).all()
    np.testing.assert_allclose(np.exp(calibrated).sum(axis=1), 1)
    assert np.exp(calibrated).min() >= floor / (1 + 2 * floor + 2) - 1e-12
    for x, y in zip(fitted.inputs_, fitted.outputs_, strict=True):
        assert (np.diff(x) > 0).all()
        assert (np.diff(y) >= 0).all()
        assert (y >= 0).all()
        assert (y <= 1).all()


def test_undoes_a_distortion_of_any_rising_shape():
    scores, labels = draw(1, 20_000, 3.0, (0, -1, 2))
    fresh, truth = draw(2, 20_000, 3.0, (0, -1, 2))
    calibrated = Isotonic().fit(scores, labels).transform(fresh)
    assert top_label_ece(fresh, truth) > 0.15
    assert top_label_ece(calibrated, truth) < 0.02
    assert classwise_ace(calibrated, truth) < 0.03 < 0.15 < classwise_ace(fresh, truth)


def test_scores_that_say_nothing_give_the_label_shares():
    labels = np.repeat([0, 1, 2], [30, 50, 120]).astype(np.int8)
    flat = np.log(np.full((200, 3), 1 / 3))
    proba = np.exp(Isotonic().fit(flat, labels).transform(flat))
    np.testing.assert_allclose(proba, np.tile([0.15, 0.25, 0.6], (200, 1)), atol=1e-12)


def test_a_missing_class_is_refused():
    scores, _ = draw(5, 60)
    with pytest.raises(DataError) as caught:
        Isotonic().fit(scores, np.repeat([1, 2], 30).astype(np.int8))
    assert str(caught.value) == (
        "calibrator isotonic: needs 50 validation rows of 3 classes or more, received 60 "
        "(SELL 0, HOLD 30, BUY 30); use a longer validation segment, or calibrator: null"
    )


def test_transform_before_fit_is_refused():
    with pytest.raises(DataError, match=r"^calibrator isotonic: transform was called before fit$"):
        Isotonic().transform(np.zeros((1, 3)))
