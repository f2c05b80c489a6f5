"""Focal loss with a focus of its own for every class."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.types import FloatArray
from simengine_plugins.losses.terms import log_proba_and_rest


class AsymmetricFocal:
    """Focal loss per class: -sum_c t_c alpha_c (1 - p_c) ** gamma_c log p_c.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, with a gamma for each class in the
    spirit of Ridnik et al., "Asymmetric Loss For Multi-Label Classification", ICCV 2021, here for softmax
    probabilities. A larger gamma makes the rows of a class that the network already gets right count
    less, so with the largest for BUY the network gains least from ever surer BUYs. It is no proper score:
    the probabilities it teaches are under-confident, by class, so a calibrator should follow.

    With ``warmup_epochs`` the loss begins as cross-entropy and becomes focal linearly. In epoch e, counted
    from 1, with a share of s = min(1, (e - 1) / warmup_epochs)::

        -sum_c t_c alpha_c (1 - s + s (1 - p_c) ** gamma_c) log p_c

    Early in training every row is uncertain and a focal loss has little to tell apart; the warm-up keeps
    its full gradient there. ``alpha`` is a class weight and acts from the first epoch on; a reweighter
    multiplies it once more. It tilts the prior that the network learns by log alpha_c (`prior_tilt`); so
    do unequal gammas, by an amount that has no closed form and is not counted. A decision rule fitted on
    validation data should follow.

    Both log p and log(1 - p) are taken from the logits, so the gradient does not vanish on rows that are
    far wrong.

    Parameters
    ----------
    gamma : PerClass
        Exponents on 1 - p; 0 is cross-entropy.
    alpha : PerClass
        Factors on the loss of each class.
    warmup_epochs : int
        Epochs over which cross-entropy becomes focal; 0: focal from the start.

    Examples
    --------
    A row whose true class has probability 0.5 costs 0.693 as cross-entropy; with the default gamma
    0.245 as SELL or HOLD and 0.123 as BUY.
    """

    def __init__(
        self,
        *,
        gamma: Annotated[
            PerClass, Field(description="exponent on 1 - p of each class; 0 is cross-entropy")
        ] = PerClass(1.5, 1.5, 2.5),  # noqa: B008 - an immutable tuple
        alpha: Annotated[PerClass, Field(description="factor on the loss of each class")] = PerClass(  # noqa: B008
            1.0, 1.0, 1.0
        ),
        warmup_epochs: Annotated[
            int, Field(ge=0, description="epochs from cross-entropy to focal, linearly; 0: focal at once")
        ] = 0,
    ) -> None:
        if min(gamma) < 0:
            raise ValueError(f"gamma must be >= 0; received {tuple(gamma)}")
        if min(alpha) < 0 or max(alpha) == 0:
            raise ValueError(f"alpha must be >= 0 and not all 0; received {tuple(alpha)}")
        self.gamma = gamma
        self.alpha = alpha
        self.warmup_epochs = warmup_epochs

    def prior_tilt(self, label_share: FloatArray) -> FloatArray:
        """Return log alpha_c (3,): the log-odds that alpha adds to each class; ``-inf`` for an alpha of 0."""
        with np.errstate(divide="ignore"):
            tilt: FloatArray = np.log(np.asarray(self.alpha, dtype=np.float64))
        return tilt

    def __call__(self, targets: Any, logits: Any, epoch: Any) -> Any:  # noqa: ANN401 - tensors
        """Return the loss (B,) of targets (B, 3) and logits (B, 3) in an epoch counted from 1."""
        import tensorflow as tf

        log_p, log_rest = log_proba_and_rest(logits)
        factor = tf.exp(tf.constant(self.gamma, dtype=log_p.dtype) * log_rest)
        if self.warmup_epochs:
            done = tf.clip_by_value((tf.cast(epoch, log_p.dtype) - 1.0) / self.warmup_epochs, 0.0, 1.0)
            factor = 1.0 - done + done * factor
        return -tf.reduce_sum(targets * tf.constant(self.alpha, dtype=log_p.dtype) * factor * log_p, axis=-1)


@hookimpl
def simengine_register_losses() -> list[Component]:
    """Register the component."""
    return [Component("asymmetric_focal", AsymmetricFocal)]
