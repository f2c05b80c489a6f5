"""Cross-entropy on logits shifted by the class prior."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.train.classes import class_prior
from simengine.types import FloatArray, LabelArray


class LogitAdjusted:
    """Cross-entropy of logits + tau * log(train share of the class).

    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021. The prior is added in training
    only, so the network's own logits are those of a balanced world: with tau 1 their argmax minimises
    the balanced error. It tilts the prior by -tau * log(train share) (`prior_tilt`), as class weights do; the
    two add up.
    """

    def __init__(
        self,
        *,
        tau: Annotated[
            float, Field(ge=0, description="share of the log prior added; 0 is cross-entropy")
        ] = 1.0,
    ) -> None:
        self.tau = tau

    def fit(self, labels: LabelArray) -> LogitAdjusted:
        """Learn the class shares from the train labels.

        Raises
        ------
        DataError
            When a class has no label.
        """
        self.log_prior_ = np.log(class_prior(labels, "loss logit_adjusted"))
        return self

    def prior_tilt(self, label_share: FloatArray) -> FloatArray:
        """Return -tau * log(share) (3,): the log-odds that the network's own logits gain for each class."""
        return -self.tau * np.log(np.asarray(label_share, dtype=np.float64))

    def __call__(self, targets: Any, logits: Any) -> Any:  # noqa: ANN401 - tensors
        """Return the loss (B,) of float targets (B, 3) and logits (B, 3)."""
        import tensorflow as tf

        shift = tf.constant(self.tau * np.asarray(self.log_prior_), dtype=logits.dtype)
        return -tf.reduce_sum(targets * tf.nn.log_softmax(logits + shift), axis=-1)


@hookimpl
def simengine_register_losses() -> list[Component]:
    """Register the component."""
    return [Component("logit_adjusted", LogitAdjusted)]
