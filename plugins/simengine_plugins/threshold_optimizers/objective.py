"""What a labeling is worth, and the table of everything that was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from simengine import PerClass
from simengine.data.label_search import SHARES, LabelSearch, LabelSearchResult
from simengine.errors import DataError
from simengine.types import FloatArray, IntArray
from simengine_plugins.threshold_optimizers.proxy import Proxy
from simengine_plugins.threshold_optimizers.spaces import PLACE

Target = Annotated[PerClass, Field(description="class shares aimed at, which sum to 1")]
EntropyWeight = Annotated[float, Field(ge=0, description="weight of the entropy of the shares, in nats")]
DistanceWeight = Annotated[
    float, Field(ge=0, description="weight of the squared distance of the shares to the target")
]
SkillWeight = Annotated[float, Field(ge=0, description="weight of the skill of a quick classifier; 0: off")]
PnlWeight = Annotated[
    float, Field(ge=0, description="weight of the net return on that classifier's signals; 0: off")
]
Tolerance = Annotated[
    float,
    Field(ge=0, description="of objectives this near the highest, the one that changes fewest options wins"),
]
BALANCED = PerClass(1 / 3, 1 / 3, 1 / 3)
NAMES = ("labels", *SHARES, "entropy", "distance")
PROXY_NAMES = ("skill", "net_return")


@dataclass(frozen=True, slots=True)
class Objective:
    """entropy_weight x E - distance_weight x D + skill_weight x S + pnl_weight x R.

    Parameters
    ----------
    target : PerClass
        D = sum_k (p_k - target_k)^2 over the label shares p.
    entropy_weight, distance_weight : float
        E = -sum_k p_k ln p_k, in nats, at most ln 3 = 1.0986.
    skill_weight, pnl_weight : float
        S and R, of a quick classifier on an inner split; it is not trained when both are 0.
    tolerance : float
        Objectives closer than this are taken for equal.

    Raises
    ------
    ValueError
        When the target is no distribution.
    """

    target: PerClass
    entropy_weight: float
    distance_weight: float
    skill_weight: float
    pnl_weight: float
    tolerance: float

    def __post_init__(self) -> None:
        if min(self.target) < 0 or abs(sum(self.target) - 1) > 1e-6:
            given = ", ".join(f"{value:g}" for value in self.target)
            raise ValueError(f"target must be shares of at least 0 that sum to 1; received {given}")

    @property
    def needs_proxy(self) -> bool:
        """Whether skill or PnL count."""
        return self.skill_weight > 0 or self.pnl_weight > 0

    def balance(self, counts: IntArray) -> dict[str, FloatArray]:
        """Return ``labels``, shares, ``entropy``, ``distance`` and their ``objective`` of counts (n, 3).

        NaN where nothing is labelled.
        """
        labels = counts.sum(axis=1).astype(np.float64)
        shares = counts / np.where(labels > 0, labels, np.nan)[:, None]
        entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1.0)), axis=1)
        distance = np.sum((shares - np.asarray(self.target)) ** 2, axis=1)
        objective = self.entropy_weight * entropy - self.distance_weight * distance
        columns = (labels, *shares.T, entropy, distance, objective)
        return dict(zip((*NAMES, "objective"), columns, strict=True))

    def proxied(self, skill: float, net_return: float) -> float:
        """Return what the classifier adds to the objective; NaN when it could not be judged."""
        return self.skill_weight * skill + self.pnl_weight * net_return


class Scores:
    """The rows of the table, filled as they become known.

    Parameters
    ----------
    options : sequence of mapping
        What was tried, one mapping of the same options each.
    objective : Objective
        What they are judged by.
    counts : int64 array, shape (n, 3)
        SELL, HOLD and BUY labels.
    """

    def __init__(self, options: Sequence[Mapping[str, Any]], objective: Objective, counts: IntArray) -> None:
        self.options = options
        self.goal = objective
        self.columns = objective.balance(counts)
        self.balance = self.columns.pop("objective")
        self.objective = self.balance.copy()
        if objective.needs_proxy:
            self.columns |= {name: np.full(len(options), np.nan) for name in PROXY_NAMES}
            self.objective[:] = np.nan

    def judge(self, row: int, proxy: Proxy) -> None:
        """Train the classifier on the labels of one row."""
        found = proxy.judge(self.options[row])
        for name, value in zip(PROXY_NAMES, found, strict=True):
            self.columns[name][row] = value
        self.objective[row] = self.balance[row] + self.goal.proxied(*found)

    def changes(self, row: int, task: LabelSearch) -> int:
        """Return how many options of a row differ from the configured ones."""
        return sum(value != task.options[name] for name, value in self.options[row].items())

    def result(self, task: LabelSearch, notes: Sequence[str] = ()) -> LabelSearchResult:
        """Return the best row, the table and remarks.

        Of rows within ``tolerance`` of the highest objective the one that changes the fewest options is best,
        then the highest, then the first.

        Raises
        ------
        DataError
            When no row has an objective.
        """
        if not np.isfinite(self.objective).any():
            proxied = self.goal.needs_proxy and np.isfinite(self.balance).any()
            why = "a class has no label on the inner train" if proxied else "no bar of train has a label"
            raise DataError(
                f"{PLACE}: none of {len(self.options):,} sets of options can be judged: {why}; use more "
                "bars or other options"
            )
        highest = int(np.nanargmax(self.objective))
        near = np.flatnonzero(self.objective >= self.objective[highest] - self.goal.tolerance).tolist()
        best = min(near, key=lambda row: (self.changes(row, task), -self.objective[row], row))
        if self.objective[best] < self.objective[highest]:
            notes = [
                *notes,
                f"{len(near):,} sets of options come within {self.goal.tolerance:g} of the highest "
                f"objective, {self.objective[highest]:.6f}; of those the one that changes fewest is best",
            ]
        table: dict[str, list[Any]] = {
            name: [options[name] for options in self.options] for name in self.options[0]
        }
        for name, values in {**self.columns, "objective": self.objective}.items():
            table[name] = [None if value != value else value for value in values.tolist()]
        table["labels"] = [None if value is None else int(value) for value in table["labels"]]
        return LabelSearchResult(
            best=dict(self.options[best]),
            table=table,
            objective=float(self.objective[best]),
            shares=np.array([self.columns[name][best] for name in SHARES]),
            notes=tuple(notes),
        )
