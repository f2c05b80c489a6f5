"""`temperature`: one number that sharpens or softens all probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import DataError
from simengine.evaluate.classification import classwise_ace, nll
from simengine.evaluate.logproba import log_softmax
from simengine.types import FloatArray, LabelArray
from simengine_plugins.calibrators.fitting import check_fit_rows

LOWEST, HIGHEST = 0.05, 20.0
_GRID = 25


class Temperature:
    """Divide the log-probabilities by one temperature, fitted on validation rows.

    ``log p' = log_softmax(log p / T)`` (Guo et al., "On Calibration of Modern Neural Networks",
    2017). T above 1 softens an over-confident model. The order of the classes in a row, and with it the
    argmax, never changes: a model that collapses to one class stays collapsed. The temperature is
    sought between 0.05 and 20; one at either end says that the scores are certain and right, or worth
    nothing. T = 1 is kept if nothing else is better on the rows it is fitted on.

    Parameters
    ----------
    objective : {"nll", "ace"}
        What T minimises on the validation rows: the mean negative log-likelihood in nats, or the
        classwise adaptive calibration error (15 equal-mass bins). The first is a proper score and
        smooth; the second is what it says, and noisier.

    Attributes
    ----------
    temperature_ : float
        The fitted temperature.

    Examples
    --------
    Probabilities (.8, .1, .1) at T = 2 become (.586, .207, .207).
    """

    temperature_: float

    def __init__(
        self,
        *,
        objective: Annotated[
            Literal["nll", "ace"],
            Field(description="what T minimises on validation rows: log-loss (nats) or calibration error"),
        ] = "nll",
    ) -> None:
        self.objective = objective

    def fit(self, log_proba: FloatArray, labels: LabelArray) -> Temperature:
        """Find the temperature on validation scores (n, 3) and labels (n,).

        Raises
        ------
        DataError
            If there are under 10 rows or only one class.
        """
        check_fit_rows("temperature", log_proba, labels, rows=10, classes=2)
        score = nll if self.objective == "nll" else classwise_ace

        def loss(log_temperature: float) -> float:
            return score(log_softmax(log_proba / np.exp(log_temperature)), labels)

        best = _minimise(loss)
        self.temperature_ = float(np.exp(best)) if loss(best) < loss(0.0) else 1.0
        return self

    def transform(self, log_proba: FloatArray) -> FloatArray:
        """Return normalised log-probabilities (n, 3) at the fitted temperature."""
        if not hasattr(self, "temperature_"):
            raise DataError("calibrator temperature: transform was called before fit")
        return log_softmax(log_proba / self.temperature_)


def _minimise(loss: Callable[[float], float]) -> float:
    """Return where ``loss`` of log T is least: a grid, then Brent between the best point's neighbours.

    The log-loss has one minimum, the calibration error several; the grid finds the right valley.
    """
    from scipy.optimize import minimize_scalar

    grid = np.linspace(np.log(LOWEST), np.log(HIGHEST), _GRID)
    losses = [loss(float(point)) for point in grid]
    best = int(np.argmin(losses))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)])
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5, "maxiter": 40})
    return float(found.x) if found.fun < losses[best] else float(grid[best])


@hookimpl
def simengine_register_calibrators() -> list[Component]:
    """Register the component."""
    return [Component("temperature", Temperature)]
