"""Hard rows are those with the highest loss."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.types import FloatArray, IntArray, LabelArray
from simengine_plugins.miners.ramp import (
    Classes,
    End,
    Every,
    Start,
    checked_classes,
    linear_share,
    rows_of_class,
    top_count,
)


class TopLoss:
    """Show the SELL and HOLD rows with the highest loss more often.

    After the first epoch, and then every few, all train rows are scored with the network of now; of each
    class the rows whose loss is in the top ``fraction`` are kept. In epoch e of E they replace a share of
    ``start + (end - start) (e - 1) / (E - 1)`` of every batch, at random places, whichever balancer made
    the batch (so quotas then hold for the rest of the batch only). After Shrivastava et al., "Training
    Region-based Object Detectors with Online Hard Example Mining", CVPR 2016, with the ranking over the
    whole training set instead of a batch.

    Rows come from train alone, never from val: val decides when training stops, how probabilities are
    calibrated and how signals are decided. A network that has trained on hard val rows is measured and
    calibrated on rows it knows, and is too sure of itself on test.

    In a market most rows with a high loss are not informative but unlucky. Mining them teaches noise,
    moves the class shares towards the mined classes and takes probabilities away from frequencies: keep
    the share small, and let a calibrator and a decision rule fitted on validation data follow.

    Parameters
    ----------
    classes : tuple of {"sell", "hold", "buy"}
        Labels of the rows that can be selected.
    fraction : float
        Top fraction by loss that is selected, of each class.
    every : int
        Epochs between two selections.
    start, end : float
        Share of a batch at the ends of the ramp, in [0, 1).

    Examples
    --------
    In a training of 5 epochs with start 0 and end 0.2 hard rows take 0, 5, 10, 15 and 20 % of a batch.
    """

    def __init__(
        self,
        *,
        classes: Classes = ("sell", "hold"),
        fraction: Annotated[
            float, Field(gt=0, le=1, description="top fraction by loss, of each class")
        ] = 0.2,
        every: Every = 1,
        start: Start = 0.0,
        end: End = 0.2,
    ) -> None:
        self.classes = checked_classes(classes)
        self.fraction = fraction
        self.every = every
        self.start = start
        self.end = end

    def select(self, labels: LabelArray, log_proba: FloatArray, losses: FloatArray) -> IntArray:
        """Return ids of train rows, the highest loss first; equal losses in the order of the rows.

        Raises
        ------
        DataError
            When a class has no row.
        """
        kept = []
        for name in self.classes:
            rows = rows_of_class(labels, name, "top_loss")
            order = np.argsort(-losses[rows], kind="stable")
            kept.append(rows[order[: top_count(len(rows), self.fraction)]])
        found = np.sort(np.concatenate(kept))
        hardest: IntArray = found[np.argsort(-losses[found], kind="stable")]
        return hardest

    def share(self, epoch: int, epochs: int) -> float:
        """Return the share of a batch that hard rows take in an epoch counted from 1."""
        return linear_share(epoch, epochs, self.start, self.end)


@hookimpl
def simengine_register_miners() -> list[Component]:
    """Register the component."""
    return [Component("top_loss", TopLoss)]
