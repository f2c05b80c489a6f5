"""Class weights from the class counts."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.train.classes import class_counts
from simengine.types import FloatArray, LabelArray


class InverseFrequency:
    """Rare classes weigh more: w_c = (n / (3 n_c)) ** power.

    With power 1 every class contributes the same to the loss (scikit-learn's "balanced" weights after
    King and Zeng, 2001); power 0 changes nothing. The weights tilt the prior that the network learns by
    -power * log(train share) (`prior_tilt`); a decision rule fitted on validation data should follow.

    Examples
    --------
    1, 1 and 2 labels of SELL, HOLD and BUY give weights 4/3, 4/3 and 2/3.
    """

    fixed = True

    def __init__(
        self,
        *,
        power: Annotated[float, Field(ge=0, description="exponent on the inverse frequency")] = 1.0,
        normalize: Annotated[
            bool, Field(description="scale the weights so that their mean over the training rows is 1")
        ] = True,
    ) -> None:
        self.power = power
        self.normalize = normalize

    def start(self, labels: LabelArray) -> FloatArray:
        """Return the (3,) weights of the first epoch.

        Raises
        ------
        DataError
            When a class has no label.
        """
        counts = class_counts(labels, "reweighter inverse_frequency")
        weights: FloatArray = (len(labels) / (3.0 * counts)) ** self.power
        if self.normalize:
            weights = weights * (len(labels) / float(counts @ weights))
        self.weights_ = weights
        return weights.copy()

    def prior_tilt(self, label_share: FloatArray) -> FloatArray:
        """Return -power * log(share) (3,): the log-odds that the weights add to each class."""
        return -self.power * np.log(np.asarray(label_share, dtype=np.float64))

    def update(self, labels: LabelArray, log_proba: FloatArray, epoch: int) -> FloatArray:
        """Return the weights of the first epoch again."""
        return np.array(self.weights_, dtype=np.float64)


@hookimpl
def simengine_register_reweighters() -> list[Component]:
    """Register the component."""
    return [Component("inverse_frequency", InverseFrequency)]
