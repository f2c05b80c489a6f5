"""Contracts of the kinds between model and strategy: test-time transforms, calibrators, decisions."""

from __future__ import annotations

import numpy as np

from simengine.plugin.testing.case import Case
from simengine.plugin.testing.samples import make_scores
from simengine.seed import stream
from simengine.types import DecisionContext

N_ROWS = 600


def check_tta(case: Case) -> None:
    """float32 batches of the same shape, each sample for itself, also for constant windows."""
    view = case.fresh()
    weight = view.weight
    case.expect(isinstance(weight, int | float) and 0 < weight < np.inf, "weight must be a number above 0")
    batch = stream(case.seed, "testing.tta").standard_normal((12, 16, 5)).astype(np.float32)
    batch[3], batch[4, :, 2] = 0.0, 1.5
    with case.untouched("the transform", batch):
        views = view(batch)
    case.array(views, "the transformed batch", batch.shape, np.float32)
    case.expect(np.isfinite(views).all(), "the transformed batch must be finite, also for constant windows")
    case.same(views, case.fresh()(batch), "two transforms of the same batch differ")
    case.same(views, view(batch), "a second call on the same batch gives another result")
    alone = np.concatenate([view(batch[row : row + 1]) for row in range(len(batch))])
    message = "a sample's result depends on the other samples of its batch"
    case.expect(np.allclose(alone, views, rtol=1e-5, atol=1e-6), message)
    case.expect(np.allclose(view(batch[::-1].copy())[::-1], views, rtol=1e-5, atol=1e-6), message)


def check_calibrator(case: Case) -> None:
    """Normalised log-probabilities, row by row, with a state that survives a file."""
    log_proba, labels = make_scores(N_ROWS, case.seed)
    with case.untouched("fit()", log_proba, labels):
        fitted = case.fresh().fit(log_proba, labels)
    case.expect(hasattr(fitted, "transform"), "fit() must return the calibrator itself")
    with case.untouched("transform()", log_proba):
        calibrated = fitted.transform(log_proba)
    case.array(calibrated, "transform()", log_proba.shape, np.float64)
    case.expect(np.isfinite(calibrated).all(), "transform() must be finite, also at the floor of 1e-7")
    total = np.exp(calibrated).sum(axis=1)
    case.expect(
        np.allclose(total, 1, atol=1e-6),
        f"transform() must be normalised: probabilities sum to {total.min():.6g} .. {total.max():.6g}",
    )
    again = case.fresh().fit(log_proba, labels).transform(log_proba)
    case.same(calibrated, again, "two fits on the same scores differ")
    restored = case.restored(fitted).transform(log_proba)
    case.same(calibrated, restored, "transform() differs after the state went through a file")
    part = fitted.transform(log_proba[100:140])
    case.expect(np.allclose(part, calibrated[100:140], atol=1e-9), "a row's result depends on other rows")


def check_decision(case: Case) -> None:
    """Signals as int8, row by row, with a state that survives a file."""
    log_proba, labels = make_scores(N_ROWS, case.seed)
    share = np.bincount(labels, minlength=3) / len(labels)
    context = DecisionContext(train_share=share, horizon_bars=12)
    with case.untouched("fit()", log_proba, labels, share):
        fitted = case.fresh().fit(log_proba, labels, context)
    case.expect(hasattr(fitted, "decide"), "fit() must return the decision itself")
    with case.untouched("decide()", log_proba):
        signals = fitted.decide(log_proba)
    case.array(signals, "decide()", (N_ROWS,), np.int8)
    case.expect(np.isin(signals, (0, 1, 2)).all(), "decide() must give 0 (SELL), 1 (HOLD) or 2 (BUY)")
    again = case.fresh().fit(log_proba, labels, context).decide(log_proba)
    case.same(signals, again, "two fits on the same scores differ")
    restored = case.restored(fitted).decide(log_proba)
    case.same(signals, restored, "decide() differs after the state went through a file")
    case.same(signals[100:140], fitted.decide(log_proba[100:140]), "a row's signal depends on other rows")
