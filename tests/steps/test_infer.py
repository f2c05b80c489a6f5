"""Calibrator and decision see val, and every row keeps its own bar."""

import numpy as np

from simengine.evaluate.logproba import log_softmax
from simengine.steps.infer import infer, predictions_table


def test_calibrator_and_decision_are_fitted_on_val(parts, prepared, run_dir):
    infer(parts, prepared, run_dir)
    uncalibrated = log_softmax(parts.model.predict_logits(prepared.val))
    for fitted, scores in (
        (parts.calibrator, uncalibrated),
        (parts.decision, log_softmax(parts.calibrator.transform(uncalibrated))),
    ):
        seen, labels = fitted.seen
        np.testing.assert_array_equal(labels, prepared.val.labels)
        np.testing.assert_allclose(seen, scores, atol=1e-5)
    np.testing.assert_array_equal(parts.decision.context.train_share, prepared.train_share)
    assert parts.decision.context.horizon_bars == 3


def test_rows_carry_the_time_and_the_forward_return_of_their_bar(parts, prepared, run_dir):
    for scored in infer(parts, prepared, run_dir):
        for group, (symbol, bars) in enumerate(prepared.bars.items()):
            mine = scored.groups == group
            rows = scored.bar_rows[mine]
            np.testing.assert_array_equal(scored.timestamp[mine], bars.timestamp[rows])
            np.testing.assert_array_equal(scored.forward_return[mine], prepared.forward_return[symbol][rows])


def test_the_table_tells_raw_from_calibrated_probabilities(parts, prepared, run_dir):
    val, test = infer(parts, prepared, run_dir)
    table = predictions_table(prepared.dataset.symbols, val=val, test=test)
    logits = np.concatenate([parts.model.predict_logits(w) for w in (prepared.val, prepared.test)])
    raw = np.exp(log_softmax(logits))
    np.testing.assert_allclose(table[["raw_sell", "raw_hold", "raw_buy"]], raw, atol=1e-6)
    tilted = raw * [1, 1, np.e]
    calibrated = tilted / tilted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(table[["p_sell", "p_hold", "p_buy"]], calibrated, atol=1e-6)
