"""One training and every cell that shares its weights: what is done, and what is kept of it."""

from __future__ import annotations

import json
import logging
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine import pipeline
from simengine.ablate.plan import Cell
from simengine.ablate.sums import Outcome
from simengine.ablate.units import FIGURES, Unit, cell_folder, is_done, run_folder
from simengine.config.load import to_tree
from simengine.errors import RunError
from simengine.evaluate.baselines import baseline_metrics
from simengine.log import Progress, get_logger
from simengine.plugin.state import get_state, write_state
from simengine.predict import fit_inference
from simengine.rundir import CONFIG, DONE, RunDir, write_json, write_npz
from simengine.steps import infer, judge, learn, thresholds, trade
from simengine.steps.manifest import check_artefacts
from simengine.steps.parts import Parts, build_parts
from simengine.steps.prepare import Prepared, data_sha256, prepare
from simengine.steps.session import DATA, LOG

if TYPE_CHECKING:
    from simengine.backtest.result import BacktestResult
    from simengine.config.schema import Config
    from simengine.plugin.registry import Registry
    from simengine.types import FloatArray

OUTCOME = "outcome.npz"
DUST = 1e-6
"""Share of its cash that an account counts as having left once it is bankrupt: sums of logs stay finite."""
AGAIN = "delete its folder to compute it again"

Scores = tuple[infer.Scored, infer.Scored]
"""Of val and test; neither calibrated nor decided."""


@dataclass(frozen=True, slots=True)
class _Trained:
    """The finished run of a unit: its model, its data, and what the model says by test-time views."""

    run: RunDir
    registry: Registry
    learnt: Parts
    prepared: Prepared
    _scores: dict[str, Scores] = field(default_factory=dict)

    def parts(self, config: Config) -> Parts:
        """Return the components of a cell, with the run's model and labels."""
        own = parts_of(config, self.registry)
        return replace(own, model=self.learnt.model, labeler=self.learnt.labeler)

    def scores(self, config: Config, parts: Parts) -> Scores:
        """Return what the model says under the cell's views; cells with the same views share it."""
        key = json.dumps(to_tree(config)["inference"]["tta"])
        if key not in self._scores:
            data, forward = self.prepared.dataset, self.prepared.forward_return
            self._scores[key] = (
                infer.score_windows(parts, data, self.prepared.val, forward),
                infer.score_windows(parts, data, self.prepared.test, forward),
            )
        return self._scores[key]


def run_unit(unit: Unit, registry: Registry, folder: Path, progress: Progress) -> None:
    """Train, then infer, trade and keep every cell; what is there already is not done again.

    Parameters
    ----------
    unit : Unit
        What to do.
    registry : Registry
        With the plugins of the config.
    folder : Path
        Of the ablation; the run goes to ``runs/<key>/``, cells to ``cells/<key>/<hash of the config>/``.
    progress : Progress
        Told about training steps.

    Raises
    ------
    RunError
        When the bars or a file of the run changed since it was trained.
    """
    left = [cell for cell in unit.cells if not is_done(folder, unit, cell)]
    if not left:
        return
    trained = _opened(unit, registry, _train(unit, registry, folder, progress))
    for cell in left:
        _keep(trained, cell, unit.configs[cell.name], cell_folder(folder, unit, cell))


def parts_of(config: Config, registry: Registry) -> Parts:
    """Return the components of a config without the notes that the log has of the base already."""
    notes = get_logger(build_parts.__module__)
    level = notes.level
    notes.setLevel(logging.WARNING)
    try:
        return build_parts(config, registry)
    finally:
        notes.setLevel(level)


def _train(unit: Unit, registry: Registry, folder: Path, progress: Progress) -> RunDir:
    """Return the finished run of a unit: one that is there, one that was interrupted, or a new one."""
    root = run_folder(folder, unit)
    found = [RunDir(path) for path in sorted(root.iterdir())] if root.is_dir() else []
    for run in found:
        if run.has(DONE):
            try:
                check_artefacts(run)
            except RunError as error:
                raise RunError(f"{error}; delete {run.path} to train it again") from None
            return run
    resume = next((run for run in reversed(found) if run.has(CONFIG)), None)
    result = pipeline.run(unit.config, registry, out=root, resume=resume, progress=progress)
    return RunDir(result.run_dir)


def _opened(unit: Unit, registry: Registry, run: RunDir) -> _Trained:
    """Load a run; its labels are those that its search found, nothing is searched again."""
    config = unit.config
    parts = thresholds.with_kept_labels(config, parts_of(config, registry), registry, run)
    prepared = prepare(config, parts)
    if run.read_value(DATA, "sha256", str) != data_sha256(prepared.bars):
        raise RunError(f"{run.path}: the bars changed since it was trained; start a new ablation")
    learn.restore_model(parts.model, run)
    return _Trained(run, registry, parts, prepared)


def _keep(trained: _Trained, cell: Cell, config: Config, folder: Path) -> None:
    """Infer, trade and write the results of one cell."""
    prepared, parts = trained.prepared, trained.parts(config)
    val, test = _inferred(trained, config, parts, RunDir(folder))
    traded = trade.trade_test(config.backtest, parts, prepared, test, trained.registry)
    known = test.take(test.labels >= 0)
    outcome = outcome_of(known, traded.net, traded.gross, prepared.train_share)
    write_npz(folder / OUTCOME, outcome.to_arrays())
    write_json(
        folder / FIGURES,
        {
            "cell": cell.name,
            "run": trained.run.path.name,
            "data_sha256": trained.run.read_value(DATA, "sha256", str),
            "horizon_bars": prepared.horizon_bars,
            "train_seconds": train_seconds(trained.run),
            "metrics": {
                **judge.judge_classification(prepared, val, test),
                "backtest": baseline_metrics(traded.net),
            },
        },
    )


def _inferred(trained: _Trained, config: Config, parts: Parts, folder: RunDir) -> Scores:
    """Fit calibrator and decision on val, apply and keep both, as `simengine.steps.infer.infer` does."""
    val, test = trained.scores(config, parts)
    context = infer.decision_context(parts, trained.prepared, val, config.backtest)
    calibrator, decision = fit_inference(val.log_proba, val.labels, parts.calibrator, parts.decision, context)
    parts = replace(parts, calibrator=calibrator, decision=decision)
    if calibrator is not None:
        write_state(folder / infer.CALIBRATION, get_state(calibrator))
    write_state(folder / infer.DECISION, get_state(decision))
    return infer.decide(parts, val), infer.decide(parts, test)


def train_seconds(run: RunDir) -> float | None:
    """Return the wall time of a run's training, None when it was interrupted in the middle."""
    stages: list[tuple[str, float]] = []
    for text in (run / LOG).read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):  # a kill may have cut a line off
            row: dict[str, Any] = json.loads(text)
            if row.get("event") == "stage":
                stages.append((row["stage"], float(row["seconds"])))
    names = [name for name, _ in stages]
    # A second "prepare" before the end of the training is that of a run that was resumed in it.
    return stages[1][1] if names[:2] == ["prepare", "train"] else None


def outcome_of(
    test: infer.Scored, net: BacktestResult, gross: BacktestResult, train_share: FloatArray
) -> Outcome:
    """Return what the statistics need of labelled test rows and of what was traded on them.

    Raises
    ------
    RunError
        When a row lies outside the traded bars.
    """
    if not np.isin(test.timestamp, net.timestamp).all():
        raise RunError(
            "ablate: some test rows were not traded: a symbol has fewer than two bars in the test span"
        )
    orders = net.orders
    equity = np.maximum(net.equity, DUST * net.equity[0])
    place = np.searchsorted(net.timestamp, orders["time"])
    notional = np.abs(orders["units"] * orders["price"]) / equity[place]
    turnover: FloatArray = np.bincount(place, weights=notional, minlength=len(equity)).astype(np.float64)
    return Outcome(
        net.timestamp, test.timestamp, test.labels, test.signals, test.raw_log_proba, test.log_proba,
        test.forward_return, train_share, _log_returns(net), _log_returns(gross), turnover,
    )  # fmt: skip


def _log_returns(result: BacktestResult) -> FloatArray:
    equity = np.maximum(result.equity, DUST * result.equity[0])
    return np.diff(np.log(equity), prepend=np.log(equity[0]))


def read_outcome(folder: Path, unit: Unit, cell: Cell) -> Outcome:
    """Return the kept outcome of a cell.

    Raises
    ------
    RunError
        When it cannot be read.
    """
    path = cell_folder(folder, unit, cell) / OUTCOME
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return Outcome(**{name: stored[name] for name in Outcome.__slots__})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: cannot be read ({_line(error)}); {AGAIN}") from error


def read_figures(folder: Path, unit: Unit, cell: Cell) -> dict[str, Any]:
    """Return the kept figures of a cell.

    Raises
    ------
    RunError
        When they cannot be read.
    """
    where = cell_folder(folder, unit, cell)
    try:
        found: dict[str, Any] = RunDir(where).read_json(FIGURES)
    except RunError as error:
        raise RunError(f"{error}; {AGAIN}") from None
    missing = {"data_sha256", "horizon_bars", "train_seconds"} - set(found)
    if missing:
        raise RunError(f"{where / FIGURES}: {', '.join(sorted(missing))} missing; {AGAIN}")
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
