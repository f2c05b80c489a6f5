"""`vector`: a scale and a bias for each class."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import DataError
from simengine.evaluate.logproba import log_softmax
from simengine.types import N_CLASSES, FloatArray, LabelArray
from simengine_plugins.calibrators.fitting import check_fit_rows


class Vector:
    """Scale and shift the log-probability of each class, fitted on validation rows.

    ``log p' = log_softmax(a * log p + b)`` with one ``a_c >= 0`` and one ``b_c`` per class, by maximum
    likelihood (vector scaling: Guo et al., "On Calibration of Modern Neural Networks", 2017). The
    biases take back what class weights, balanced sampling and focal losses have tilted, so that the
    mean probability of each class agrees with its share; that is why it cures more than `temperature`,
    which cannot move the argmax. A weak prior, ``a_c ~ N(1, 1 / l2)`` and ``b_c ~ N(0, 1 / l2)``, keeps
    the fit finite; the log-likelihood of the fitted rows is never below the uncalibrated one.

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

    scale_: FloatArray
    bias_: FloatArray

    def __init__(
        self,
        *,
        l2: Annotated[float, Field(ge=0, description="pull of scales to 1 and biases to 0, in rows")] = 1.0,
    ) -> None:
        self.l2 = l2

    def fit(self, log_proba: FloatArray, labels: LabelArray) -> Vector:
        """Find scales and biases on validation scores (n, 3) and labels (n,).

        Raises
        ------
        DataError
            If there are under 50 rows, a class does not occur, or the optimiser does not converge.
        """
        from scipy.optimize import minimize

        check_fit_rows("vector", log_proba, labels, rows=50, classes=3)
        columns = np.ascontiguousarray(log_proba.T, dtype=np.float64)
        onehot = np.eye(N_CLASSES)[:, labels]
        found = minimize(
            _penalised_nll,
            np.repeat([1.0, 0.0], N_CLASSES),
            args=(columns, onehot, self.l2),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, None)] * N_CLASSES + [(None, None)] * N_CLASSES,
            options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7},
        )
        slope = np.where((found.x[:N_CLASSES] <= 0) & (found.jac[:N_CLASSES] > 0), 0.0, found.jac[:N_CLASSES])
        steepest = float(np.abs(np.concatenate([slope, found.jac[N_CLASSES:]])).max())
        if not steepest < 1e-4:
            raise DataError(
                f"calibrator vector: did not converge on {len(labels)} validation rows (gradient "
                f"{steepest:.2g} after {found.nit} steps); raise l2 (now {self.l2}) or use temperature"
            )
        self.scale_ = found.x[:N_CLASSES]
        self.bias_ = found.x[N_CLASSES:] - found.x[N_CLASSES:].mean()
        return self

    def transform(self, log_proba: FloatArray) -> FloatArray:
        """Return normalised log-probabilities (n, 3) with the fitted scales and biases."""
        if not hasattr(self, "scale_"):
            raise DataError("calibrator vector: transform was called before fit")
        return log_softmax(self.scale_ * log_proba + self.bias_)


def _penalised_nll(
    parameters: FloatArray, columns: FloatArray, onehot: FloatArray, l2: float
) -> tuple[float, FloatArray]:
    """Return the mean negative log-posterior of (scales, biases) and its gradient (6,).

    ``columns`` are the scores and ``onehot`` the labels, both (3, n): class by class is faster.
    """
    scale, bias = parameters[:N_CLASSES, None], parameters[N_CLASSES:, None]
    n = columns.shape[1]
    scores = scale * columns + bias
    scores -= scores.max(axis=0)
    residual = np.exp(scores)
    total = residual.sum(axis=0)
    away = parameters - np.repeat([1.0, 0.0], N_CLASSES)
    value = np.log(total).mean() - (onehot * scores).sum() / n + l2 / (2 * n) * float(away @ away)
    residual /= total
    residual -= onehot
    gradient = np.concatenate([(residual * columns).mean(axis=1), residual.mean(axis=1)])
    return float(value), gradient + l2 / n * away


@hookimpl
def simengine_register_calibrators() -> list[Component]:
    """Register the component."""
    return [Component("vector", Vector)]
