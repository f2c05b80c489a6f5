"""The figures of a run: classification, the exact classifier beside it, and money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.evaluate.baselines import backtest_metrics, baseline_metrics, random_shift_percentile
from simengine.evaluate.classification import class_prior_metrics, classification_metrics, oracle_metrics
from simengine.evaluate.inference_stages import inference_stages
from simengine.log import event, get_logger
from simengine.predict import pool

if TYPE_CHECKING:
    from simengine.config.schema import Inference
    from simengine.plugin.kinds import Labeler, Source
    from simengine.steps.infer import Scored
    from simengine.steps.parts import Parts
    from simengine.steps.prepare import Prepared
    from simengine.steps.trade import Trading
    from simengine.types import Bars, FloatArray

RANDOM_SHIFTS = 200

logger = get_logger(__name__)


def judge_model(parts: Parts, prepared: Prepared, val: Scored, test: Scored) -> dict[str, Any]:
    """Return the sections of ``metrics.json`` that need no backtest."""
    metrics = judge_classification(prepared, val, test)
    oracle = judge_oracle(parts.source, parts.labeler, prepared, test)
    return metrics if oracle is None else {**metrics, "oracle": {"test": oracle}}


def judge_classification(prepared: Prepared, val: Scored, test: Scored) -> dict[str, Any]:
    """Return ``classification`` of val and test, and ``class_prior`` on test.

    Val is in-sample for calibrator and decision.
    """
    rows = {"val": _labelled(val), "test": _labelled(test)}
    common: dict[str, Any] = {"train_share": prepared.train_share, "horizon_bars": prepared.horizon_bars}
    classification = {
        name: classification_metrics(
            labels=scored.labels,
            raw_log_proba=scored.raw_log_proba,
            log_proba=scored.log_proba,
            signals=scored.signals,
            forward_return=scored.forward_return,
            **common,
        )
        for name, scored in rows.items()
    }
    prior = class_prior_metrics(
        labels=rows["test"].labels, forward_return=rows["test"].forward_return, **common
    )
    return {"classification": classification, "class_prior": {"test": prior}}


def judge_stages(inference: Inference, parts: Parts, val: Scored, test: Scored) -> dict[str, Any]:
    """Return ``inference`` of val and test: the figures of each step from the plain model to the decision."""
    views = [(ref.type, float(view.weight)) for ref, view in zip(inference.tta, parts.tta, strict=True)]
    calibrator = inference.calibrator
    found = {}
    for name, scored in (("val", _labelled(val)), ("test", _labelled(test))):
        found[name] = inference_stages(
            scored.labels,
            scored.raw_log_proba,
            scored.view_log_proba,
            views,
            pooled=pool(scored.view_log_proba, parts.tta),
            calibrated=None if calibrator is None else scored.log_proba,
            calibrator=None if calibrator is None else calibrator.type,
        )
    return {"inference": found}


def judge_oracle(source: Source, labeler: Labeler, prepared: Prepared, test: Scored) -> dict[str, Any] | None:
    """Return the ``oracle.test`` section, or None when the source knows no exact probabilities.

    The exact classifier sees the same bars as the model's window (and, under ``full``, all history).
    It needs a labeler whose labels are two thresholds on the forward return.
    """
    exact = getattr(source, "class_probabilities", None)
    scored = _labelled(test)
    if exact is None or any(labeler.thresholds(bars) is None for bars in prepared.bars.values()):
        return None
    window = np.empty((len(scored), 3))
    full = np.empty((len(scored), 3))
    for index, symbol in enumerate(prepared.bars):
        mine = scored.groups == index
        ends = scored.bar_rows[mine]
        lower, upper = _thresholds_at(labeler, prepared.bars[symbol], ends)
        for target, history in ((window, prepared.dataset.length), (full, None)):
            target[mine] = exact(symbol, ends, lower, upper, labeler.horizon_bars, history)
    event(logger, "oracle", f"exact classifier scored {len(scored)} test windows")
    return oracle_metrics(
        labels=scored.labels,
        window_proba=window,
        full_proba=full,
        model_log_proba=scored.log_proba,
        forward_return=scored.forward_return,
        train_share=prepared.train_share,
        horizon_bars=prepared.horizon_bars,
    )


def judge_trading(trading: Trading, horizon_bars: int, seed: int) -> dict[str, Any]:
    """Return the ``backtest`` and ``baselines`` sections of ``metrics.json``."""

    def net_return(targets: Mapping[str, FloatArray]) -> float:
        equity = trading.account.simulate(trading.bars, targets, trading.strategy).equity
        return float(equity[-1] / equity[0] - 1.0)

    shifts = random_shift_percentile(net_return, trading.targets, RANDOM_SHIFTS, seed)
    metrics = backtest_metrics(
        trading.net,
        trading.gross,
        trading.baselines["buy_and_hold"],
        shifts=shifts,
        horizon_bars=horizon_bars,
        seed=seed,
    )
    metrics["random_shifts"] = shifts.to_dict()
    baselines = {name: baseline_metrics(result) for name, result in trading.baselines.items()}
    return {"backtest": metrics, "baselines": baselines}


def _labelled(scored: Scored) -> Scored:
    """Keep the rows that have a label; the last H bars have none yet."""
    return scored.take(scored.labels >= 0)


def _thresholds_at(labeler: Labeler, bars: Bars, ends: np.ndarray[Any, Any]) -> tuple[FloatArray, FloatArray]:
    thresholds = labeler.thresholds(bars)
    if thresholds is None:
        raise AssertionError("checked by the caller")
    lower, upper = thresholds
    return lower[ends], upper[ends]
