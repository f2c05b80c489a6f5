import numpy as np
import pytest

from simengine.errors import DataError
from simengine.evaluate.classification import (
    argmax_signals,
    class_prior_metrics,
    classification_metrics,
    mean_kl,
    oracle_metrics,
    share_error,
)
from simengine.evaluate.logproba import log_softmax

SHARE = np.array([0.283, 0.339, 0.378])
NAMES = {
    "n", "label_share", "raw_argmax_share", "raw_nll", "raw_ece", "argmax_share", "nll", "ece", "ace",
    "brier", "skill", "decided_share", "macro_f1", "balanced_accuracy", "per_class", "argmax_macro_f1",
    "sign_auc", "hold_auc", "effective_n", "label_share_error", "argmax_share_error", "decided_share_error",
}  # fmt: skip


@pytest.fixture
def market():
    rng = np.random.default_rng(5)
    exact = log_softmax(np.log(SHARE) + 0.5 * rng.normal(size=(4000, 3)))
    labels = (exact + rng.gumbel(size=exact.shape)).argmax(axis=1).astype(np.int8)
    forward = (labels - 1) * 0.01 + rng.normal(scale=1e-4, size=len(labels))
    return exact, labels, forward


def measure(labels, raw, scores, signals, forward, horizon=12):
    return classification_metrics(
        labels=labels,
        raw_log_proba=raw,
        log_proba=scores,
        signals=signals,
        forward_return=forward,
        train_share=SHARE,
        horizon_bars=horizon,
    )


def test_names_and_plain_numbers(market):
    exact, labels, forward = market
    found = measure(labels, exact, exact, argmax_signals(exact), forward)
    assert set(found) == NAMES
    for name, value in found.items():
        if name.endswith(("_share", "_share_error")):
            assert len(value) == 3
            assert all(type(x) is float for x in value)
        elif name != "per_class":
            assert type(value) in (int, float), name


def test_raw_scores_and_signals_are_kept_apart(market):
    exact, labels, forward = market
    collapsed = log_softmax(exact * 0.2 + [0, -1, 2])
    signals = np.roll(labels, 1)
    found = measure(labels, collapsed, exact, signals, forward)
    assert found["raw_argmax_share"] == [0, 0, 1]
    assert found["raw_nll"] > found["nll"]
    assert found["decided_share"] == found["label_share"]
    assert found["macro_f1"] < found["argmax_macro_f1"]


def test_overlapping_labels_shrink_the_effective_sample(market):
    exact, labels, forward = market
    found = measure(labels, exact, exact, labels, forward, horizon=40)
    assert found["effective_n"] == 100
    share = np.array(found["label_share"])
    np.testing.assert_allclose(found["label_share_error"], np.sqrt(share * (1 - share) / 100))
    assert share_error(np.array([0.5]), 100)[0] == pytest.approx(0.05)


def test_a_horizon_below_one_bar_is_refused(market):
    exact, labels, forward = market
    with pytest.raises(DataError, match=r"^horizon_bars: expected at least 1, received 0$"):
        measure(labels, exact, exact, labels, forward, horizon=0)


def test_class_prior_knows_nothing(market):
    _, labels, forward = market
    found = class_prior_metrics(labels=labels, train_share=SHARE, forward_return=forward, horizon_bars=12)
    assert found["skill"] == pytest.approx(0, abs=1e-12)
    assert found["sign_auc"] == 0.5
    assert found["hold_auc"] == 0.5
    assert found["argmax_share"] == [0, 0, 1]


def test_kl_by_hand_and_zero_for_equal_scores(market):
    exact, _, _ = market
    q, p = np.log([[0.5, 0.25, 0.25]]), np.log([[0.25, 0.5, 0.25]])
    assert mean_kl(q, p) == pytest.approx(0.5 * np.log(2) - 0.25 * np.log(2))
    assert mean_kl(exact, exact) == 0


def compare_with_oracle(market, window, model, **more):
    exact, labels, forward = market
    return oracle_metrics(
        labels=labels,
        window_proba=np.exp(window),
        full_proba=np.exp(exact),
        model_log_proba=model,
        forward_return=forward,
        train_share=SHARE,
        horizon_bars=12,
        **more,
    )


def test_a_model_equal_to_the_oracle_reaches_all_of_its_skill(market):
    exact = market[0]
    found = compare_with_oracle(market, exact, exact)
    assert found["skill_ratio"] == pytest.approx(1, abs=1e-6)
    assert found["skill_ratio_full"] == pytest.approx(1, abs=1e-6)
    assert found["kl"] == pytest.approx(0, abs=1e-6)
    assert set(found) == NAMES | {"skill_ratio", "skill_ratio_full", "kl", "full"}
    assert set(found["full"]) == NAMES


def test_a_model_that_sees_less_reaches_less(market):
    exact, labels, _ = market
    window = log_softmax(0.7 * exact + 0.3 * np.log(SHARE))
    model = log_softmax(0.3 * exact + 0.7 * np.log(SHARE))
    found = compare_with_oracle(market, window, model, signals=labels)
    assert 0 < found["skill_ratio_full"] < found["skill_ratio"] < 1
    assert found["kl"] > 0
    assert found["macro_f1"] == 1
    assert found["full"]["macro_f1"] == found["full"]["argmax_macro_f1"]


def test_no_ratio_to_an_oracle_without_skill(market):
    exact = market[0]
    wrong = log_softmax(-3 * exact)
    assert np.isnan(compare_with_oracle(market, wrong, exact)["skill_ratio"])
