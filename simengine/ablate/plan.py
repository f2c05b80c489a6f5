"""The cells of an ablation: what each changes in the config, and which of them share a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from simengine.config.load import from_tree, to_tree
from simengine.config.schema import Config
from simengine.errors import ConfigError
from simengine.plugin.check import check_config
from simengine.plugin.registry import Registry

Changes = Mapping[str, Any]
"""Dotted places of the config and what stands there."""

VIEWS = ("identity", "zscore_window", "gaussian_smooth", "jitter")

IMPROVEMENTS: dict[int, tuple[str, Changes]] = {
    1: ("class-balanced batches", {
        "training.balancer": {"type": "class_quota", "quotas": {"sell": 0.3, "hold": 0.3, "buy": 0.4}},
    }),
    2: ("prediction-aware reweighting", {"training.reweighter": {"type": "prediction_aware"}}),
    3: ("asymmetric focal loss", {
        "training.loss": {"type": "asymmetric_focal", "gamma": {"sell": 1.5, "hold": 1.5, "buy": 2.5}},
    }),
    4: ("class-conditional label smoothing", {
        "training.smoother": {
            "type": "class_conditional", "smoothing": {"sell": 0.02, "hold": 0.02, "buy": 0.10},
        },
    }),
    5: ("hard negative mining", {"training.miner": {"type": "top_loss"}}),
    6: ("label-threshold search", {"labels.optimizer": {"type": "grid"}}),
    7: ("confidence penalty on BUY", {"training.penalties": [{"type": "confidence", "weight": 0.05}]}),
    8: ("balanced test-time augmentation", {
        "inference.tta": [{"type": name} for name in VIEWS],
    }),
    9: ("temperature scaling", {"inference.calibrator": {"type": "temperature"}}),
    10: ("chunked SMOTE", {"training.smote": {"type": "chunked_smote"}}),
}  # fmt: skip
"""The ten improvements with their shipped values."""

STAGES: dict[str, tuple[int, ...]] = {
    "stage A": (1, 2, 9),
    "stage B": (1, 2, 9, 3, 4, 5),
    "all ten": (1, 2, 9, 3, 4, 5, 6, 7, 8, 10),
}
"""Improvements that each stage of the plan turns on; stage C is all ten."""

DECISIONS = ("argmax", "prior_matched", "cost_aware")
"""Decision rules that every cell is tried with, beside its own."""

WITH = " + "
"""What stands between the name of a cell and that of a decision that is not the base's."""

AFTER_TRAINING = "inference"
"""Section whose choices need no training."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the table.

    Parameters
    ----------
    name : str
        Unique; for example ``"3 asymmetric focal loss + prior_matched"``.
    improvements : tuple of int
        Numbers of the improvements that are on.
    decision : str
        Name of the decision rule.
    changes : mapping
        What the cell changes in the base.
    also : tuple of str
        Names of planned cells that would have the same config, and are left out.
    """

    name: str
    improvements: tuple[int, ...]
    decision: str
    changes: Changes = field(default_factory=dict)
    also: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """Name without the decision: cells of one group differ in their decision alone."""
        return self.name.removesuffix(f"{WITH}{self.decision}")

    def config(self, base: Config, registry: Registry) -> Config:
        """Return the config of the cell with every option of its components filled in.

        Raises
        ------
        ConfigError
            When a change does not fit the config's rules, or its component is not known.
        """
        return check_config(changed(base, self.changes), registry)


def changed(base: Config, changes: Changes) -> Config:
    """Return a config with other values at some dotted places."""
    tree = to_tree(base)
    for place, value in changes.items():
        *path, last = place.split(".")
        target = tree
        for key in path:
            target = target[key]
        target[last] = value
    return from_tree(tree, base.origin)


def plan(
    base: Config,
    registry: Registry,
    *,
    improvements: Sequence[int] = tuple(IMPROVEMENTS),
    decisions: Sequence[str] = DECISIONS,
) -> list[Cell]:
    """Return the cells: the base, each improvement alone, each stage, all ten, each with every decision.

    Improvements that need no training are combined with the others by `STAGES` alone. A cell whose config
    another one has already (a base with an improvement on, say) is left out, and that one says so.

    Parameters
    ----------
    base : Config
        What every cell is compared with, checked.
    registry : Registry
        With the plugins of the config.
    improvements : sequence of int
        Which of the ten, in any order; stages keep those of theirs that are among them.
    decisions : sequence of str
        Rules beside the base's own.

    Raises
    ------
    ConfigError
        When there is no improvement of a number, no decision of a name, or a cell's config is not valid.
    """
    for number in improvements:
        if number not in IMPROVEMENTS:
            raise ConfigError(
                f"ablate: there is no improvement {number}; they are 1 to {max(IMPROVEMENTS)}: "
                + ", ".join(f"{n} {name}" for n, (name, _) in IMPROVEMENTS.items())
            )
    groups: list[tuple[str, tuple[int, ...]]] = [("base", ())]
    groups += [(f"{n} {IMPROVEMENTS[n][0]}", (n,)) for n in sorted(set(improvements))]
    groups += [(name, tuple(n for n in stage if n in improvements)) for name, stage in STAGES.items()]
    planned = [
        _cell(base, name, numbers, rule) for name, numbers in groups for rule in _rules(base, decisions)
    ]
    cells: list[Cell] = []
    seen: list[Config] = []
    for cell in planned:
        config = cell.config(base, registry)
        if config in seen:
            place = seen.index(config)
            cells[place] = replace(cells[place], also=(*cells[place].also, cell.name))
        else:
            seen.append(config)
            cells.append(cell)
    return cells


def _rules(base: Config, decisions: Sequence[str]) -> list[str]:
    """Return the base's own decision, then the others, each once."""
    return list(dict.fromkeys([base.inference.decision.type, *decisions]))


def _cell(base: Config, name: str, numbers: tuple[int, ...], decision: str) -> Cell:
    changes = _joined(numbers)
    if decision == base.inference.decision.type:
        return Cell(name, numbers, decision, changes)
    label = f"{name}{WITH}{decision}"
    return Cell(label, numbers, decision, {**changes, "inference.decision": {"type": decision}})


def _joined(numbers: Sequence[int]) -> dict[str, Any]:
    return {place: value for n in numbers for place, value in IMPROVEMENTS[n][1].items()}


def training_of(config: Config) -> Config:
    """Return the config with everything that needs no training at its default: equal ones share weights."""
    plain = to_tree(Config())
    tree = {**to_tree(config), AFTER_TRAINING: plain[AFTER_TRAINING]}
    return from_tree(tree, config.origin)


QUICK: Changes = {"model": {"type": "lstm"}}
"""What ``--quick`` changes: a small LSTM in place of the configured model."""
