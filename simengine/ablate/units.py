"""One training of an ablation, and every cell that shares its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine import pipeline
from simengine.ablate.plan import Cell, changed, training_of
from simengine.ablate.sums import Outcome
from simengine.config.load import config_hash
from simengine.errors import RunError
from simengine.log import Progress
from simengine.plugin.check import check_config
from simengine.rundir import RunDir, write_json, write_npz
from simengine.steps import infer, judge, learn, thresholds, trade
from simengine.steps.parts import Parts, build_parts
from simengine.steps.prepare import Prepared, prepare

if TYPE_CHECKING:
    from simengine.backtest.result import BacktestResult
    from simengine.config.schema import Config
    from simengine.plugin.registry import Registry
    from simengine.types import FloatArray

OUTCOME = "outcome.npz"
FIGURES = "figures.json"
DUST = 1e-6
"""Share of its cash that an account counts as having left once it is bankrupt: sums of logs stay finite."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Cells that need the same training, with one seed on one fold.

    Parameters
    ----------
    key : str
        Name of its folder.
    config : Config
        Of the run that trains: that of the first cell.
    cells : tuple of Cell
        Whose configs differ after the training only.
    seed, fold : int
        Fold 0 ends earliest.
    """

    key: str
    config: Config
    cells: tuple[Cell, ...]
    seed: int
    fold: int

    @property
    def stratum(self) -> tuple[int, int]:
        """What pairs a cell with its base: seed and fold."""
        return self.seed, self.fold


def units_of(base: Config, cells: Sequence[Cell], seeds: Sequence[int], ends: Sequence[float]) -> list[Unit]:
    """Return every training that the cells need, those of one seed and fold side by side.

    Parameters
    ----------
    base : Config
        Checked.
    cells : sequence of Cell
        From `simengine.ablate.plan.plan`.
    seeds : sequence of int
        Root seeds.
    ends : sequence of float
        Where each fold ends, as a share of the span.
    """
    units = []
    for seed in seeds:
        for fold, end in enumerate(ends):
            here = changed(base, {"seed": seed, "split": _split(base, end)})
            groups: list[tuple[Config, Config, list[Cell]]] = []
            for cell in cells:
                config = cell.config(here)
                needed = training_of(config)
                for training, _, sharing in groups:
                    if training == needed:
                        sharing.append(cell)
                        break
                else:
                    groups.append((needed, config, [cell]))
            for training, config, sharing in groups:
                key = f"seed{seed}-fold{fold}-{config_hash(training)[:12]}"
                units.append(Unit(key, config, tuple(sharing), seed, fold))
    return units


def _split(base: Config, end: float) -> dict[str, Any]:
    """Return the split of a fold: val and test as long as in the base, train what is left before them."""
    whole = base.split
    val, test = whole.val / end, whole.test / end
    return {**whole.model_dump(), "train": 1 - val - test, "val": val, "test": test, "until": end}


def run_unit(unit: Unit, registry: Registry, folder: Path, progress: Progress) -> None:
    """Train, then infer, trade and keep every cell; what is there already is not done again.

    Parameters
    ----------
    unit : Unit
        What to do.
    registry : Registry
        With the plugins of the config.
    folder : Path
        Of the ablation; the run goes to ``runs/<key>/``, cells to ``cells/<key>/<n>/``.
    progress : Progress
        Told about training steps.
    """
    if all(is_done(folder, unit, cell) for cell in unit.cells):
        return
    run = _trained(unit, registry, folder, progress)
    prepared: Prepared | None = None
    for cell in unit.cells:
        if is_done(folder, unit, cell):
            continue
        config = check_config(cell.config(unit.config), registry)
        parts, prepared = _restored(config, registry, run, prepared)
        _keep(cell_folder(folder, unit, cell), config, registry, parts, prepared, run)


def cell_folder(folder: Path, unit: Unit, cell: Cell) -> Path:
    """Return where the results of a cell lie."""
    return folder / "cells" / unit.key / f"{unit.cells.index(cell):02d}"


def is_done(folder: Path, unit: Unit, cell: Cell) -> bool:
    """Return whether a cell is complete; its figures are written last."""
    return (cell_folder(folder, unit, cell) / FIGURES).is_file()


def _trained(unit: Unit, registry: Registry, folder: Path, progress: Progress) -> RunDir:
    """Return the finished run of a unit: one that is there, one that was interrupted, or a new one."""
    root = folder / "runs" / unit.key
    found = [RunDir(path) for path in sorted(root.iterdir())] if root.is_dir() else []
    for run in found:
        if run.has("DONE"):
            return run
    resume = found[-1] if found and found[-1].has("config.resolved.yaml") else None
    result = pipeline.run(unit.config, registry, out=root, resume=resume, progress=progress)
    return RunDir(result.run_dir)


def _restored(
    config: Config, registry: Registry, run: RunDir, prepared: Prepared | None
) -> tuple[Parts, Prepared]:
    """Return the components of a cell with the run's weights and labels, and its data."""
    parts = thresholds.with_kept_labels(config, build_parts(config, registry), registry, run)
    learn.restore_model(parts.model, run)
    if prepared is None:
        return parts, prepare(config, parts)
    # The labeler was fitted when the data was prepared; equal options on equal bars fit it equally.
    parts.labeler.fit(prepared.bars, prepared.times.train_end)
    return parts, prepared


def _keep(
    folder: Path, config: Config, registry: Registry, parts: Parts, prepared: Prepared, run: RunDir
) -> None:
    """Infer, trade and write the results of one cell."""
    folder.mkdir(parents=True, exist_ok=True)
    val, test = infer.infer(parts, prepared, RunDir(folder), config.backtest)
    traded = trade.trade_test(config.backtest, parts, prepared, test, registry)
    known = test.take(test.labels >= 0)
    outcome = outcome_of(known, traded.net, traded.gross, prepared.train_share)
    write_npz(folder / OUTCOME, outcome.to_arrays())
    metrics = {
        **judge.judge_model(parts, prepared, val, test),
        **judge.judge_trading(traded, prepared.horizon_bars, config.seed),
    }
    manifest = run.read_json("manifest.json")
    write_json(
        folder / FIGURES,
        {
            "run": str(run.path.name),
            "horizon_bars": prepared.horizon_bars,
            "train_seconds": manifest["seconds"]["train"],
            "metrics": metrics,
        },
    )


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
        with np.load(path, allow_pickle=False) as stored:
            return Outcome(**{name: stored[name] for name in Outcome.__slots__})
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise RunError(f"{path}: cannot be read ({error}); delete its folder to compute it again") from error
