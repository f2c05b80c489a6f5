"""The whole of an ablation: what is to be done, doing it on several processes, and the table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.ablate.plan import Cell, plan
from simengine.ablate.table import REPLICATES, Row, table_of
from simengine.ablate.units import FIGURES, Unit, cell_folder, is_done, read_outcome, run_unit, units_of
from simengine.config.load import config_hash, dump_yaml, load_config
from simengine.errors import ConfigError, RunError
from simengine.log import NoProgress, Progress, event, get_logger
from simengine.plugin.check import check_config
from simengine.plugin.manager import build_registry
from simengine.rundir import CONFIG, RunDir, write_json, write_text_atomic

if TYPE_CHECKING:
    from simengine.config.schema import Config

PLAN = "plan.json"
RESULT = "ablation.json"

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an ablation does beside its config.

    Parameters
    ----------
    seeds : int
        Root seeds: that of the config and the ones after it.
    folds : int
        Walk-forward folds; 1 is the config's own split.
    improvements : tuple of int
        Which of the ten.
    decisions : tuple of str
        Rules that every cell is tried with, beside its own.
    """

    seeds: int
    folds: int
    improvements: tuple[int, ...]
    decisions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ablation:
    """A finished ablation.

    Parameters
    ----------
    directory : Path
        Where it lies.
    rows : tuple of Row
        The base first.
    block : int
        Bars of a block of the bootstrap.
    settings : Settings
        What was asked for.
    """

    directory: Path
    rows: tuple[Row, ...]
    block: int
    settings: Settings

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "directory": str(self.directory),
            "settings": asdict(self.settings),
            "block_bars": self.block,
            "replicates": REPLICATES,
            "rows": [row.to_dict() for row in self.rows],
        }


def fold_ends(config: Config, folds: int) -> list[float]:
    """Return where each walk-forward fold ends, as shares of the span; the last one at its end.

    The test spans follow each other without overlap. Each fold has the test and val spans of the config, and
    a train span that grows from the start of the data.

    Raises
    ------
    ConfigError
        When the first fold would have nothing to train on.
    """
    split = config.split
    ends = [1 - split.test * (folds - 1 - fold) for fold in range(folds)]
    if ends[0] - split.test - split.val <= 0:
        most = int((1 - split.val) / split.test)
        raise ConfigError(
            f"ablate: {folds} folds of a test share of {split.test:g} leave the first one no train span; "
            f"use at most {most}"
        )
    return ends


def start(config: Config, settings: Settings, out: Path) -> Path:
    """Make the directory of an ablation and write down what it is to do.

    Raises
    ------
    SimengineError
        When the config is not valid, or some cell's is not.
    """
    registry = build_registry(config.plugins, config.base_dir, locate=config.locate)
    base = check_config(config, registry)
    cells = plan(base, improvements=settings.improvements, decisions=settings.decisions)
    for cell in cells:
        check_config(cell.config(base), registry)
    fold_ends(base, settings.folds)
    run = RunDir.create(out, f"ablate-{config.name}", config_hash(base))
    write_text_atomic(run / CONFIG, dump_yaml(base))
    write_json(run / PLAN, {**asdict(settings), "base_dir": str(config.base_dir.resolve())})
    return run.path


def resume(directory: Path, *, jobs: int = 1, progress: Progress | None = None) -> Ablation:
    """Do what an ablation has left to do, and return its table.

    Parameters
    ----------
    directory : Path
        Made by `start`.
    jobs : int
        Trainings at a time, each in a process of its own.
    progress : Progress, optional
        Told about every training.

    Raises
    ------
    RunError
        When the directory holds no ablation.
    """
    base, settings = _read(directory)
    registry = build_registry(base.plugins, base.base_dir)
    base = check_config(base, registry)
    cells = plan(base, improvements=settings.improvements, decisions=settings.decisions)
    seeds = range(base.seed, base.seed + settings.seeds)
    ends = fold_ends(base, settings.folds)
    units = units_of(base, cells, seeds, ends)
    _work(units, base, directory, jobs, progress or NoProgress())
    strata = [(seed, fold) for seed in seeds for fold in range(settings.folds)]
    rows, block = _table(directory, base, cells, units, strata)
    result = Ablation(directory, tuple(rows), block, settings)
    write_json(directory / RESULT, result.to_dict())
    return result


def _read(directory: Path) -> tuple[Config, Settings]:
    run = RunDir.open(directory, finished=False)
    if not run.has(PLAN):
        raise RunError(f"{directory}: no ablation ({PLAN} is missing)")
    asked = run.read_json(PLAN)
    config = load_config(directory / CONFIG)
    origin = config.origin.__class__(Path(asked["base_dir"]), config.origin.locations)
    settings = Settings(
        asked["seeds"], asked["folds"], tuple(asked["improvements"]), tuple(asked["decisions"])
    )
    return config.with_origin(origin), settings


def _work(units: Sequence[Unit], base: Config, directory: Path, jobs: int, progress: Progress) -> None:
    """Run every unit that is not complete, the longest wait first told as the time that is left."""
    from joblib import Parallel, delayed

    left = [unit for unit in units if not all(is_done(directory, unit, cell) for cell in unit.cells)]
    event(logger, "ablate", f"{len(units)} trainings, {len(units) - len(left)} of them done before")
    progress.start("ablate", len(units))
    try:
        progress.advance(len(units) - len(left))
        work = Parallel(n_jobs=min(jobs, max(len(left), 1)), return_as="generator_unordered")
        for key in work(delayed(_one)(unit, base, directory) for unit in left):
            progress.advance(1, last=key)
    finally:
        progress.stop()


def _one(unit: Unit, base: Config, directory: Path) -> str:
    """Run one unit in a process of its own."""
    registry = build_registry(base.plugins, base.base_dir)
    began = time.perf_counter()
    run_unit(unit, registry, directory, NoProgress())
    event(logger, "unit", f"{unit.key}: {time.perf_counter() - began:.0f} s")
    return unit.key


def _table(
    directory: Path,
    base: Config,
    cells: Sequence[Cell],
    units: Sequence[Unit],
    strata: Sequence[tuple[int, int]],
) -> tuple[list[Row], int]:
    where = {(cell.name, unit.stratum): (unit, cell) for unit in units for cell in unit.cells}
    kept = {
        key: RunDir(cell_folder(directory, unit, cell)).read_json(FIGURES)
        for key, (unit, cell) in where.items()
    }
    seconds = {
        cell.name: float(np.mean([kept[cell.name, stratum]["train_seconds"] for stratum in strata]))
        for cell in cells
    }
    # Labels overlap by H - 1 bars; blocks of twice that keep most of the dependence inside.
    block = 2 * max(int(figures["horizon_bars"]) for figures in kept.values())
    rows = table_of(
        cells,
        strata,
        lambda cell, stratum: read_outcome(directory, *where[cell.name, stratum]),
        seconds,
        block=block,
        seed=base.seed,
    )
    return rows, block
