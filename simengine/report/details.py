"""The body of the report as plain data for the templates: charts, epochs, trades, manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.evaluate.scores import confusion
from simengine.report.files import CALIBRATED, RAW, RunFiles, dig
from simengine.report.format import DASH
from simengine.report.series import bucket_means, drawdown, extreme_rows, reliability_panels

if TYPE_CHECKING:
    import pandas as pd

BUCKETS = 400
"""Runs into which a long equity curve is cut for the page; see `extreme_rows`."""

SHOWN_TRADES = 200
DIGITS = 7
"""Significant digits of the values embedded in the page; the run's files keep all of them."""

CLASSES = ("SELL", "HOLD", "BUY")


def curves(run: RunFiles) -> dict[str, Any]:
    """Return the equity charts: times in epoch seconds, equity, drawdown and mean exposure.

    Equity and drawdown share the rows of `extreme_rows`; exposure flips too often to be drawn bar by bar,
    so it is the mean of each run of bars, at the run's last time.
    """
    lines = run.equity[["equity", "gross_equity", "buy_and_hold"]].to_numpy(dtype=np.float64)
    falls = np.column_stack([drawdown(column) for column in lines.T])
    rows = extreme_rows(np.column_stack([lines, falls]), BUCKETS)
    ends, exposure = bucket_means(run.equity["exposure"].to_numpy(dtype=np.float64), BUCKETS)
    times = run.equity["timestamp"].astype("datetime64[ns, UTC]").astype("int64").to_numpy() // 1_000_000_000
    return {
        "rows": len(lines),
        "points": len(rows),
        "time": times[rows].tolist(),
        "equity": [_rounded(column) for column in lines[rows].T],
        "drawdown": [_rounded(column) for column in falls[rows].T],
        "exposure_time": times[ends].tolist(),
        "exposure": _rounded(exposure),
    }


def _rounded(column: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in column]


def scored(run: RunFiles, segment: str = "test") -> pd.DataFrame:
    """Return the predictions of a segment whose label and signal are both known."""
    frame = run.predictions
    return frame[(frame["segment"] == segment) & (frame["label"] >= 0) & (frame["signal"] >= 0)]


def matrices(run: RunFiles) -> list[dict[str, Any]]:
    """Return the confusion matrices of the test segment: calibrated argmax, then decided signals."""
    frame = scored(run)
    labels = frame["label"].to_numpy(dtype=np.int8)
    argmax = frame[CALIBRATED].to_numpy(dtype=np.float64).argmax(axis=1).astype(np.int8)
    tables = []
    for title, predicted in (("Argmax", argmax), ("Decided", frame["signal"].to_numpy(dtype=np.int8))):
        counts = confusion(labels, predicted) if len(labels) else np.zeros((3, 3), dtype=np.int64)
        total = counts.sum(axis=1, keepdims=True)
        share = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
        cells = [list(zip(*pair, strict=True)) for pair in zip(counts.tolist(), share.tolist(), strict=True)]
        tables.append({"title": title, "rows": list(zip(CLASSES, cells, strict=True))})
    return tables


def calibration(run: RunFiles) -> list[dict[str, Any]]:
    """Return the panels of the reliability diagram of the test segment."""
    frame = scored(run)
    raw, calibrated = (frame[names].to_numpy(dtype=np.float64) for names in (RAW, CALIBRATED))
    panels = reliability_panels(raw, calibrated, frame["label"].to_numpy(dtype=np.int8))
    return [{"title": title, "raw": before, "calibrated": after} for title, before, after in panels]


def trades(run: RunFiles) -> dict[str, Any]:
    """Return the first trades by entry time, how many more there are, and statistics by exit reason."""
    frame = run.trades.sort_values(["entry_time", "symbol"], kind="stable")
    groups = [
        {
            "reason": str(reason),
            "trades": len(group),
            "share": len(group) / len(frame),
            "win_rate": float((group["pnl"] > 0).mean()),
            "pnl": float(group["pnl"].sum()),
            "mean_return": float(group["return"].mean()),
            "bars_held": float(group["bars_held"].mean()),
            "costs": float((group["fees"] + group["slippage"] + group["financing"]).sum()),
        }
        for reason, group in frame.groupby("exit_reason", sort=True)
    ]
    shown = frame.head(SHOWN_TRADES).to_dict("records")
    return {
        "total": len(frame),
        "shown": [{str(key): value for key, value in row.items()} for row in shown],
        "left_out": max(0, len(frame) - SHOWN_TRADES),
        "by_reason": sorted(groups, key=lambda group: -int(str(group["trades"]))),
    }


def facts(run: RunFiles) -> list[tuple[str, str]]:
    """Return what the run was: data, model, span, seed."""
    times = run.equity["timestamp"]
    symbols = sorted(run.predictions["symbol"].astype(str).unique())
    named = ", ".join(symbols[:6]) + (f" and {len(symbols) - 6} more" if len(symbols) > 6 else "")
    pairs = [
        ("Source", _type(run.setting("data", "source"))),
        ("Symbols", named),
        ("Tested", f"{times.iloc[0]:%Y-%m-%d %H:%M} to {times.iloc[-1]:%Y-%m-%d %H:%M} UTC"),
        ("Model", _type(run.setting("model"))),
        ("Labels", _type(run.setting("labels", "labeler"))),
        ("Horizon", _bars(dig(run.manifest, "horizon_bars"))),
        ("Calibrator", _type(run.setting("inference", "calibrator"))),
        ("Decision", _type(run.setting("inference", "decision"))),
        ("Strategy", _type(run.setting("strategy"))),
        ("Seed", str(run.setting("seed"))),
    ]
    return [(key, value) for key, value in pairs if value]


def _type(component: Any) -> str:  # noqa: ANN401 - a name, a mapping with a type, or nothing
    if isinstance(component, dict):
        return str(component.get("type", ""))
    return "off" if component is None else str(component)


def _bars(value: object) -> str:
    return f"{value} bars" if value is not None else ""


def provenance(run: RunFiles) -> list[tuple[str, str]]:
    """Return the entries of the manifest that are single values, in its order."""
    return [
        (str(key), DASH if value is None else str(value))
        for key, value in run.manifest.items()
        if not isinstance(value, dict | list)
    ]
