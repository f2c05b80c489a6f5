"""Focal loss: cross-entropy that looks away from rows it already gets right."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.types import FloatArray
from simengine_plugins.losses.terms import log_proba_and_rest


class Focal:
    """Focal loss: -sum_c t_c alpha_c (1 - p_c) ** gamma log p_c.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, for three classes. Gamma 0 and alpha
    1 is cross-entropy. It is no proper score: the probabilities it teaches are under-confident, so a
    calibrator should follow. Alpha tilts the prior that the network learns by log alpha_c (`prior_tilt`);
    what gamma does to it has no closed form and is not counted. Both log p and log(1 - p) are taken from
    the logits, so the gradient does not vanish on rows that are far wrong.

    Examples
    --------
    A row whose true class has probability 0.5 costs 0.693 as cross-entropy and 0.25 * 0.693 = 0.173
    with gamma 2.
    """

    def __init__(
        self,
        *,
        gamma: Annotated[float, Field(ge=0, description="exponent on 1 - p; 0 is cross-entropy")] = 2.0,
        alpha: Annotated[
            PerClass | None, Field(description="factor on the loss of each class; null is 1 for all")
        ] = None,
    ) -> None:
        if alpha is not None and (min(alpha) < 0 or max(alpha) == 0):
            raise ValueError(f"alpha must be >= 0 and not all 0; received {tuple(alpha)}")
        self.gamma = gamma
        self.alpha = alpha

    def prior_tilt(self, label_share: FloatArray) -> FloatArray:
        """Return log alpha_c (3,), the log-odds that alpha adds to a class, ``-inf`` for an alpha of 0."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.asarray(self.alpha or (1.0, 1.0, 1.0), dtype=np.float64)))

    def __call__(self, targets: Any, logits: Any) -> Any:  # noqa: ANN401 - tensors
        """Return the loss (B,) of float targets (B, 3) and logits (B, 3)."""
        import tensorflow as tf

        log_p, log_rest = log_proba_and_rest(logits)
        alpha = tf.constant(self.alpha or (1.0, 1.0, 1.0), dtype=log_p.dtype)
        return -tf.reduce_sum(targets * alpha * tf.exp(self.gamma * log_rest) * log_p, axis=-1)


@hookimpl
def simengine_register_losses() -> list[Component]:
    """Register the component."""
    return [Component("focal", Focal)]
