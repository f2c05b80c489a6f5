"""SMOTE on windows that are never materialised, with neighbours that share no bar."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simengine import Component, hookimpl
from simengine.data.synthetic import SmoteTask, Synthetic
from simengine.types import FloatArray, IntArray
from simengine_plugins.smote.filling import Filling, fill
from simengine_plugins.smote.options import (
    ExclusionBars,
    KNeighbors,
    MemoryBudgetMb,
    Target,
    check_target,
)
from simengine_plugins.smote.wanted import tilt


class ChunkedSmote:
    """Synthetic rows between rows of one class: x = (1 - lambda) W_i + lambda W_j, lambda uniform in [0, 1).

    SMOTE (Chawla et al., "SMOTE: Synthetic Minority Over-sampling Technique", JAIR 2002). W_j is one of the
    ``k_neighbors`` nearest windows of the class of W_i, by Euclidean distance over the whole window of scaled
    features; the nearest are exact. Only classes below their target get rows, and only train rows take part.

    Windows that overlap are no neighbours: two thirds of the nearest windows of a window are itself some bars
    later, and a mixture of the two is a copy. Windows of one symbol therefore have to end
    ``exclusion_bars`` apart; windows of different symbols may lie at the same time.

    Rows are kept as (i, j, lambda) and mixed where a batch is gathered. Bases are drawn at random, each again
    only after all rows of its class were drawn as often, and only drawn bases are given neighbours. The work
    is done in chunks within ``memory_budget_mb``; an interrupted one goes on after its last chunk.

    With ``target: balance`` it does what imbalanced-learn calls ``sampling_strategy="auto"``. It tilts the
    prior that the network learns by log(share after / share before) (`prior_tilt`); a decision rule fitted on
    validation data should follow. A balancer with quotas decides the shares of a batch itself: then synthetic
    rows only make the class more varied.

    It helps where a class is rare and its rows form regions. Financial windows hardly do: in 1,500 dimensions
    the nearest windows are not much nearer than any other (on the oracle market the fifth lies at 0.7 of the
    distance of a typical one), so that a mixture is mainly a smoother window.

    Parameters
    ----------
    target : {"balance", "minority"} or PerClass
        Which classes grow, and how far.
    k_neighbors : int
        Nearest rows of its class that a row is mixed with.
    exclusion_bars : int or None
        Least distance between the ends of two neighbours of one symbol; None is the window length.
    memory_budget_mb : int
        Most memory used besides the train windows.

    Examples
    --------
    30 SELL, 34 HOLD and 40 BUY rows become 40 of each: 10 synthetic SELL rows and 6 HOLD rows. With the
    target {sell: .4, hold: .3, buy: .3} the BUY rows decide the total, 40 / .3 = 133.3: 23 SELL and 6 HOLD
    rows are made.
    """

    def __init__(
        self,
        *,
        target: Target = "balance",
        k_neighbors: KNeighbors = 5,
        exclusion_bars: ExclusionBars = None,
        memory_budget_mb: MemoryBudgetMb = 512,
    ) -> None:
        check_target(target)
        self.target = target
        self.k_neighbors = k_neighbors
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
            A class that should grow has too few rows that do not overlap.
        ConfigError
            The memory budget does not hold a chunk.
        """
        return fill(task, "smote chunked_smote", dict(vars(self)), _all_rows)


def _all_rows(work: Filling) -> Mapping[int, IntArray]:
    labels = work.task.train.labels
    return {label: np.flatnonzero(labels == label) for label in work.classes}


@hookimpl
def simengine_register_smote() -> list[Component]:
    """Register the component."""
    return [Component("chunked_smote", ChunkedSmote)]
