"""A price on being sure of some classes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.types import CLASS_NAMES


class Confidence:
    """Penalise low entropy of rows that are predicted as BUY: weight g sum_c p_c log p_c.

    This is -H(p), the confidence penalty of Pereyra et al., "Regularizing Neural Networks by Penalizing
    Confident Output Distributions", ICLR workshop 2017, on the rows predicted as one of ``classes`` only.
    The gate g says how far a row is: with ``soft`` it is the probability of those classes, with ``argmax``
    1 where the most probable class is among them and 0 elsewhere.

    The gate is a constant of the step: no gradient flows through it, so the penalty can only make rows
    less sure and never pays for moving them to another class. (With a gradient, -H(p) < 0 would reward a
    larger gate, that is, more BUY.) Soft is the default because it has no jump where two classes are
    about equally likely, which is where a collapsed network keeps most rows.

    The gradient on the logit of class c is weight g p_c (log p_c + H), 0 for equal probabilities: it acts
    on sure BUYs, and hardly on a network whose BUY is the most probable class by a hair. It makes the
    probabilities of those rows too flat; a calibrator should follow.

    Parameters
    ----------
    weight : float
        Lambda, in units of the loss (nats).
    classes : tuple of {"sell", "hold", "buy"}
        The penalised classes.
    gate : {"soft", "argmax"}
        What counts as predicted.

    Examples
    --------
    p = (0.1, 0.1, 0.8) has an entropy of 0.639: with the defaults its penalty is -0.05 * 0.8 * 0.639 =
    -0.0256 and its gradient on the logit of BUY 0.05 * 0.8 * 0.8 * (0.639 - 0.223) = 0.0133.
    """

    def __init__(
        self,
        *,
        weight: Annotated[float, Field(ge=0, description="lambda, in units of the loss (nats)")] = 0.05,
        classes: Annotated[
            tuple[Literal["sell", "hold", "buy"], ...],
            Field(min_length=1, description="predictions that are penalised"),
        ] = ("buy",),
        gate: Annotated[
            Literal["soft", "argmax"],
            Field(description="weigh a row by the probability of those classes, or by whether one wins"),
        ] = "soft",
    ) -> None:
        if len(set(classes)) < len(classes):
            raise ValueError(f"classes: expected each class once, received {list(classes)}")
        self.weight = weight
        self.classes = classes
        self.gate = gate

    def __call__(self, targets: Any, logits: Any) -> Any:  # noqa: ANN401 - tensors
        """Return the penalty (B,) of logits (B, 3); targets are not looked at."""
        import tensorflow as tf

        log_p = tf.nn.log_softmax(logits)
        p = tf.exp(log_p)
        penalised = tf.constant(np.isin(CLASS_NAMES, self.classes), dtype=log_p.dtype)
        predicted = p if self.gate == "soft" else tf.one_hot(tf.argmax(log_p, axis=-1), 3, dtype=log_p.dtype)
        gate = tf.stop_gradient(tf.reduce_sum(predicted * penalised, axis=-1))
        return self.weight * gate * tf.reduce_sum(p * log_p, axis=-1)


@hookimpl
def simengine_register_penalties() -> list[Component]:
    """Register the component."""
    return [Component("confidence", Confidence)]
