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
from simengine_plugins.calibrators.scaling import fit_scaling

SMALLEST_SCALE = 0.01
"""Keeps the order of the rows: a decision rule that matches shares needs scores that differ."""


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
        bounds = np.full(N_CLASSES, SMALLEST_SCALE), np.full(N_CLASSES, np.inf)
        self.scale_, self.bias_ = fit_scaling(log_proba, labels, bounds=bounds, l2=self.l2, name="vector")
        return self

    def transform(self, log_proba: FloatArray) -> FloatArray:
        """Return normalised log-probabilities (n, 3) with the fitted scales and biases."""
        if not hasattr(self, "scale_"):
            raise DataError("calibrator vector: transform was called before fit")
        return log_softmax(self.scale_ * log_proba + self.bias_)


@hookimpl
def simengine_register_calibrators() -> list[Component]:
    """Register the component."""
    return [Component("vector", Vector)]
