"""The whole of an ablation: what is to be done, doing it, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simengine.ablate import schedule, store
from simengine.ablate.bootstrap import block_bars
from simengine.ablate.folds import check_folds, folds_of
from simengine.ablate.measure import Stratum
from simengine.ablate.plan import Cell, plan
from simengine.ablate.store import Ablation, Settings, Todo
from simengine.ablate.sums import Outcome
from simengine.ablate.table import Row, table_of
from simengine.ablate.units import Unit, units_of
from simengine.ablate.work import parts_of, read_figures, read_outcome
from simengine.config.load import config_hash
from simengine.errors import ConfigError, RunError
from simengine.log import NoProgress, Progress, event, get_logger
from simengine.plugin.check import check_config
from simengine.plugin.manager import build_registry
from simengine.rundir import DONE, RunDir
from simengine.steps.parts import build_parts
from simengine.steps.prepare import load_bars

if TYPE_CHECKING:
    from simengine.config.schema import Config

__all__ = ["Ablation", "Settings", "resume", "start"]

logger = get_logger(__name__)


def start(config: Config, settings: Settings, out: Path, *, jobs: int = 1) -> Path:
    """Make the directory of an ablation and write down what it is to do.

    Parameters
    ----------
    config : Config
        The base.
    settings : Settings
        What to do with it.
    out : Path
        Folder that the directory is made in.
    jobs : int
        Trainings at a time that are planned: processor cores are shared out among them, and the bytes of a
        training depend on how many it has.

    Raises
    ------
    SimengineError
        When the config is not valid, some cell's is not, or the bars do not suffice.
    """
    if min(settings.seeds, settings.folds, jobs) < 1:
        raise ConfigError("ablate: seeds, folds and jobs must be 1 or more")
    registry = build_registry(config.plugins, config.base_dir, locate=config.locate)
    base = check_config(config, registry)
    cells = plan(base, registry, improvements=settings.improvements, decisions=settings.decisions)
    for cell in cells:
        try:
            parts_of(cell.config(base, registry), registry)
        except ConfigError as error:
            raise ConfigError(f"ablate: {cell.name}: {error}; or choose improvements with --only") from None
    parts = build_parts(base, registry)
    bars = load_bars(parts.source)
    splits = folds_of(base, bars, settings.folds)
    check_folds(base, parts, bars, splits)
    run = RunDir.create(out, f"{config.name}-ablate", config_hash(base))
    store.write_todo(run, base, settings, splits, schedule.threads_of(jobs))
    event(
        logger,
        "ablation",
        f"ablation of {len(cells)} cells; when killed: simengine ablate --resume {run.path}",
        directory=str(run.path),
        cells=len(cells),
    )
    return run.path


def resume(directory: Path, *, jobs: int = 1, progress: Progress | None = None) -> Ablation:
    """Do what an ablation has left to do, and return its table; a finished one is read.

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
        When the directory holds no ablation, something in it is damaged, or config, plugins or bars changed.
    """
    progress = progress or NoProgress()
    run = RunDir(directory)
    if not run.has(store.PLAN) or not run.has(store.CONFIG):
        raise RunError(f"{directory}: no ablation ({store.CONFIG} or {store.PLAN} is missing)")
    if run.has(DONE):
        finished = store.read_result(run)
        if not (run.has(store.SHEET) and run.has(store.PAGE)):
            store.write_views(run, finished)
        return finished
    todo = store.read_todo(run)
    run.sweep()
    asked = todo.settings
    cells = plan(todo.base, todo.registry, improvements=asked.improvements, decisions=asked.decisions)
    units = units_of(todo.base, todo.registry, cells, todo.seeds, todo.splits)
    schedule.work(units, todo.base, directory, jobs=jobs, threads=todo.threads, progress=progress)
    rows, block = _table(directory, todo, cells, units, progress)
    result = Ablation(directory, tuple(rows), block, asked)
    store.write_result(run, result)
    return result


def _table(
    directory: Path, todo: Todo, cells: Sequence[Cell], units: Sequence[Unit], progress: Progress
) -> tuple[list[Row], int]:
    """Return the rows, and the bars of a block."""
    where = {(cell.name, unit.stratum): (unit, cell) for unit in units for cell in unit.cells}
    kept = {key: read_figures(directory, unit, cell) for key, (unit, cell) in where.items()}
    for fold in range(len(todo.splits)):
        if len({found["data_sha256"] for (_, (_, own)), found in kept.items() if own == fold}) > 1:
            raise RunError(f"{directory}: the bars changed between its trainings; start a new ablation")

    def result(cell: Cell, stratum: Stratum) -> tuple[Outcome, float]:
        seconds = kept[cell.name, stratum]["train_seconds"]
        outcome = read_outcome(directory, *where[cell.name, stratum])
        return outcome, float("nan") if seconds is None else float(seconds)

    block = max(block_bars(int(found["horizon_bars"])) for found in kept.values())
    rows = table_of(cells, todo.strata, result, block=block, seed=todo.base.seed, progress=progress)
    return rows, block
