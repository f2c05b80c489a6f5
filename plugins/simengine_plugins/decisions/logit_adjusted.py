"""`logit_adjusted`: the class whose probability exceeds its prior most."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import DataError
from simengine.evaluate.classification import argmax_signals
from simengine.types import DecisionContext, FloatArray, LabelArray


class LogitAdjusted:
    """Subtract the log class prior of the train rows before taking the argmax.

    ``argmax_c (log p_c - tau * log prior_c)`` (Menon et al., "Long-Tail Learning via Logit
    Adjustment", 2021, post-hoc form). With tau = 1 it is the rule of least balanced error when the
    probabilities are right. It does not look at the validation rows; on top of class weights,
    balanced sampling or the loss of the same name it corrects the same tilt twice: their log-odds add up
    (`prior_tilt`).

    Parameters
    ----------
    tau : float
        How much of the log prior is taken off; 0 is the plain argmax.

    Attributes
    ----------
    offsets_ : float64 array, shape (3,)
        ``-tau * log prior`` of SELL, HOLD, BUY, in nats.

    Examples
    --------
    With priors (.2, .3, .5) a row of probabilities (.25, .30, .45) becomes SELL: .25 / .2 is the
    largest ratio.
    """

    fitted_on_val = False

    offsets_: FloatArray

    def __init__(
        self,
        *,
        tau: Annotated[float, Field(ge=0, description="share of the log prior that is taken off")] = 1.0,
    ) -> None:
        self.tau = tau

    def fit(self, log_proba: FloatArray, labels: LabelArray, context: DecisionContext) -> LogitAdjusted:
        """Take the prior from the train shares.

        Raises
        ------
        DataError
            If a class has no train rows.
        """
        share = np.asarray(context.train_share, dtype=np.float64)
        if not (share > 0).all():
            raise DataError(
                f"decision logit_adjusted: every class needs train rows, received the shares {share.tolist()}"
            )
        self.offsets_ = -self.tau * np.log(share)
        return self

    def prior_tilt(self, label_share: FloatArray) -> FloatArray:
        """Return -tau * log(share) (3,): the log-odds that the decision adds to each class."""
        return -self.tau * np.log(np.asarray(label_share, dtype=np.float64))

    def decide(self, log_proba: FloatArray) -> LabelArray:
        """Return the class (n,) with the largest adjusted score of scores (n, 3)."""
        if not hasattr(self, "offsets_"):
            raise DataError("decision logit_adjusted: decide was called before fit")
        return argmax_signals(log_proba + self.offsets_)


@hookimpl
def simengine_register_decisions() -> list[Component]:
    """Register the component."""
    return [Component("logit_adjusted", LogitAdjusted)]
