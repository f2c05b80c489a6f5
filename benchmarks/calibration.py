"""What calibrators cost and repair: python benchmarks/calibration.py [--rows N] [--time-rows N] [--json].

Labels are drawn from known probabilities; the scores that calibrators are given are these made wrong:

  sharp    log-probabilities times 2.7: over-confident, as a network trained too long
  tilted   times 2, then BUY raised and HOLD lowered: as class weights and focal losses leave them

Each calibrator is fitted on rows of one draw and judged on those of another, beside the exact probabilities
and, where there is one, scikit-learn's map of the same kind. Seconds are CPU time, the least of three calls.

  temperature   CalibratedClassifierCV(method="temperature")
  vector        CalibratedClassifierCV(method="sigmoid"): a scale and a bias, but one class against the rest
  isotonic      CalibratedClassifierCV(method="isotonic")
  dirichlet     LogisticRegression on the log-probabilities: the same map under another penalty
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from simengine.evaluate.classification import argmax_signals, class_shares
from simengine.evaluate.logproba import floor_log_proba, log_softmax
from simengine.evaluate.scores import brier, classwise_ace, nll, top_label_ece
from simengine.plugin.manager import build_registry

ROWS, TIME_ROWS = 50_000, 100_000
WORLDS: dict[str, tuple[float, tuple[float, float, float]]] = {
    "sharp": (2.7, (0.0, 0.0, 0.0)),
    "tilted": (2.0, (0.0, -0.5, 1.5)),
}
CALIBRATORS = ("temperature", "vector", "bias_corrected_temperature", "isotonic", "dirichlet")
FIGURES: dict[str, Callable[[Any, Any], float]] = {
    "nll": nll,
    "ece": top_label_ece,
    "ace": classwise_ace,
    "brier": brier,
}
TITLES = {"nll": "NLL", "ece": "ECE", "ace": "ACE", "brier": "Brier"}
OURS, PEER = "simengine", "scikit-learn"
EXACT, BEFORE = "exact probabilities", "before"
ROUNDS = 3

Row = dict[str, Any]


class Scores(ClassifierMixin, BaseEstimator):
    """A classifier whose scores are its input, for scikit-learn to calibrate."""

    def fit(self, rows: Any, labels: Any) -> Scores:
        """Learn which classes there are."""
        self.classes_ = np.unique(labels)
        return self

    def decision_function(self, rows: Any) -> Any:
        """Return the scores."""
        return rows

    def predict(self, rows: Any) -> Any:
        """Return the class with the highest score."""
        return self.classes_[rows.argmax(axis=1)]


def draw(world: str, rows: int, seed: int) -> tuple[Any, Any, Any]:
    """Return wrong scores (n, 3), labels (n,) and the exact log-probabilities (n, 3)."""
    steepness, tilt = WORLDS[world]
    rng = np.random.default_rng(seed)
    exact = log_softmax(rng.normal(size=(rows, 3)))
    labels = (exact + rng.gumbel(size=exact.shape)).argmax(axis=1).astype(np.int8)
    return floor_log_proba(log_softmax(steepness * exact + np.array(tilt))), labels, exact


def ours(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return functions (scores, labels) -> fitted and (fitted, scores) -> log-probabilities."""
    registry = build_registry(discover=False)
    return (
        lambda scores, labels: registry.create("calibrator", name).fit(scores, labels),
        lambda fitted, scores: fitted.transform(scores),
    )


def peer(name: str) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """Return the same of scikit-learn, or None where it has no map of the kind."""
    if name == "dirichlet":
        return (
            lambda scores, labels: LogisticRegression(C=1e6).fit(scores, labels),
            lambda fitted, scores: fitted.predict_log_proba(scores),
        )
    methods = {"temperature": "temperature", "vector": "sigmoid", "isotonic": "isotonic"}
    if name not in methods:
        return None

    def fit(scores: Any, labels: Any) -> Any:
        frozen = FrozenEstimator(Scores().fit(scores, labels))
        return CalibratedClassifierCV(frozen, method=methods[name], ensemble=False).fit(scores, labels)

    return fit, lambda fitted, scores: np.log(np.maximum(fitted.predict_proba(scores), 1e-7))


def judged(log_proba: Any, labels: Any) -> Row:
    """Return the figures of log-probabilities, and the shares of their argmax."""
    shares = class_shares(argmax_signals(log_proba)).tolist()
    return {**{name: score(log_proba, labels) for name, score in FIGURES.items()}, "argmax_share": shares}


def repaired(world: str, rows: int) -> list[Row]:
    """Return figures on fresh rows: exact, before, and after each calibrator."""
    scores, labels, _ = draw(world, rows, 1)
    fresh, truth, exact = draw(world, rows, 2)
    found = [
        {"world": world, "rows": rows, "by": by, "calibrator": None, **judged(values, truth)}
        for by, values in ((EXACT, exact), (BEFORE, fresh))
    ]
    for name in CALIBRATORS:
        for by, made in ((OURS, ours(name)), (PEER, peer(name))):
            if made is not None:
                fit, transform = made
                after = floor_log_proba(log_softmax(transform(fit(scores, labels), fresh)))
                kept = bool((after.argmax(axis=1) == fresh.argmax(axis=1)).all())
                row = {"world": world, "rows": rows, "by": by, "calibrator": name}
                found.append({**row, **judged(after, truth), "argmax_kept": kept})
    return found


def timed(rows: int, world: str = "tilted") -> list[Row]:
    """Return the CPU seconds of fitting and of transforming."""
    scores, labels, _ = draw(world, rows, 1)
    found = []
    for name in CALIBRATORS:
        for by, made in ((OURS, ours(name)), (PEER, peer(name))):
            if made is None:
                continue
            fit, transform = made
            fitted = fit(scores, labels)
            transform(fitted, scores)
            seconds = {
                "fit_seconds": least(lambda fit=fit: fit(scores, labels)),
                "transform_seconds": least(lambda f=transform, fitted=fitted: f(fitted, scores)),
            }
            found.append({"world": world, "rows": rows, "by": by, "calibrator": name, **seconds})
    return found


def least(call: Callable[[], object]) -> float:
    """Return the least CPU seconds of some calls."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def figures(rows: int = ROWS, time_rows: int = TIME_ROWS) -> dict[str, list[Row]]:
    """Return both tables."""
    return {"repaired": [row for world in WORLDS for row in repaired(world, rows)], "timed": timed(time_rows)}


def text(found: dict[str, list[Row]]) -> str:
    """Return the tables for people."""
    lines = []
    for world in WORLDS:
        rows = [row for row in found["repaired"] if row["world"] == world]
        lines += [
            f"{world}, {rows[0]['rows']:,} fresh rows",
            f"{'':<44}{''.join(f'{TITLES[key]:>9}' for key in FIGURES)}   argmax SELL / HOLD / BUY",
        ]
        for row in rows:
            name = row["by"] if row["calibrator"] is None else f"{row['calibrator']}, {row['by']}"
            numbers = "".join(f"{row[key]:9.4f}" for key in FIGURES)
            shares = " / ".join(f"{100 * share:.1f}" for share in row["argmax_share"])
            lines.append(f"  {name:<42}{numbers}   {shares} %")
    lines.append(f"CPU time at {found['timed'][0]['rows']:,} rows {'fit':>32}{'transform':>12}")
    for row in found["timed"]:
        name = f"{row['calibrator']}, {row['by']}"
        lines.append(
            f"  {name:<42}{1e3 * row['fit_seconds']:13.1f} ms{1e3 * row['transform_seconds']:9.1f} ms"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--time-rows", type=int, default=TIME_ROWS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = figures(options.rows, options.time_rows)
    print(json.dumps(found, indent=2) if options.json else text(found))


if __name__ == "__main__":
    main()
