"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras


class WeightAverage:
    """Follows weights by ``a <- a + (1 - m_t) (w - a)`` with ``m_t = min(m, t / (t + 9))``.

    Averaging the iterates takes the noise of the last steps out of the result (Polyak and Juditsky,
    "Acceleration of Stochastic Approximation by Averaging", 1992). ``t`` counts the updates from 1, and
    the rise of ``m_t`` is that of ``tf.train.ExponentialMovingAverage`` with ``num_updates``: an average
    with constant m would hold on to the initial weights for some 1 / (1 - m) steps, which a short
    training does not have. After t steps the average reaches about t / 9 steps back at most.

    Parameters
    ----------
    variables : sequence of keras.Variable
        What is followed; the average starts at their values.
    momentum : float
        m, in (0, 1).
    """

    def __init__(self, variables: Sequence[keras.Variable], momentum: float) -> None:
        import tensorflow as tf

        if not 0.0 < momentum < 1.0:
            raise ValueError(f"ema must be above 0 and below 1; received {momentum}")
        self.momentum = momentum
        self.followed = list(variables)
        self.variables = [tf.Variable(variable.value, trainable=False) for variable in variables]

    def update(self, count: Any) -> None:  # noqa: ANN401 - tensor
        """Take the weights after update number ``count`` (from 1) into the average, inside a graph."""
        import tensorflow as tf

        count = tf.cast(count, tf.float32)
        share = 1.0 - tf.minimum(self.momentum, count / (count + 9.0))
        for average, variable in zip(self.variables, self.followed, strict=True):
            value = tf.convert_to_tensor(variable.value)
            average.assign_add(tf.cast(share, value.dtype) * (value - average))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in the place of the weights while it lasts."""
        kept = [np.array(variable.numpy()) for variable in self.followed]
        for average, variable in zip(self.variables, self.followed, strict=True):
            variable.assign(average)
        try:
            yield
        finally:
            for value, variable in zip(kept, self.followed, strict=True):
                variable.assign(value)
