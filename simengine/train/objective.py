"""What a training step minimises: smoothed targets, the loss of each row, penalties."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.errors import PluginError
from simengine.types import N_CLASSES, FloatArray, LabelArray

if TYPE_CHECKING:
    from simengine.plugin.kinds import Loss, Penalty, Smoother
    from simengine.train.context import TrainContext


@dataclass(frozen=True)
class Objective:
    """The sum over the rows of a batch of weight x loss + share x penalties.

    Parameters
    ----------
    loss, smoother, penalties
        Components under ``training``; ``smoother`` may be None.
    """

    loss: Loss
    smoother: Smoother | None = None
    penalties: tuple[Penalty, ...] = ()

    @classmethod
    def of(cls, context: TrainContext) -> Objective:
        """Return the objective of a training."""
        return cls(context.loss, context.smoother, context.penalties)

    def total(self, labels: Any, logits: Any, rows: RowWeights, epoch: Any) -> Any:  # noqa: ANN401 - tensors
        """Return the sum that is minimised.

        Parameters
        ----------
        labels : int32 tensor, shape (B,)
        logits : float32 tensor, shape (B, 3)
        rows : RowWeights
            Of tensors.
        epoch : float32 tensor
            Counted from 1.
        """
        import tensorflow as tf

        targets = tf.one_hot(labels, N_CLASSES)
        if self.smoother is not None:
            targets = self.smoother(targets)
        total = tf.reduce_sum(self._losses(targets * rows.alpha, logits, epoch) * rows.weights)
        for penalty in self.penalties:
            total += tf.reduce_sum(_penalty(penalty, targets, logits, rows.shares) * rows.shares)
        return total

    def row_losses(self, labels: LabelArray, logits: FloatArray, epoch: int) -> FloatArray:
        """Return the loss (n,) of rows with hard targets, without weights and penalties."""
        import tensorflow as tf

        targets = tf.one_hot(labels.astype(np.int32), N_CLASSES)
        losses = self._losses(targets, tf.constant(logits, tf.float32), tf.constant(epoch, tf.float32))
        return np.asarray(losses, dtype=np.float64)

    def check(self) -> None:
        """Call every part once on two rows.

        Raises
        ------
        PluginError
            When one returns another shape than its contract says.
        """
        import tensorflow as tf

        targets, logits = tf.one_hot([0, 2], N_CLASSES), tf.zeros((2, N_CLASSES))
        if self.smoother is not None:
            found = tf.convert_to_tensor(self.smoother(targets)).shape
            if found != (2, N_CLASSES):
                raise PluginError(
                    f"smoother {type(self.smoother).__name__}: expected targets of shape (2, 3) for two "
                    f"rows; received shape {tuple(found)}"
                )
        answers: list[tuple[str, object, Any]] = [
            ("loss", self.loss, self._losses(targets, logits, tf.constant(1.0)))
        ]
        half = tf.constant([0.5, 0.5])
        answers += [("penalty", each, _penalty(each, targets, logits, half)) for each in self.penalties]
        for kind, part, answer in answers:
            found = tf.convert_to_tensor(answer).shape
            if found != (2,):
                raise PluginError(
                    f"{kind} {type(part).__name__}: expected one number per row, shape (2,) for two rows; "
                    f"received shape {tuple(found)}"
                )

    def _losses(self, targets: Any, logits: Any, epoch: Any) -> Any:  # noqa: ANN401
        if _takes("epoch", self.loss):
            changing: Callable[..., Any] = self.loss
            return changing(targets, logits, epoch)
        return self.loss(targets, logits)


@dataclass(frozen=True)
class RowWeights:
    """How much the rows of a batch count, as arrays or tensors.

    Parameters
    ----------
    weights : float32, shape (B,)
        Factors on the losses, 1 / rows and the weights of classes included.
    shares : float32, shape (B,)
        Factors on the penalties, 1 / rows; 0 for rows that only fill a batch up.
    alpha : float32, shape (3,)
        Factors on the classes' parts of the targets.
    """

    weights: Any
    shares: Any
    alpha: Any


def _penalty(penalty: Callable[..., Any], targets: Any, logits: Any, shares: Any) -> Any:  # noqa: ANN401
    if _takes("shares", penalty):
        return penalty(targets, logits, shares)
    return penalty(targets, logits)


def _takes(name: str, part: Callable[..., Any]) -> bool:
    """Return whether a component asks for a further argument."""
    return name in inspect.signature(part).parameters
