"""What an ablation keeps in its directory: what it is to do, and the finished table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simengine.ablate.folds import Split
from simengine.ablate.measure import Stratum
from simengine.ablate.page import page_of
from simengine.ablate.sheet import csv_of
from simengine.ablate.table import Row, replicates_for
from simengine.config.load import config_hash, dump_yaml, load_config
from simengine.config.schema import Origin
from simengine.errors import RunError
from simengine.plugin.check import check_config
from simengine.plugin.manager import build_registry
from simengine.rundir import RunDir, write_json, write_text_atomic
from simengine.steps.origin import plugin_hashes

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.plugin.registry import Registry

CONFIG = "ablate.yaml"
"""The base; a folder with it is no run."""
PLAN = "plan.json"
RESULT = "ablation.json"
SHEET = "ablation.csv"
PAGE = "ablation.html"


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

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Settings:
        """Return the settings among other plain data."""
        numbers, rules = content["improvements"], content["decisions"]
        return cls(content["seeds"], content["folds"], tuple(numbers), tuple(rules))


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
        return {"directory": str(self.directory), **self.content()}

    def content(self) -> dict[str, Any]:
        """Return what ``ablation.json`` holds: the same wherever the directory lies."""
        return {
            "settings": asdict(self.settings),
            "block_bars": self.block,
            "replicates": replicates_for(len(self.rows)),
            "rows": [row.to_dict() for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class Todo:
    """An ablation that was started, as its directory has it.

    Parameters
    ----------
    base : Config
        Checked.
    registry : Registry
        With its plugins.
    settings : Settings
        What was asked for.
    splits : tuple of dict
        The ``split`` section of each fold.
    threads : int or None
        Of each training.
    """

    base: Config
    registry: Registry
    settings: Settings
    splits: tuple[Split, ...]
    threads: int | None

    @property
    def seeds(self) -> list[int]:
        """Root seeds."""
        return list(range(self.base.seed, self.base.seed + self.settings.seeds))

    @property
    def strata(self) -> list[Stratum]:
        """Every seed with every fold."""
        return [(seed, fold) for seed in self.seeds for fold in range(len(self.splits))]


def write_todo(
    run: RunDir, base: Config, settings: Settings, splits: Sequence[Split], threads: int | None
) -> None:
    """Write down what is to be done, and what must not change until it is."""
    write_text_atomic(run / CONFIG, dump_yaml(base))
    asked = {
        **asdict(settings),
        "splits": splits,
        "threads": threads,
        "base_dir": str(base.base_dir.resolve()),
        "config_sha256": config_hash(base),
        "plugin_files": plugin_hashes(base.plugins, base.base_dir),
    }
    write_json(run / PLAN, asked)


def read_todo(run: RunDir) -> Todo:
    """Return what is to be done.

    Raises
    ------
    RunError
        When the directory is damaged, or the config or a plugin file changed since it was made.
    """
    asked = run.read_json(PLAN)
    config = load_config(run / CONFIG)
    try:
        config = config.with_origin(Origin(Path(asked["base_dir"]), config.origin.locations))
        known, sha256 = dict(asked["plugin_files"]), asked["config_sha256"]
        settings, splits, threads = Settings.from_dict(asked), tuple(asked["splits"]), asked["threads"]
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run / PLAN}: made by another version of simengine, or damaged ({error})") from None
    if config_hash(config) != sha256:
        raise _changed(run, [CONFIG])
    try:
        found = plugin_hashes(config.plugins, config.base_dir)
    except OSError as error:
        raise RunError(f"{run.path}: a plugin of the ablation cannot be read: {error}") from None
    if changed := sorted(name for name in found if found[name] != known.get(name)):
        raise _changed(run, changed)
    registry = build_registry(config.plugins, config.base_dir, locate=config.locate)
    return Todo(check_config(config, registry), registry, settings, splits, threads)


def _changed(run: RunDir, names: Sequence[str]) -> RunError:
    return RunError(f"{run.path}: {', '.join(names)} changed since the ablation was started; start a new one")


def write_result(run: RunDir, result: Ablation) -> None:
    """Write the table for programs, for spreadsheets and for people, then the marker of the end."""
    write_json(run / RESULT, result.content())
    write_views(run, result)
    run.finish()


def write_views(run: RunDir, result: Ablation) -> None:
    """Write the CSV and the page of a table."""
    write_text_atomic(run / SHEET, csv_of(result.rows))
    asked, base = result.settings, load_config(run / CONFIG)
    facts = {
        "Base": base.name,
        "Model": base.model.type,
        "Cells": str(len(result.rows)),
        "Seeds": f"{asked.seeds}, from {base.seed}",
        "Walk-forward folds": str(asked.folds),
        "Blocks of the bootstrap": f"{result.block} bars",
    }
    page = page_of(
        result.rows,
        name=run.path.resolve().name,
        facts=facts,
        seeds=asked.seeds,
        config_text=dump_yaml(base),
    )
    write_text_atomic(run / PAGE, page)


def read_result(run: RunDir) -> Ablation:
    """Return a finished ablation.

    Raises
    ------
    RunError
        When its table is damaged.
    """
    content = run.read_json(RESULT)
    try:
        rows = tuple(Row.from_dict(row) for row in content["rows"])
        return Ablation(run.path, rows, content["block_bars"], Settings.from_dict(content["settings"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{run / RESULT}: damaged ({error}); delete it and DONE, and resume to write it again"
        ) from None
