"""Class weights that follow what the network predicts."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.errors import DataError
from simengine.log import event, get_logger
from simengine.train.classes import class_counts, class_prior
from simengine.types import CLASS_NAMES, FloatArray, IntArray, LabelArray

# Named below simengine, whose handlers write log.jsonl; the name of this module is not.
logger = get_logger("simengine.reweighters.prediction_aware")


class PredictionAware:
    """Classes that are predicted too rarely, or missed too often, weigh more in the next epoch.

    After each epoch, over the train rows that the balancer showed (synthetic ones included, mined ones not)::

        share_c = mean of p_c                      (soft)   or of [argmax = c]           (argmax)
        error_c = mean of 1 - p_c over rows of c   (soft)   or of [argmax != c] there    (argmax)
        move_c  = (1 - error_weight) (1 - share_c / target_c) + error_weight (error_c - mean_k error_k)
        m       = ema m + (1 - ema) move           (the first epoch's move starts it)
        log w  += step m / max(1, max_c |m_c|)

    so no log weight moves by more than ``step``. Where the largest weight would be above ``max_ratio``
    times the smallest, all log weights are shrunk towards their mean until it is not. Weights are then
    scaled to a mean of 1 over the train rows, so that the learning rate keeps its meaning. The rule is
    simengine's own: feedback by multiplicative weights, as in Freund and Schapire, "A decision-theoretic
    generalization of on-line learning", 1997.

    The default target is the label shares of the same rows. A network that is calibrated on average
    predicts just these, so the weights then stay near 1 (the errors, larger for rare classes, move them
    a little); a collapse that is one of argmax alone shows in ``shares: argmax`` only, and chasing it by
    weights spoils the probabilities. Under class quotas the target is the quotas, not the label shares
    of the market.

    ``applies_to`` says where a weight acts: ``sample_weight`` multiplies the loss of a row by the weight
    of its label, ``alpha`` the part of each class in the targets of a row. The two are equal for hard
    targets; with label smoothing, ``alpha`` also weighs the share of the targets that smoothing moved.

    Weights tilt the prior that the network learns, in the first epoch by log initial_c (`prior_tilt`), then
    by the log of what the predictions made of them; a decision rule fitted on validation data should
    follow. The shares, errors and weights of every epoch are logged as the event ``reweighted``.

    Parameters
    ----------
    shares : {"soft", "argmax"}
        What counts as predicted.
    target : PerClass, optional
        Wanted shares of the predictions on train rows; by default the label shares of the same rows.
    error_weight : float
        Share of the per-class error in a move, 0 to 1.
    step : float
        Largest change of a log weight in one epoch.
    ema : float
        Memory of earlier moves, in [0, 1); 0 looks at the last epoch alone.
    max_ratio : float
        Largest weight over the smallest, above 1.
    initial : PerClass
        Weights of the first epoch, before they are scaled to a mean of 1.
    applies_to : {"sample_weight", "alpha"}
        Where the weights act.

    Examples
    --------
    Labels of 28.3 / 33.9 / 37.8 %, shares of 3 / 2 / 95 % predicted, ``error_weight: 0``: the moves are
    0.89, 0.94 and -1.51, so with a step of 0.1 the log weights change by 0.059, 0.062 and -0.1.
    """

    def __init__(
        self,
        *,
        shares: Annotated[
            Literal["soft", "argmax"],
            Field(description="predicted shares: mean probabilities, or counts of the most probable class"),
        ] = "soft",
        target: Annotated[
            PerClass | None,
            Field(description="wanted shares of the predictions; null: label shares of the same rows"),
        ] = None,
        error_weight: Annotated[
            float, Field(ge=0, le=1, description="share of the per-class error in a move")
        ] = 0.25,
        step: Annotated[
            float, Field(gt=0, le=1, description="largest change of a log weight an epoch")
        ] = 0.1,
        ema: Annotated[float, Field(ge=0, lt=1, description="memory of earlier moves; 0: none")] = 0.5,
        max_ratio: Annotated[float, Field(gt=1, description="largest weight over the smallest")] = 3.0,
        initial: Annotated[
            PerClass, Field(description="weights of the first epoch, before scaling to a mean of 1")
        ] = PerClass(1.0, 1.0, 1.0),  # noqa: B008 - an immutable tuple
        applies_to: Annotated[
            Literal["sample_weight", "alpha"],
            Field(description="weigh rows by their label, or each class's part of the targets"),
        ] = "sample_weight",
    ) -> None:
        if target is not None and (min(target) <= 0 or abs(sum(target) - 1) > 1e-9):
            raise ValueError(f"target must be above 0 and sum to 1; received {tuple(target)}")
        if min(initial) <= 0 or max(initial) > max_ratio * min(initial) * (1 + 1e-9):
            raise ValueError(
                f"initial must be above 0 with a ratio of at most max_ratio {max_ratio:g}; "
                f"received {tuple(initial)}"
            )
        self.shares = shares
        self.target = target
        self.error_weight = error_weight
        self.step = step
        self.ema = ema
        self.max_ratio = max_ratio
        self.initial = initial
        self.applies_to = applies_to

    def prior_tilt(self, label_share: FloatArray) -> FloatArray:
        """Return log initial_c (3,), the tilt of the first epoch; the later ones follow the predictions."""
        tilt: FloatArray = np.log(np.asarray(self.initial, dtype=np.float64))
        return tilt

    def start(self, labels: LabelArray) -> FloatArray:
        """Return the (3,) weights of the first epoch.

        Raises
        ------
        DataError
            When a class has no label.
        """
        self.train_share_ = class_prior(labels, "reweighter prediction_aware")
        self.move_: FloatArray | None = None
        self.weights_ = self._scaled(np.asarray(self.initial, dtype=np.float64))
        return self.weights_.copy()

    def update(self, labels: LabelArray, log_proba: FloatArray, epoch: int) -> FloatArray:
        """Return the (3,) weights of the next epoch.

        Raises
        ------
        DataError
            When the rows of the epoch lack a class, whose error is then unknown.
        """
        counts = class_counts(labels, "reweighter prediction_aware")
        target = counts / len(labels) if self.target is None else np.asarray(self.target)
        share, error = self._measured(labels, log_proba, counts)
        move = (1 - self.error_weight) * (1 - share / target) + self.error_weight * (error - error.mean())
        if not np.isfinite(move).all():
            raise DataError(f"reweighter prediction_aware: predictions of epoch {epoch} are not finite")
        if self.move_ is not None:
            move = self.ema * self.move_ + (1 - self.ema) * move
        self.move_ = move
        change = self.step * move / max(1.0, float(np.abs(move).max()))
        self.weights_, limited = self._moved(change)
        self._log(epoch, target, share, error, limited)
        return self.weights_.copy()

    def _measured(
        self, labels: LabelArray, log_proba: FloatArray, counts: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the predicted share and the error of each class, (3,) each."""
        proba: FloatArray = np.exp(log_proba)
        if self.shares == "argmax":
            proba = np.eye(len(counts))[log_proba.argmax(axis=1)]
        hit = np.bincount(labels, weights=proba[np.arange(len(labels)), labels], minlength=len(counts))
        return proba.mean(axis=0), 1 - hit / counts

    def _moved(self, change: FloatArray) -> tuple[FloatArray, bool]:
        """Return the changed weights and whether ``max_ratio`` held them back."""
        logs: FloatArray = np.log(self.weights_) + change
        logs -= logs.mean()
        spread, limit = float(np.ptp(logs)), math.log(self.max_ratio)
        limited = spread > limit
        return self._scaled(np.exp(logs * (limit / spread) if limited else logs)), limited

    def _scaled(self, weights: FloatArray) -> FloatArray:
        scaled: FloatArray = weights / float(self.train_share_ @ weights)
        return scaled

    def _log(
        self, epoch: int, target: FloatArray, share: FloatArray, error: FloatArray, limited: bool
    ) -> None:
        told = {"target": target, "share": share, "error": error, "weights": self.weights_}
        per_class = {
            what: dict(zip(CLASS_NAMES, values.tolist(), strict=True)) for what, values in told.items()
        }
        weights = ", ".join(f"{c.upper()} {w:.3f}" for c, w in zip(CLASS_NAMES, self.weights_, strict=True))
        held = f" (held at a ratio of {self.max_ratio:g})" if limited else ""
        event(
            logger,
            "reweighted",
            f"class weights after epoch {epoch}: {weights}{held}",
            epoch=epoch,
            limited=limited,
            **per_class,
        )


@hookimpl
def simengine_register_reweighters() -> list[Component]:
    """Register the component."""
    return [Component("prediction_aware", PredictionAware)]
