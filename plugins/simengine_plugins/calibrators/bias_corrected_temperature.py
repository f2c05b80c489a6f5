"""`bias_corrected_temperature`: one temperature and a bias for each class."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import DataError
from simengine.evaluate.logproba import log_softmax
from simengine.types import FloatArray, LabelArray
from simengine_plugins.calibrators.fitting import check_fit_rows
from simengine_plugins.calibrators.scaling import fit_scaling

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the temperature, as those of `temperature`."""


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
        bounds = np.array([1.0 / HIGHEST]), np.array([1.0 / LOWEST])
        slope, self.bias_ = fit_scaling(
            log_proba, labels, bounds=bounds, l2=self.l2, name="bias_corrected_temperature"
        )
        self.temperature_ = 1.0 / float(slope[0])
        return self

    def transform(self, log_proba: FloatArray) -> FloatArray:
        """Return normalised log-probabilities (n, 3) with the fitted temperature and biases."""
        if not hasattr(self, "temperature_"):
            raise DataError("calibrator bias_corrected_temperature: transform was called before fit")
        return log_softmax(log_proba / self.temperature_ + self.bias_)


@hookimpl
def simengine_register_calibrators() -> list[Component]:
    """Register the component."""
    return [Component("bias_corrected_temperature", BiasCorrectedTemperature)]
