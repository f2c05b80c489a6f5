"""Hard rows are those that the network gets wrong and is sure of."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.types import CLASS_NAMES, FloatArray, IntArray, LabelArray
from simengine_plugins.miners.ramp import (
    Classes,
    End,
    Every,
    Start,
    checked_classes,
    linear_share,
    top_count,
)


class ConfidentErrors:
    """Show the rows that the network gets wrong with the highest confidence more often.

    After the first epoch, and then every few, all train rows are scored with the network of now. Of the
    rows whose most probable class is not their label, the top ``fraction`` by the probability of that
    class is kept, over all ``classes`` together. They are mixed in as those of `top_loss` are, by the same
    ramp, from train alone and for the same reason never from val.

    Against `top_loss` it leaves out rows that are uncertain rather than wrong, and every class can be
    selected, so it follows the network's own bias: of one that says BUY everywhere it selects SELL and
    HOLD rows. A network without a wrong row is left alone.

    As with `top_loss` most such rows of a market are unlucky, not informative: keep the share small, and
    let a calibrator and a decision rule fitted on validation data follow.

    Parameters
    ----------
    classes : tuple of {"sell", "hold", "buy"}
        Labels of the rows that can be selected.
    fraction : float
        Top fraction of the wrong rows, by confidence.
    every : int
        Epochs between two selections.
    start, end : float
        Share of a batch at the ends of the ramp, in [0, 1).

    Examples
    --------
    A SELL row with p = (0.2, 0.1, 0.7) comes before a HOLD row with p = (0.5, 0.3, 0.2); a BUY row with
    p = (0.3, 0.3, 0.4) is not wrong.
    """

    def __init__(
        self,
        *,
        classes: Classes = ("sell", "hold", "buy"),
        fraction: Annotated[
            float, Field(gt=0, le=1, description="top fraction of the wrong rows, by confidence")
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
        """Return ids of train rows, the most confident error first; equal ones in the order of the rows."""
        chosen = [CLASS_NAMES.index(name) for name in self.classes]
        wrong = np.flatnonzero((log_proba.argmax(axis=1) != labels) & np.isin(labels, chosen))
        order = np.argsort(-log_proba[wrong].max(axis=1, initial=-np.inf), kind="stable")
        hardest: IntArray = wrong[order[: top_count(len(wrong), self.fraction)]]
        return hardest

    def share(self, epoch: int, epochs: int) -> float:
        """Return the share of a batch that hard rows take in an epoch counted from 1."""
        return linear_share(epoch, epochs, self.start, self.end)


@hookimpl
def simengine_register_miners() -> list[Component]:
    """Register the component."""
    return [Component("confident_errors", ConfidentErrors)]
