"""The search of label options on its own: what `simengine tune` does and keeps."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simengine.config.edit import set_options
from simengine.config.load import config_hash, dump_yaml, load_config
from simengine.config.messages import line
from simengine.data.labels import MIN_SHARE
from simengine.data.split import split_times
from simengine.errors import ConfigError, RunError, SimengineError
from simengine.log import Progress
from simengine.plugin.check import check_config
from simengine.rundir import DONE, RunDir, write_text_atomic
from simengine.steps.parts import build_parts
from simengine.steps.prepare import run_bars
from simengine.steps.thresholds import (
    LABELER,
    OPTIMIZER,
    THRESHOLDS,
    check_need,
    optimise_labels,
    search_dict,
    write_thresholds,
)

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.plugin.registry import Registry

CONFIG = "tune.yaml"
"""The config that was searched with; a folder with it is no run."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A finished search of label options.

    Parameters
    ----------
    directory : Path
        Holds ``thresholds.json`` and ``tune.yaml``.
    search : dict
        ``best`` and ``configured`` options, ``objective``, ``shares``, ``notes`` and the ``table``.
    usable : bool
        Whether every class has 1 % of the train labels at least, without which no run starts.
    written : Path or None
        The config file that the best options were put into.
    """

    directory: Path
    search: dict[str, Any]
    usable: bool
    written: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "directory": str(self.directory),
            "usable": self.usable,
            "written": None if self.written is None else str(self.written),
            **self.search,
        }

    def top(self, n: int = 10) -> list[dict[str, Any]]:
        """Return the row of the best options, then those of the highest objectives, each labeling once."""
        table = self.search["table"]
        rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
        known = [row for row in rows if row["objective"] is not None]
        best = self.search["best"]
        known.sort(key=lambda row: (any(row[name] != best[name] for name in best), -row["objective"]))
        found, seen = [], set()
        for row in known:
            figures = tuple(
                value for name, value in row.items() if name not in best or name == "horizon_bars"
            )
            if figures not in seen:
                seen.add(figures)
                found.append(row)
        return found[:n]


def tune(config: Config, registry: Registry, *, out: Path, write: Path | None, progress: Progress) -> Tuned:
    """Search the labeler's options on train, keep the table, and write the best into a config file.

    Parameters
    ----------
    config, registry
        What to search.
    out : Path
        Folder that the directory of the search is made in.
    write : Path, optional
        The config file that ``config`` was loaded from; None writes nothing.
    progress : Progress
        Told about the search.

    Raises
    ------
    ConfigError
        When no optimizer is configured, or the file cannot take the options.
    DataError
        When the bars are too few, or no labeling can be judged.
    """
    config = check_config(config, registry)
    if config.labels.optimizer is None:
        text = "null: say what to search with, for example labels.optimizer: grid"
        raise ConfigError(line(config.locate, OPTIMIZER, f"{text}, or --set labels.optimizer=grid"))
    own = None if write is None else _own_labeler(write, config, registry)
    _check_folder(out)
    parts = build_parts(config, registry)
    bars = run_bars(config, parts.source)
    times = split_times(bars, config.split.train, config.split.val, config.split.test)
    check_need(config, parts, bars, times)
    labeler, result = optimise_labels(config, registry, bars, times, progress)
    check_need(config, replace(parts, labeler=labeler), bars, times)
    labeler = labeler.fit(bars, times.train_end)
    search = search_dict(config, registry, result)
    directory = RunDir.create(out, f"{config.name}-tune", config_hash(config))
    write_text_atomic(directory / CONFIG, dump_yaml(config))
    write_thresholds(directory / THRESHOLDS, labeler, search)
    write_text_atomic(directory / DONE, "")
    usable = min(search["shares"].values()) >= MIN_SHARE
    if write is not None and own is not None and usable:
        try:
            set_options(write, LABELER, own, search["best"])
        except SimengineError as error:
            raise type(error)(f"{error}; the search is in {directory.path}") from None
    return Tuned(directory.path, search, usable, write if usable else None)


def _check_folder(out: Path) -> None:
    """Refuse a folder that the search could not be written into, before it is made."""
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise RunError(f"{out}: {there} is a file; choose another folder")
    if not os.access(there, os.W_OK):
        raise RunError(f"{out}: nothing can be written into {there}; choose another folder")


def _own_labeler(path: Path, config: Config, registry: Registry) -> dict[str, Any]:
    """Return the labeler that a file configures, which must be the one that is searched.

    Raises
    ------
    ConfigError
        When a ``--set`` changed it, or the file cannot be written.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: --write needs a regular file; give one, or leave --write out")
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise ConfigError(f"{path}: is read-only; make it writable, or leave --write out")
    own = load_config(path).labels.labeler
    if registry.resolve("labeler", own, LABELER) != config.labels.labeler:
        raise ConfigError(
            f"{LABELER}: --set made it another than that of {path}, so that --write cannot put the best "
            "options there; write the change into the file first"
        )
    return {"type": own.type, **own.options}
