"""A price on predicting classes in other shares than wanted."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from simengine import Component, PerClass, hookimpl


class ShareKL:
    """Pull the batch's mean prediction to target shares: weight sum_c pi_c log(pi_c / mean_b p_bc).

    The Kullback-Leibler divergence of the target shares pi against the mean probabilities of the batch,
    as in the label regularisation of Mann and McCallum, "Simple, robust, scalable semi-supervised
    learning via expectation regularization", ICML 2007. It is 0 when the network predicts the classes in
    the target shares on average, and is the same number for every row of a batch.

    The default target is the mean of the batch's own targets: then a proper loss reaches 0 by itself, and
    the penalty works against what moves the mean prediction, a focal loss or class weights. Fixed shares
    tilt the prior; a decision rule fitted on validation data should follow. The mean of probabilities
    says little of the shares of argmax, which collapse when the signal is weak.

    Parameters
    ----------
    weight : float
        Factor, in units of the loss (nats).
    target : PerClass, optional
        Target shares; by default those of the targets in the batch, smoothing included.

    Examples
    --------
    A mean prediction of (0.05, 0.05, 0.90) against label shares of (0.283, 0.339, 0.378) costs 0.811
    times the weight.
    """

    def __init__(
        self,
        *,
        weight: Annotated[float, Field(ge=0, description="factor, in units of the loss (nats)")] = 0.5,
        target: Annotated[
            PerClass | None,
            Field(description="target shares (sum to 1); null: those of the batch's own targets"),
        ] = None,
    ) -> None:
        if target is not None and (min(target) < 0 or abs(sum(target) - 1) > 1e-9):
            raise ValueError(f"target must be >= 0 and sum to 1; received {tuple(target)}")
        self.weight = weight
        self.target = target

    def __call__(self, targets: Any, logits: Any, shares: Any = None) -> Any:  # noqa: ANN401 - tensors
        """Return the penalty (B,), equal for all rows, of targets (B, 3) and logits (B, 3).

        ``shares`` (B,) are what the rows count in the means; by default all the same.
        """
        import tensorflow as tf

        log_p = tf.nn.log_softmax(logits)
        counted = tf.ones_like(log_p[:, 0]) if shares is None else shares
        counted = counted / tf.reduce_sum(counted)
        # The log of the mean from logs: a class that no row predicts keeps its gradient.
        log_mean = tf.reduce_logsumexp(log_p + tf.math.log(counted)[:, None], axis=0)
        if self.target is None:
            wanted = tf.reduce_sum(counted[:, None] * targets, axis=0)
        else:
            wanted = tf.constant(self.target, dtype=log_p.dtype)
        divergence = tf.reduce_sum(tf.math.xlogy(wanted, wanted) - wanted * log_mean)
        return self.weight * divergence * tf.ones_like(log_p[:, 0])


@hookimpl
def simengine_register_penalties() -> list[Component]:
    """Register the component."""
    return [Component("share_kl", ShareKL)]
