"""What training and inference did to the probabilities: steps of inference, prior tilt, collapse."""

from __future__ import annotations

import math
from typing import Any

from simengine.report.files import RunFiles
from simengine.report.format import DASH, number, percent, signed
from simengine.report.summary import Row, Statement

STAGE_COLUMNS = ("NLL", "ECE", "ACE", "Brier", "Argmax SELL", "HOLD", "BUY")
TILT_COLUMNS = ("SELL", "HOLD", "BUY")


def stages_table(run: RunFiles) -> tuple[list[str], list[Row]]:
    """Return the headings and rows of the steps of inference on test; no rows in a run without them."""
    rows = []
    for record in filter(None, run.metric("inference", "test") or []):
        figures = [number(record[key], 4) for key in ("nll", "ece", "ace", "brier")]
        shares = [percent(share) for share in record["argmax_share"]]
        rows.append(Row(_stage(record), [*figures, *shares], _note(record)))
    return list(STAGE_COLUMNS), rows


def tilt_table(run: RunFiles) -> tuple[list[str], list[Row]]:
    """Return the headings and rows of the prior tilt by part, its sum last; no rows where nothing leans."""
    tilt = run.metric("prior_tilt") or {}
    parts = tilt.get("by_part") or {}
    rows = [Row(name, _odds(values)) for name, values in parts.items()]
    if rows:
        rows.append(Row("all together", _odds(tilt["total"]), "as odds against the label prior"))
        shares = [percent(share) for share in tilt["implied_share"]]
        rows.append(Row("shares taught", shares, "what the label prior becomes under all of them"))
    return list(TILT_COLUMNS), rows


def epoch_columns(run: RunFiles) -> tuple[list[str], list[list[str]]]:
    """Return the columns of the epochs that only some trainings need: class weights, and collapses seen."""
    history = run.history or []
    headings: list[str] = []
    columns: list[list[str]] = []
    if any(weight != 1 for record in history for weight in record.get("class_weights") or ()):
        headings.append("Class weights")
        columns.append([" / ".join(number(w, 2) for w in record["class_weights"]) for record in history])
    if any(record.get("collapse") for record in history):
        headings.append("Collapse")
        columns.append([record.get("collapse") or DASH for record in history])
    return headings, [list(cells) for cells in zip(*columns, strict=True)] or [[] for _ in history]


def collapse(run: RunFiles) -> list[Statement]:
    """Return what the collapse watch saw in the epoch whose weights were kept; nothing without a collapse."""
    kept = [record for record in run.history or [] if record.get("best")]
    kind = kept[-1].get("collapse") if kept else None
    if kind is None:
        return []
    sell, hold, buy = (percent(share, 0) for share in kept[-1]["val_argmax_share"])
    said = f"On validation the network says SELL {sell}, HOLD {hold}, BUY {buy} by its largest probability"
    if kind == "decision":
        return [
            Statement(
                "Decision collapse",
                f"{said}. Its scores tell the classes apart once shares are matched, so that a decision "
                "fitted on validation (prior_matched) cures it; nothing has to be trained again.",
            )
        ]
    return [
        Statement(
            "Model collapse",
            f"{said}, and its scores do not tell the classes apart either: no decision rule cures that. "
            "Train longer, or change the learning rate or the loss.",
        )
    ]


def _stage(record: dict[str, Any]) -> str:
    if record["stage"] == "view":
        return f"view {record['name']}"
    if record["stage"] == "calibrated":
        return f"calibrated by {record['name']}"
    return "plain model" if record["stage"] == "plain" else str(record["stage"])


def _note(record: dict[str, Any]) -> str:
    if record["stage"] == "view":
        return f"alone; weight {record['weight']:g} in the mean"
    return "what the decision is given" if record["stage"] == "calibrated" else ""


def _odds(values: list[float | None]) -> list[str]:
    """Write log-odds (3,) around their mean as factors; a class that is shut out is a dash."""
    known = [value for value in values if value is not None]
    if not known:
        return [DASH] * 3
    centre = sum(known) / len(known)
    return [DASH if v is None else f"× {math.exp(v - centre):.2f} ({signed(v - centre)})" for v in values]
