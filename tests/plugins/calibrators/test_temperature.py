import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.errors import DataError
from simengine.evaluate.classification import classwise_ace, nll, top_label_ece
from simengine.evaluate.logproba import log_softmax
from simengine_plugins.calibrators.temperature import Temperature


def draw(seed, n=400, sharpness=1.0):
    """Scores that are ``sharpness`` times as steep as the law the labels are drawn from."""
    rng = np.random.default_rng(seed)
    exact = log_softmax(rng.normal(size=(n, 3)))
    labels = (exact + rng.gumbel(size=exact.shape)).argmax(axis=1).astype(np.int8)
    return log_softmax(sharpness * exact), labels


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_recovers_a_known_temperature(sharpness):
    scores, labels = draw(1, 20_000, sharpness)
    fitted = Temperature().fit(scores, labels)
    assert fitted.temperature_ == pytest.approx(sharpness, rel=0.06)
    assert top_label_ece(fitted.transform(scores), labels) < 0.015


def test_docstring_example():
    scaler = Temperature()
    scaler.temperature_ = 2.0
    np.testing.assert_allclose(
        np.exp(scaler.transform(np.log([[0.8, 0.1, 0.1]]))), [[0.586, 0.207, 0.207]], atol=5e-4
    )


@settings(deadline=None)
@given(st.integers(0, 500), st.sampled_from([0.3, 1.0, 4.0]), st.sampled_from(["nll", "ace"]))
def test_argmax_never_changes_and_the_objective_is_never_worse(seed, sharpness, objective):
    scores, labels = draw(seed, 60, sharpness)
    calibrated = Temperature(objective=objective).fit(scores, labels).transform(scores)
    np.testing.assert_array_equal(calibrated.argmax(axis=1), scores.argmax(axis=1))
    np.testing.assert_allclose(np.exp(calibrated).sum(axis=1), 1)
    score = nll if objective == "nll" else classwise_ace
    assert score(calibrated, labels) <= score(scores, labels) + 1e-12


def test_same_rows_same_temperature():
    scores, labels = draw(2, sharpness=2)
    assert Temperature().fit(scores, labels).temperature_ == Temperature().fit(scores, labels).temperature_


def test_scores_against_the_labels_end_at_the_highest_temperature():
    scores, labels = draw(3, 1000)
    worthless = Temperature().fit(log_softmax(-scores), labels)
    assert worthless.temperature_ == pytest.approx(20, rel=1e-3)


def test_one_class_and_few_rows_are_refused():
    with pytest.raises(DataError) as caught:
        Temperature().fit(np.log(np.full((12, 3), 1 / 3)), np.full(12, 2, np.int8))
    assert str(caught.value) == (
        "calibrator temperature: needs 10 validation rows of 2 classes or more, received 12 "
        "(SELL 0, HOLD 0, BUY 12); use a longer validation segment, or calibrator: null"
    )
    scores, labels = draw(4, 9)
    with pytest.raises(DataError, match="received 9 "):
        Temperature().fit(scores, labels)


def test_transform_before_fit_is_refused():
    with pytest.raises(DataError, match=r"^calibrator temperature: transform was called before fit$"):
        Temperature().transform(np.zeros((1, 3)))


def test_each_objective_is_the_better_one_at_what_it_minimises():
    rng = np.random.default_rng(5)
    exact = log_softmax(rng.normal(size=(3000, 3)))
    labels = (exact + rng.gumbel(size=exact.shape)).argmax(axis=1).astype(np.int8)
    # A tilt that no temperature can take back: the two objectives part.
    scores = log_softmax(2 * exact + [0.0, 0.0, 1.0])
    by_nll, by_ace = (Temperature(objective=name).fit(scores, labels) for name in ("nll", "ace"))
    assert abs(np.log(by_nll.temperature_ / by_ace.temperature_)) > 0.02
    assert nll(by_nll.transform(scores), labels) < nll(by_ace.transform(scores), labels)
    assert classwise_ace(by_ace.transform(scores), labels) < classwise_ace(by_nll.transform(scores), labels)
