"""One update of the weights: Adam with clipping and decoupled decay, and the average that follows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.train.average import WeightAverage

if TYPE_CHECKING:
    import keras

    from simengine.train.context import TrainContext
    from simengine.train.options import FitOptions

Arrays = list[np.ndarray[Any, np.dtype[Any]]]


def is_decayed(variable: keras.Variable) -> bool:
    """Return whether weight decay shrinks a weight: matrices of any kind, but no bias, scale or skip.

    A weight decays when it has two axes or more and is not called a bias. That takes in the embedding of
    the features, a linear layer like the others, and recurrent weights and convolutions; the biases of
    gates, scales of norms and skips have one axis or the name. The official xLSTM draws the line at the
    same place (``WeightDecayOptimGroupMixin``), except that it leaves out the sLSTM's recurrent weights.
    """
    return len(variable.shape) > 1 and "bias" not in variable.name


class Update:
    """Adam (Kingma and Ba, 2015) on the trainable weights of a network, its decay and their average.

    The decay is decoupled (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019):
    ``w <- w (1 - rate * weight_decay)`` before the step, for the weights of `is_decayed`.

    Parameters
    ----------
    model : keras.Model
        Built network.
    context : TrainContext
        Gives ``clip_norm``, the global norm at which gradients are scaled down.
    options : FitOptions
        Give ``weight_decay`` and ``ema``.
    """

    def __init__(self, model: keras.Model, context: TrainContext, options: FitOptions) -> None:
        import keras

        self.weights = model.trainable_variables
        self.optimizer = keras.optimizers.Adam(
            context.learning_rate,
            global_clipnorm=context.clip_norm,
            weight_decay=options.weight_decay or None,
        )
        if options.weight_decay:
            kept = [variable for variable in self.weights if not is_decayed(variable)]
            self.optimizer.exclude_from_weight_decay(var_list=kept)
        self.optimizer.build(self.weights)
        self.average = None if options.ema is None else WeightAverage(self.weights, options.ema)

    def apply(self, tape: Any, total: Any, rate: Any) -> None:  # noqa: ANN401 - a tape and tensors
        """Take one step against the gradient of ``total`` on ``tape``, inside a graph."""
        gradients = tape.gradient(total, self.weights)
        self.optimizer.learning_rate.assign(rate)
        self.optimizer.apply(gradients, self.weights)
        if self.average is not None:
            self.average.update(self.optimizer.iterations)

    def state(self) -> Arrays:
        """Return copies of everything that the next update depends on, besides the weights."""
        return [np.array(variable.numpy()) for variable in self._variables()]

    def restore(self, state: Sequence[np.ndarray[Any, Any]]) -> None:
        """Set what `state` returned."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def _variables(self) -> list[Any]:
        return [*self.optimizer.variables, *(self.average.variables if self.average is not None else ())]
