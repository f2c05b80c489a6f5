import numpy as np
import pytest

from simengine.evaluate.logproba import log_softmax
from simengine.train.collapse import find_collapse


def scores(n=3000, tilt=0.0, sharpness=1.0, seed=0):
    rng = np.random.default_rng(seed)
    known = rng.normal(size=(n, 3))
    labels = (known + rng.gumbel(size=(n, 3))).argmax(1).astype(np.int8)
    return log_softmax(sharpness * known + np.array([0.0, 0.0, tilt])), labels


def test_shares_near_those_of_the_labels_are_no_collapse():
    assert find_collapse(*scores()) is None
    assert find_collapse(*scores(tilt=0.3)) is None


def test_scores_that_lean_but_know_are_a_collapse_of_the_decision():
    found = find_collapse(*scores(tilt=5.0))
    assert (found.kind, found.signal.name) == ("decision", "BUY")
    assert found.share > 0.95
    assert found.label_share == pytest.approx(1 / 3, abs=0.03)
    assert found.accuracy > 0.5
    assert found.message().startswith("decision collapse: BUY is said for ")
    assert "prior_matched" in found.message()


def test_scores_that_know_nothing_are_a_collapse_of_the_model():
    rng = np.random.default_rng(1)
    _, labels = scores()
    noise = log_softmax(rng.normal(0, 0.01, (3000, 3)) + np.array([2.0, 0.0, 0.0]))
    found = find_collapse(noise, labels)
    assert (found.kind, found.signal.name) == ("model", "SELL")
    assert found.accuracy == pytest.approx(1 / 3, abs=0.03)
    assert found.message().startswith("model collapse: SELL is said for 100% of the validation rows")
    # Equal scores cannot be matched at all.
    assert find_collapse(np.tile(noise[:1], (3000, 1)), labels).kind == "model"


def test_overlapping_labels_need_more_rows_to_tell():
    log_proba, labels = scores(n=300, tilt=5.0, sharpness=0.4, seed=3)
    kinds = [find_collapse(log_proba, labels, horizon).kind for horizon in (1, 100)]
    assert kinds == ["decision", "model"]


def test_a_class_without_labels_is_not_watched():
    log_proba, labels = scores(tilt=5.0)
    labels[labels == 1] = 0
    assert find_collapse(log_proba, labels) is None
