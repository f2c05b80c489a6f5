"""Train windows with a little random noise."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from simengine import Component, hookimpl


class Noise:
    """Add Gaussian noise to every value of every train window, new in every step.

    Training with noise is a smoothness penalty on the network (Bishop, "Training with Noise is
    Equivalent to Tikhonov Regularization", 1995). Features are scaled to a standard deviation of 1 on
    train, so ``scale`` is a fraction of a feature's own. Too much of it drowns a weak signal. A training
    step compiled with XLA draws other numbers from the same seed than a plain one.

    Parameters
    ----------
    scale : float
        Standard deviation of the noise, in standard deviations of the scaled features.

    Examples
    --------
    With 0.05 two of three values move by less than 5 % of their feature's standard deviation.
    """

    def __init__(
        self,
        *,
        scale: Annotated[
            float, Field(gt=0, description="standard deviation of the noise, in scaled feature units")
        ] = 0.05,
    ) -> None:
        self.scale = scale

    def __call__(self, batch: Any, seed: Any) -> Any:  # noqa: ANN401 - tensors
        """Return the batch (B, length, F) plus noise that ``seed`` (2,) decides."""
        import tensorflow as tf

        drawn = tf.random.stateless_normal(tf.shape(batch), seed, dtype=batch.dtype, alg="philox")
        return batch + self.scale * drawn


@hookimpl
def simengine_register_augmenters() -> list[Component]:
    """Register the component."""
    return [Component("noise", Noise)]
