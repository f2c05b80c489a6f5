"""The trainings of an ablation: which cells share one, and where their results lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simengine.ablate.folds import Split
from simengine.ablate.plan import Cell, changed, training_of
from simengine.config.load import config_hash

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.plugin.registry import Registry

FIGURES = "figures.json"
"""Written last of what is kept of a cell."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Cells that need the same training, with one seed on one fold.

    Parameters
    ----------
    key : str
        Name of its folder.
    cells : tuple of Cell
        Their configs differ after the training only; the run that trains has that of the first one.
    configs : mapping of str to Config
        Of every cell, by its name; with the seed and the split of the fold.
    seed, fold : int
        Fold 0 ends earliest.
    """

    key: str
    cells: tuple[Cell, ...]
    configs: Mapping[str, Config]
    seed: int
    fold: int

    @property
    def config(self) -> Config:
        """Of the run that trains."""
        return self.configs[self.cells[0].name]

    @property
    def stratum(self) -> tuple[int, int]:
        """What pairs a cell with its base: seed and fold."""
        return self.seed, self.fold

    @property
    def title(self) -> str:
        """What a person calls it."""
        fold = f", fold {self.fold + 1}" if self.fold else ""
        return f"{self.cells[0].group}, seed {self.seed}{fold}"


def units_of(
    base: Config, registry: Registry, cells: Sequence[Cell], seeds: Sequence[int], splits: Sequence[Split]
) -> list[Unit]:
    """Return every training that the cells need, those of one seed and fold side by side.

    Parameters
    ----------
    base : Config
        Checked.
    registry : Registry
        With the plugins of the config.
    cells : sequence of Cell
        From `simengine.ablate.plan.plan`.
    seeds : sequence of int
        Root seeds.
    splits : sequence of dict
        The ``split`` section of each fold.
    """
    units = []
    for seed in seeds:
        for fold, split in enumerate(splits):
            here = changed(base, {"seed": seed, "split": split})
            sharing: dict[str, dict[str, Config]] = {}
            for cell in cells:
                config = cell.config(here, registry)
                sharing.setdefault(config_hash(training_of(config)), {})[cell.name] = config
            for digest, configs in sharing.items():
                key = f"seed{seed}-fold{fold}-{digest[:12]}"
                mine = tuple(cell for cell in cells if cell.name in configs)
                units.append(Unit(key, mine, configs, seed, fold))
    return units


def cell_folder(folder: Path, unit: Unit, cell: Cell) -> Path:
    """Return where the results of a cell lie; another config has another folder."""
    return folder / "cells" / unit.key / config_hash(unit.configs[cell.name])[:12]


def run_folder(folder: Path, unit: Unit) -> Path:
    """Return the folder of a unit's run directory."""
    return folder / "runs" / unit.key


def is_done(folder: Path, unit: Unit, cell: Cell) -> bool:
    """Return whether a cell is complete; its figures are written last."""
    return (cell_folder(folder, unit, cell) / FIGURES).is_file()
