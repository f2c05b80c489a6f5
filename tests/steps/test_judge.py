"""Which scores, shares and thresholds the figures of a run are made of."""

from dataclasses import replace

import numpy as np
import pytest

from simengine.config.schema import Config
from simengine.evaluate.classification import nll, skill
from simengine.steps.judge import judge_classification, judge_oracle, judge_stages


@pytest.fixture
def val_and_test(make_scored):
    """Scores that are worse before calibration than after it; the last test row has no label."""
    raw, calibrated = np.log([0.6, 0.2, 0.2]), np.log([0.2, 0.3, 0.5])
    val, test = (
        make_scored(labels, raw_log_proba=np.tile(raw, (n, 1)), log_proba=np.tile(calibrated, (n, 1)))
        for labels, n in (([0, 2, 2, 1, 2], 5), ([2, 1, 2, 0, 2, 2, -1], 7))
    )
    return val, test


def test_raw_figures_are_those_before_calibration(prepared, val_and_test):
    figures = judge_classification(prepared, *val_and_test)["classification"]
    for name, scored in zip(("val", "test"), val_and_test, strict=True):
        known = scored.labels >= 0
        assert figures[name]["n"] == known.sum()
        assert figures[name]["raw_nll"] == nll(scored.raw_log_proba[known], scored.labels[known])
        assert figures[name]["nll"] == nll(scored.log_proba[known], scored.labels[known])
        assert figures[name]["raw_argmax_share"] == [1, 0, 0]
        assert figures[name]["argmax_share"] == [0, 0, 1]


def test_skill_is_held_against_the_shares_of_train(prepared, val_and_test):
    # A mixture that neither val nor test has.
    prepared.train.labels[:10] = 0
    train_share = np.bincount(prepared.train.labels, minlength=3) / len(prepared.train)
    figures = judge_classification(prepared, *val_and_test)
    for name, scored in zip(("val", "test"), val_and_test, strict=True):
        known = scored.take(scored.labels >= 0)
        expected = skill(known.log_proba, known.labels, train_share)
        assert figures["classification"][name]["skill"] == pytest.approx(expected, rel=1e-12)
    assert figures["class_prior"]["test"]["skill"] == pytest.approx(0, abs=1e-12)


def test_the_steps_of_inference_are_those_of_labelled_rows(parts, prepared, make_scored):
    class View:
        def __init__(self, weight):
            self.weight = weight

    plain, other = np.log([0.6, 0.2, 0.2]), np.log([0.2, 0.2, 0.6])
    calibrated = np.log([0.3, 0.3, 0.4])
    scored = make_scored(
        [0, 2, 1, -1],
        raw_log_proba=np.tile(plain, (4, 1)),
        view_log_proba=np.tile([plain, other], (4, 1, 1)),
        log_proba=np.tile(calibrated, (4, 1)),
    )
    config = Config.model_validate(
        {"inference": {"tta": [{"type": "identity"}, {"type": "jitter"}], "calibrator": {"type": "vector"}}}
    )
    two = replace(parts, tta=(View(1.0), View(3.0)))
    found = judge_stages(config.inference, two, scored, scored)["inference"]
    assert found["val"] == found["test"]
    expected = {
        "plain": (0.6, 0.2, 0.2), "identity": (0.6, 0.2, 0.2), "jitter": (0.2, 0.2, 0.6),
        "mean of views": (0.3, 0.2, 0.5), "vector": (0.3, 0.3, 0.4),
    }  # fmt: skip
    assert [record["name"] or record["stage"] for record in found["test"]] == list(expected)
    for record, proba in zip(found["test"], expected.values(), strict=True):
        assert record["nll"] == pytest.approx(-np.log(proba).mean(), abs=1e-6)


def test_the_exact_classifier_is_asked_about_the_same_bars_thresholds_and_window(
    parts, prepared, make_scored
):
    groups = np.array([0, 0, 0, 1, 1], np.int16)
    rows = np.array([80, 90, 97, 41, 57])
    test = make_scored([0, 1, 2, 2, 1], groups=groups, bar_rows=rows)
    figures = judge_oracle(parts.source, parts.labeler, prepared, test)
    asked = {(symbol, history): rest for symbol, *rest, history in parts.source.asked}
    assert set(asked) == {("A", 5), ("A", None), ("B", 5), ("B", None)}
    for (symbol, _), (ends, lower, upper, horizon) in asked.items():
        own = rows[groups == ["A", "B"].index(symbol)]
        np.testing.assert_array_equal(ends, own)
        np.testing.assert_array_equal(upper, own)  # the threshold of a bar is its number
        np.testing.assert_array_equal(lower, -own)
        assert horizon == 3
    # The stand-in says BUY when it sees the window, SELL when it sees all history.
    assert figures["argmax_share"] == [0, 0, 1]
    assert figures["full"]["argmax_share"] == [1, 0, 0]
