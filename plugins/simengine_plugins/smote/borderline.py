"""Synthetic rows near the border between classes only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.data.synthetic import SmoteTask, Synthetic
from simengine.errors import DataError
from simengine.types import CLASS_NAMES, FloatArray, IntArray, Signal
from simengine_plugins.smote.filling import Filling, fill
from simengine_plugins.smote.options import (
    ExclusionBars,
    KNeighbors,
    MemoryBudgetMb,
    Target,
    check_target,
)
from simengine_plugins.smote.wanted import tilt


class Borderline:
    """SMOTE whose bases are rows in danger: those near the border of their class.

    Borderline-SMOTE1 (Han, Wang and Mao, "Borderline-SMOTE: A New Over-Sampling Method in Imbalanced Data
    Sets Learning", ICIC 2005). Of the ``m_neighbors`` nearest train rows of any class, m' are of other
    classes; a row is in danger when m / 2 <= m' < m. With fewer it is safe, with all of them it is noise, and
    neither is a base. A base is mixed with one of its ``k_neighbors`` nearest rows of its own class, in
    danger or not. All else is as in ``chunked_smote``: exact neighbours, none that overlaps, chunks within a
    budget.

    It helps where classes have a border. Where they hardly differ, most rows are in danger and the result is
    that of ``chunked_smote``, at several times its work: the danger of every row of a class has to be known.
    The report counts safe rows, rows in danger and noise.

    Parameters
    ----------
    target : {"balance", "minority"} or PerClass
        Which classes grow, and how far.
    k_neighbors : int
        Nearest rows of its class that a row is mixed with.
    m_neighbors : int
        Nearest rows of any class that decide whether a row is in danger.
    exclusion_bars : int or None
        Least distance between the ends of two neighbours of one symbol; None is the window length.
    memory_budget_mb : int
        Most memory used besides the train windows.

    Examples
    --------
    With 10 neighbours a row is in danger when 5 to 9 of them are of other classes.
    """

    def __init__(
        self,
        *,
        target: Target = "balance",
        k_neighbors: KNeighbors = 5,
        m_neighbors: Annotated[
            int,
            Field(
                ge=2, le=1000, description="nearest rows of any class that decide whether a row is in danger"
            ),
        ] = 10,
        exclusion_bars: ExclusionBars = None,
        memory_budget_mb: MemoryBudgetMb = 512,
    ) -> None:
        check_target(target)
        self.target = target
        self.k_neighbors = k_neighbors
        self.m_neighbors = m_neighbors
        self.exclusion_bars = exclusion_bars
        self.memory_budget_mb = memory_budget_mb

    def prior_tilt(self, label_share: FloatArray) -> FloatArray:
        """Return log(share after / share before) (3,): the log-odds that the rows add to each class."""
        return tilt(label_share, self.target)

    def synthesize(self, task: SmoteTask) -> Synthetic:
        """Return the synthetic rows.

        Raises
        ------
        DataError
            A class that should grow has too few rows that do not overlap, or no row in danger.
        ConfigError
            The memory budget does not hold a chunk.
        """
        return fill(task, "smote borderline", dict(vars(self)), self._in_danger)

    def _in_danger(self, work: Filling) -> Mapping[int, IntArray]:
        labels, m = work.task.train.labels, self.m_neighbors
        anyone = np.zeros(len(labels), dtype=np.int8)
        work.check_apart(anyone, m, "m_neighbors")
        rows = np.flatnonzero(np.isin(labels, work.classes))
        found = work.nearest(rows, anyone, m, "danger").rows
        others = np.zeros(len(rows), dtype=np.int64)
        for place in range(m):
            others += labels[found[:, place]] != labels[rows]
        danger = (2 * others >= m) & (others < m)
        pools, counted = {}, {}
        for label in work.classes:
            own = labels[rows] == label
            pools[label] = rows[own & danger]
            noise = int((own & (others == m)).sum())
            count = len(pools[label])
            safe = int(own.sum()) - noise - count
            counted[CLASS_NAMES[label]] = {"safe": safe, "danger": count, "noise": noise}
            if count == 0:
                raise DataError(
                    f"{work.who}: of {safe + noise:,} {Signal(label).name} rows none is in danger "
                    f"({safe:,} safe, {noise:,} noise), so there is no base; use another m_neighbors, or "
                    "smote: chunked_smote"
                )
        work.report["border"] = counted
        return pools


@hookimpl
def simengine_register_smote() -> list[Component]:
    """Register the component."""
    return [Component("borderline", Borderline)]
