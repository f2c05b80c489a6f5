"""From windows to scored, calibrated and decided rows, and the predictions table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.errors import RunError
from simengine.evaluate.logproba import as_log_proba
from simengine.plugin.state import get_state, read_state, set_state, write_state
from simengine.predict import apply_inference, fit_inference, pool, score_views
from simengine.report.files import CALIBRATED, RAW
from simengine.report.files import read_predictions as predictions_of
from simengine.steps import trade
from simengine.types import N_CLASSES, DecisionContext, DecisionMarket, FloatArray, IntArray, LabelArray

if TYPE_CHECKING:
    import pandas as pd

    from simengine.config.schema import Backtest
    from simengine.data.dataset import Dataset
    from simengine.data.windows import WindowSet
    from simengine.rundir import RunDir
    from simengine.steps.parts import Parts
    from simengine.steps.prepare import Prepared

PREDICTIONS = "predictions.parquet"
CALIBRATION = "calibration.json"
DECISION = "decision.json"
_CLASS_COLUMNS = ("sell", "hold", "buy")
_STOPS = ("stop_loss", "take_profit", "trailing_stop", "max_bars")


@dataclass(frozen=True, slots=True)
class Scored:
    """The model's output on a set of windows, one row each.

    Parameters
    ----------
    groups : int16 array, shape (n,)
        Symbol index.
    bar_rows : int64 array, shape (n,)
        Row of the window's last bar in its symbol's bars.
    timestamp : int64 array, shape (n,)
        Open time of that bar, ns UTC.
    labels : int8 array, shape (n,)
        -1 where there is none yet.
    forward_return : float64 array, shape (n,)
        NaN where it is not known yet.
    raw_log_proba, log_proba : float64 arrays, shape (n, 3)
        Of the plain model; after test-time views and calibration.
    signals : int8 array, shape (n,)
        Decided.
    view_log_proba : float64 array, shape (n, V, 3)
        Of each test-time view, not calibrated; V is 0 for rows read from the predictions of a run.
    """

    groups: np.ndarray[Any, np.dtype[np.int16]]
    bar_rows: IntArray
    timestamp: IntArray
    labels: LabelArray
    forward_return: FloatArray
    raw_log_proba: FloatArray
    log_proba: FloatArray
    signals: LabelArray
    view_log_proba: FloatArray

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def proba(self) -> FloatArray:
        """Calibrated probabilities (n, 3)."""
        return np.exp(self.log_proba)

    def take(self, rows: np.ndarray[Any, Any]) -> Scored:
        """Return the rows of a mask or of row ids."""
        return Scored(**{name: getattr(self, name)[rows] for name in self.__slots__})


def infer(
    parts: Parts, prepared: Prepared, run_dir: RunDir, backtest: Backtest | None = None
) -> tuple[Scored, Scored]:
    """Score val and test, fit calibrator and decision on val, apply both, and keep their state.

    ``backtest`` are the costs and conventions that a decision may look at while it is fitted; None gives it
    no market.
    """
    val = score_windows(parts, prepared.dataset, prepared.val, prepared.forward_return)
    test = score_windows(parts, prepared.dataset, prepared.test, prepared.forward_return)
    context = decision_context(parts, prepared, val, backtest)
    calibrator, decision = fit_inference(val.log_proba, val.labels, parts.calibrator, parts.decision, context)
    parts = replace(parts, calibrator=calibrator, decision=decision)
    if parts.calibrator is not None:
        write_state(run_dir / CALIBRATION, get_state(parts.calibrator))
    write_state(run_dir / DECISION, get_state(parts.decision))
    return decide(parts, val), decide(parts, test)


def decision_context(
    parts: Parts, prepared: Prepared, val: Scored, backtest: Backtest | None
) -> DecisionContext:
    """Return what a decision may know of the validation rows ``val`` while it is fitted on them.

    The market ends with the validation span: no bar of test is in it.
    """
    market = None if backtest is None else decision_market(parts, prepared, val, backtest)
    groups = val.groups.astype(np.int64)
    return DecisionContext(
        prepared.train_share, prepared.horizon_bars, groups=groups, timestamp=val.timestamp, market=market
    )


def decision_market(parts: Parts, prepared: Prepared, val: Scored, backtest: Backtest) -> DecisionMarket:
    """Return bars of the validation span, where its rows lie, and the account that trades on them.

    A symbol with fewer than two bars in the span is left out, as it is from a backtest. A strategy's own
    stops replace the configured ones, as they do there.
    """
    spans = [segment.val for segment in prepared.dataset.segments]
    bars = {
        symbol: whole.slice(*span)
        for (symbol, whole), span in zip(prepared.bars.items(), spans, strict=True)
        if span[1] - span[0] >= 2
    }
    groups = val.groups.astype(np.int64)
    account = trade.Account.build(backtest, parts.fees, parts.slippage)
    own = getattr(parts.strategy, "stops", None)
    stops = own() if own is not None else backtest
    return DecisionMarket(
        bars=bars,
        symbols=tuple(prepared.bars),
        groups=groups,
        rows=val.bar_rows - np.array([start for start, _ in spans], np.int64)[groups],
        options=account.options(bars),
        stops={name: getattr(stops, name) for name in _STOPS},
        on_hold=getattr(parts.strategy, "on_hold", None),
    )


def restore_inference(parts: Parts, run_dir: RunDir) -> None:
    """Load the fitted calibrator and decision of a run."""
    if parts.calibrator is not None:
        set_state(parts.calibrator, read_state(run_dir / CALIBRATION))
    set_state(parts.decision, read_state(run_dir / DECISION))


def score_windows(
    parts: Parts, dataset: Dataset, windows: WindowSet, forward_return: dict[str, FloatArray]
) -> Scored:
    """Run the model and the test-time views; nothing is calibrated or decided yet."""
    raw_log_proba, seen = score_views(parts.model, windows, parts.tta)
    rows = dataset.rows(windows)
    forward = np.concatenate([forward_return[symbol] for symbol in dataset.symbols])
    return Scored(
        groups=windows.groups,
        bar_rows=rows,
        timestamp=dataset.times(windows),
        labels=windows.labels,
        forward_return=forward[windows.ends],
        raw_log_proba=raw_log_proba,
        log_proba=pool(seen, parts.tta),
        signals=np.full(len(windows), -1, np.int8),
        view_log_proba=seen,
    )


def decide(parts: Parts, scored: Scored) -> Scored:
    """Calibrate and decide with fitted components."""
    log_proba, signals = apply_inference(
        scored.log_proba,
        parts.calibrator,
        parts.decision,
        groups=scored.groups.astype(np.int64),
        timestamp=scored.timestamp,
    )
    return replace(scored, log_proba=log_proba, signals=signals)


def read_predictions(run_dir: RunDir, prepared: Prepared, segment: str) -> Scored:
    """Return the predictions that a run has kept for a segment, on the windows of ``prepared``.

    Raises
    ------
    RunError
        When the table is missing or damaged, or does not fit the windows.
    """
    windows = {"val": prepared.val, "test": prepared.test}[segment]
    table = predictions_of(run_dir.path)
    table = table[table["segment"] == segment]
    times = prepared.dataset.times(windows)
    if len(table) != len(windows) or not np.array_equal(table["timestamp"].astype("int64").to_numpy(), times):
        raise RunError(f"{run_dir / PREDICTIONS}: its {segment} rows do not match the bars; run it again")
    return Scored(
        groups=windows.groups,
        bar_rows=prepared.dataset.rows(windows),
        timestamp=times,
        labels=windows.labels,
        forward_return=table["forward_return"].to_numpy(np.float64),
        raw_log_proba=as_log_proba(table[RAW]),
        log_proba=as_log_proba(table[CALIBRATED]),
        signals=table["signal"].to_numpy(np.int8),
        view_log_proba=np.zeros((len(windows), 0, N_CLASSES)),
    )


def predictions_table(symbols: tuple[str, ...], **segments: Scored) -> pd.DataFrame:
    """Return the predictions of the named segments as one table, a row per window."""
    import pandas as pd

    return pd.concat(
        [_segment_table(symbols, name, scored) for name, scored in segments.items()], ignore_index=True
    )


def _segment_table(symbols: tuple[str, ...], name: str, scored: Scored) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {
        "symbol": np.asarray(symbols, dtype=object)[scored.groups],
        "timestamp": pd.DatetimeIndex(scored.timestamp.view("M8[ns]"), tz="UTC"),
        "segment": name,
        "label": scored.labels,
        "signal": scored.signals,
    }
    for prefix, log_proba in (("raw", scored.raw_log_proba), ("p", scored.log_proba)):
        for index, label in enumerate(_CLASS_COLUMNS):
            columns[f"{prefix}_{label}"] = np.exp(log_proba[:, index])
    columns["forward_return"] = scored.forward_return
    return pd.DataFrame(columns)
