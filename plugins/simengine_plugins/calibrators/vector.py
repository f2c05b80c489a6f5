"""`vector`: a scale and a bias for each class."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import DataError
from simengine.evaluate.logproba import log_softmax
from simengine.types import N_CLASSES, FloatArray, LabelArray
from simengine_plugins.calibrators.fitting import check_fit_rows, minimise

IDENTITY = np.repeat([1.0, 0.0], N_CLASSES)
"""Scales of 1 and shifts of 0: the scores as they are."""

SMALLEST_SCALE = 0.01
"""Keeps the order of the rows: a decision rule that matches shares needs scores that differ."""

_LEAST_CURVATURE = 1e-12  # scores that vary by rounding alone have no scale to find


class Vector:
    """Scale and shift the log-probability of each class, fitted on validation rows.

    ``log p' = log_softmax(a * log p + b)`` with one ``a_c >= 0.01`` and one ``b_c`` per class, by maximum
    likelihood (vector scaling: Guo et al., "On Calibration of Modern Neural Networks", 2017). The
    biases take back what class weights, balanced sampling and focal losses have tilted, so that the
    mean probability of each class agrees with its share; that is why it cures more than `temperature`,
    which cannot move the argmax. A weak prior keeps the fit finite: ``a_c`` and the shift of the class's
    mean score are normal around 1 and 0 with variance ``1 / l2``. The log-likelihood of the fitted rows
    is never below the uncalibrated one. Scores that speak against their labels are all but
    ignored (a = 0.01), not turned round.

    Parameters
    ----------
    l2 : float
        Strength of the prior in rows: 1 weighs as much as one row or so, whatever their number.

    Attributes
    ----------
    scale_ : float64 array, shape (3,)
        a of SELL, HOLD, BUY.
    bias_ : float64 array, shape (3,)
        b of SELL, HOLD, BUY; sums to 0.
    """

    corrects_prior = True

    scale_: FloatArray
    bias_: FloatArray

    def __init__(
        self,
        *,
        l2: Annotated[float, Field(ge=0, description="pull of scales to 1 and shifts to 0, in rows")] = 1.0,
    ) -> None:
        self.l2 = l2

    def fit(self, log_proba: FloatArray, labels: LabelArray) -> Vector:
        """Find scales and biases on validation scores (n, 3) and labels (n,).

        Raises
        ------
        DataError
            If there are under 50 rows, a class does not occur, or the optimiser does not converge.
        """
        check_fit_rows("vector", log_proba, labels, rows=50, classes=3)
        scores = np.ascontiguousarray(log_proba.T, dtype=np.float64)  # class by class is faster
        mean = scores.mean(axis=1)
        scale, shift = _fit(scores - mean[:, None], mean, np.eye(N_CLASSES)[:, labels], self.l2)
        bias = shift - (scale - 1.0) * mean
        self.scale_ = scale
        self.bias_ = bias - bias.mean()
        return self

    def transform(self, log_proba: FloatArray) -> FloatArray:
        """Return normalised log-probabilities (n, 3) with the fitted scales and biases."""
        if not hasattr(self, "scale_"):
            raise DataError("calibrator vector: transform was called before fit")
        return log_softmax(self.scale_ * log_proba + self.bias_)


def _fit(
    centred: FloatArray, mean: FloatArray, onehot: FloatArray, l2: float
) -> tuple[FloatArray, FloatArray]:
    """Return the most probable scales (3,) and shifts (3,) of centred scores (3, n)."""
    n = centred.shape[1]
    # Steps in units of each parameter's own curvature: without them scores that hardly vary take
    # L-BFGS hundreds of steps. 1/4 bounds the variance of a class indicator.
    curvature = np.concatenate([centred.var(axis=1), np.ones(N_CLASSES)]) / 4 + l2 / n
    step = 1.0 / np.sqrt(np.maximum(curvature, _LEAST_CURVATURE))

    def loss(z: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = _penalised_nll(IDENTITY + step * z, centred, mean, onehot, l2)
        return value, gradient * step

    lowest = np.full(len(step), -np.inf)
    lowest[:N_CLASSES] = (SMALLEST_SCALE - 1.0) / step[:N_CLASSES]
    found = minimise(
        loss,
        np.zeros(len(step)),
        who=f"vector on {n} validation rows",
        advice=f"raise l2 (now {l2}) or use temperature",
        lowest=lowest,
    )
    best = IDENTITY + step * found
    return np.maximum(best[:N_CLASSES], SMALLEST_SCALE), best[N_CLASSES:]


def _penalised_nll(
    parameters: FloatArray, centred: FloatArray, mean: FloatArray, onehot: FloatArray, l2: float
) -> tuple[float, FloatArray]:
    """Return the mean negative log-posterior of (scales, shifts) and its gradient (6,)."""
    scale, shift = parameters[:N_CLASSES], parameters[N_CLASSES:]
    n = centred.shape[1]
    scores = scale[:, None] * centred + (mean + shift)[:, None]
    scores -= scores.max(axis=0)
    residual = np.exp(scores)
    total = residual.sum(axis=0)
    away = parameters - IDENTITY
    value = np.log(total).mean() - (onehot * scores).sum() / n + l2 / (2 * n) * float(away @ away)
    residual /= total
    residual -= onehot
    gradient = np.concatenate([(residual * centred).mean(axis=1), residual.mean(axis=1)])
    return float(value), gradient + l2 / n * away


@hookimpl
def simengine_register_calibrators() -> list[Component]:
    """Register the component."""
    return [Component("vector", Vector)]
