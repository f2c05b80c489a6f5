"""Contracts of the kinds between model and strategy: test-time transforms, calibrators, decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simengine.errors import ConfigError
from simengine.plugin.testing.case import Case
from simengine.plugin.testing.samples import make_decision_context, make_scores
from simengine.seed import stream
from simengine.types import FloatArray, IntArray

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
    """Signals as int8, with a state that survives a file, row by row or in the order of time.

    A decision with ``decide_series`` may look at earlier rows of the same symbol, never at later ones or at
    other symbols, and its ``decide`` refuses rows whose place in time is not known.
    """
    log_proba, labels = make_scores(N_ROWS, case.seed)
    context = make_decision_context(labels)
    with case.untouched("fit()", log_proba, labels, context):
        fitted = case.fresh().fit(log_proba, labels, context)
    case.expect(hasattr(fitted, "decide"), "fit() must return the decision itself")
    groups, time = np.asarray(context.groups), np.asarray(context.timestamp)
    series = hasattr(fitted, "decide_series")
    what = "decide_series()" if series else "decide()"

    def decide(decision: Any, rows: Any = slice(None), scores: FloatArray = log_proba) -> Any:  # noqa: ANN401
        if not series:
            return decision.decide(scores[rows])
        return decision.decide_series(scores[rows], groups[rows], time[rows])

    with case.untouched(what, log_proba, context):
        signals = decide(fitted)
    case.array(signals, what, (N_ROWS,), np.int8)
    case.expect(np.isin(signals, (0, 1, 2)).all(), f"{what} must give 0 (SELL), 1 (HOLD) or 2 (BUY)")
    again = decide(case.fresh().fit(log_proba, labels, context))
    case.same(signals, again, "two fits on the same scores differ")
    case.same(signals, decide(case.restored(fitted)), f"{what} differs after the state went through a file")
    if series:
        _check_series(case, fitted, decide, log_proba, groups, time)
    else:
        case.same(signals[100:140], decide(fitted, slice(100, 140)), "a row's signal depends on other rows")


def _check_series(
    case: Case,
    fitted: Any,  # noqa: ANN401
    decide: Callable[..., Any],
    log_proba: FloatArray,
    groups: IntArray,
    time: IntArray,
) -> None:
    """Earlier rows of the same symbol alone may matter, in whatever order the rows are given."""
    signals = decide(fitted)
    shuffled = stream(case.seed, "testing.series").permutation(len(signals))
    case.same(
        signals[shuffled], decide(fitted, shuffled), "the order in which rows are given changes their signals"
    )
    changed = log_proba[shuffled]
    for cut in np.quantile(time, (0.1, 0.5, 0.9)):
        known = time <= cut
        scores = np.where(known[:, None], log_proba, changed)
        message = "looks ahead: later rows change the signals before"
        case.same(signals[known], decide(fitted, slice(None), scores)[known], message)
        case.same(signals[known], decide(fitted, known), message)
    mine = groups == 1
    case.same(signals[mine], decide(fitted, mine), "rows of one symbol change the signals of another")
    try:
        fitted.decide(log_proba)
    except ConfigError:
        return
    case.expect(False, "decide() must refuse rows without time and symbol with a ConfigError")
