"""`bias_corrected_temperature`: one temperature and a bias for each class."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import DataError
from simengine.evaluate.logproba import log_softmax
from simengine.types import N_CLASSES, FloatArray, LabelArray
from simengine_plugins.calibrators.fitting import check_fit_rows, minimise

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the temperature, as those of `temperature`."""

_LEAST_CURVATURE = 1e-12  # scores that vary by rounding alone have no scale to find


class BiasCorrectedTemperature:
    """Divide the log-probabilities by one temperature and add a bias for each class.

    ``log p' = log_softmax(log p / T + b)`` with b fitted by maximum likelihood on validation rows (BCTS:
    Alexandari, Kundaje and Shrikumar, "Maximum Likelihood with Bias-Corrected Calibration is
    Hard-To-Beat at Label Shift Adaptation", ICML 2020). Between `temperature`, which cannot take back what
    class weights, balanced batches and focal losses have tilted, and `vector`, whose scale differs by
    class: four numbers instead of six, for short validation segments. A weak prior keeps the fit
    finite: 1 / T and the shift of the class's mean score are normal around 1 and 0 with variance
    ``1 / l2``. T is sought between 0.05 and 20. The log-likelihood of the fitted rows is never below the
    uncalibrated one.

    Parameters
    ----------
    l2 : float
        Strength of the prior in rows: 1 weighs as much as one row or so, whatever their number.

    Attributes
    ----------
    temperature_ : float
        T.
    bias_ : float64 array, shape (3,)
        b of SELL, HOLD, BUY, in nats; sums to 0.

    Examples
    --------
    Probabilities (.8, .1, .1) at T = 2 become (.586, .207, .207); a bias of (0, log 2, 0) then makes
    them (.485, .343, .172).
    """

    corrects_prior = True

    temperature_: float
    bias_: FloatArray

    def __init__(
        self,
        *,
        l2: Annotated[float, Field(ge=0, description="pull of 1 / T to 1 and shifts to 0, in rows")] = 1.0,
    ) -> None:
        self.l2 = l2

    def fit(self, log_proba: FloatArray, labels: LabelArray) -> BiasCorrectedTemperature:
        """Find temperature and biases on validation scores (n, 3) and labels (n,).

        Raises
        ------
        DataError
            If there are under 50 rows, a class does not occur, or the optimiser does not converge.
        """
        check_fit_rows("bias_corrected_temperature", log_proba, labels, rows=50, classes=3)
        scores = np.ascontiguousarray(log_proba.T, dtype=np.float64)  # class by class is faster
        mean = scores.mean(axis=1)
        slope, shift = _fit(scores - mean[:, None], mean, np.eye(N_CLASSES)[:, labels], self.l2)
        bias = shift - (slope - 1.0) * mean
        self.temperature_ = 1.0 / slope
        self.bias_ = bias - bias.mean()
        return self

    def transform(self, log_proba: FloatArray) -> FloatArray:
        """Return normalised log-probabilities (n, 3) with the fitted temperature and biases."""
        if not hasattr(self, "temperature_"):
            raise DataError("calibrator bias_corrected_temperature: transform was called before fit")
        return log_softmax(log_proba / self.temperature_ + self.bias_)


def _fit(centred: FloatArray, mean: FloatArray, onehot: FloatArray, l2: float) -> tuple[float, FloatArray]:
    """Return the most probable 1 / T and shifts (3,) of centred scores (3, n)."""
    n = centred.shape[1]
    # Steps in units of each parameter's own curvature; 1/4 bounds the variance of a class indicator.
    curvature = np.concatenate([[centred.var(axis=1).sum()], np.ones(N_CLASSES)]) / 4 + l2 / n
    step = 1.0 / np.sqrt(np.maximum(curvature, _LEAST_CURVATURE))
    identity = np.array([1.0, 0.0, 0.0, 0.0])

    def loss(z: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = _penalised_nll(identity + step * z, centred, mean, onehot, l2)
        return value, gradient * step

    lowest, highest = np.full(4, -np.inf), np.full(4, np.inf)
    lowest[0], highest[0] = (1 / HIGHEST - 1) / step[0], (1 / LOWEST - 1) / step[0]
    found = minimise(
        loss,
        np.zeros(4),
        who=f"bias_corrected_temperature on {n} validation rows",
        advice=f"raise l2 (now {l2}) or use temperature",
        lowest=lowest,
        highest=highest,
    )
    best = identity + step * found
    return float(np.clip(best[0], 1 / HIGHEST, 1 / LOWEST)), best[1:]


def _penalised_nll(
    parameters: FloatArray, centred: FloatArray, mean: FloatArray, onehot: FloatArray, l2: float
) -> tuple[float, FloatArray]:
    """Return the mean negative log-posterior of (1 / T, shifts) and its gradient (4,)."""
    n = centred.shape[1]
    scores = parameters[0] * centred + (mean + parameters[1:])[:, None]
    scores -= scores.max(axis=0)
    residual = np.exp(scores)
    total = residual.sum(axis=0)
    away = parameters - [1.0, 0.0, 0.0, 0.0]
    value = np.log(total).mean() - (onehot * scores).sum() / n + l2 / (2 * n) * float(away @ away)
    residual /= total
    residual -= onehot
    slope = (residual * centred).sum() / n
    gradient = np.concatenate([[slope], residual.mean(axis=1)])
    return float(value), gradient + l2 / n * away


@hookimpl
def simengine_register_calibrators() -> list[Component]:
    """Register the component."""
    return [Component("bias_corrected_temperature", BiasCorrectedTemperature)]
