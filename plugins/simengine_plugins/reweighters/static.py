"""Class weights chosen by hand."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.types import FloatArray, LabelArray


class Static:
    """The same class weights in every epoch.

    A weight above 1 makes the errors of that class dearer. Weights tilt the prior that the network
    learns by log w_c (`prior_tilt`); a decision rule fitted on validation data should follow.
    """

    fixed = True

    def __init__(
        self,
        *,
        weights: Annotated[
            PerClass, Field(description="factor on the loss of each class (no unit, 1 = unchanged)")
        ] = PerClass(1.10, 1.05, 0.80),  # noqa: B008 - an immutable tuple
    ) -> None:
        if min(weights) < 0 or max(weights) == 0:
            raise ValueError(f"weights must be >= 0 and not all 0; received {tuple(weights)}")
        self.weights = weights

    def start(self, labels: LabelArray) -> FloatArray:
        """Return the (3,) weights of the first epoch."""
        return np.asarray(self.weights, dtype=np.float64)

    def prior_tilt(self, label_share: FloatArray) -> FloatArray:
        """Return log w_c (3,), the log-odds that the weights add to a class, ``-inf`` for a weight of 0."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.asarray(self.weights, dtype=np.float64)))

    def update(self, labels: LabelArray, log_proba: FloatArray, epoch: int) -> FloatArray:
        """Return the same (3,) weights again."""
        return np.asarray(self.weights, dtype=np.float64)


@hookimpl
def simengine_register_reweighters() -> list[Component]:
    """Register the component."""
    return [Component("static", Static)]
