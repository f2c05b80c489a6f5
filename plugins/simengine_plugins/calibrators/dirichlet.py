"""`dirichlet`: a full matrix on the log-probabilities."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import DataError
from simengine.evaluate.logproba import log_softmax
from simengine.types import N_CLASSES, FloatArray, LabelArray
from simengine_plugins.calibrators.fitting import check_fit_rows, minimise

IDENTITY = np.hstack([np.eye(N_CLASSES), np.zeros((N_CLASSES, 1))])
"""[W | b] that leaves the scores as they are."""

_RIDGE = 1e-9  # scores that vary by rounding alone have no slope to find


class Dirichlet:
    """Map the log-probabilities by a 3 x 3 matrix and a bias, fitted on validation rows.

    ``log p' = log_softmax(W log p + b)``: the calibration map of scores that are Dirichlet-distributed
    within each class (Kull et al., "Beyond temperature scaling: Obtaining well-calibrated multiclass
    probabilities with Dirichlet calibration", NeurIPS 2019), which holds `temperature`, `vector` and
    `bias_corrected_temperature` as special cases. By maximum likelihood under their off-diagonal and
    intercept regularisation (ODIR):

    ``mean nll + off_diagonal / 6 * sum_{i != j} W_ij^2 + intercept / 3 * sum_i b_i^2``

    It can move probability between two classes by the score of the third, which no other calibrator
    here can, and needs the rows to learn that from: 12 numbers. Unlike `vector` it may turn the order
    of rows round. Prefer the simplest map whose test figures are as good.

    Parameters
    ----------
    off_diagonal, intercept : float
        Strength of the two penalties, in nats per row. The paper tries powers of ten; larger is closer
        to one scale for each class.

    Attributes
    ----------
    weights_ : float64 array, shape (3, 3)
        W; row: the class that is calibrated, column: the score that is read.
    bias_ : float64 array, shape (3,)
        b of SELL, HOLD, BUY, in nats.
    """

    corrects_prior = True

    weights_: FloatArray
    bias_: FloatArray

    def __init__(
        self,
        *,
        off_diagonal: Annotated[
            float, Field(gt=0, description="penalty on squares of W off the diagonal, nats per row")
        ] = 1e-3,
        intercept: Annotated[
            float, Field(gt=0, description="penalty on squares of the biases, nats per row")
        ] = 1e-3,
    ) -> None:
        self.off_diagonal = off_diagonal
        self.intercept = intercept

    def fit(self, log_proba: FloatArray, labels: LabelArray) -> Dirichlet:
        """Find matrix and biases on validation scores (n, 3) and labels (n,).

        Raises
        ------
        DataError
            If there are under 50 rows, a class does not occur, or the optimiser does not converge.
        """
        check_fit_rows("dirichlet", log_proba, labels, rows=50, classes=3)
        inputs = np.vstack([np.asarray(log_proba, dtype=np.float64).T, np.ones(len(labels))])
        onehot = np.eye(N_CLASSES)[:, labels]
        strength = np.full((N_CLASSES, N_CLASSES + 1), self.off_diagonal / (N_CLASSES * (N_CLASSES - 1)))
        strength[:, -1] = self.intercept / N_CLASSES
        np.fill_diagonal(strength[:, :N_CLASSES], 0.0)
        found = _fit(inputs, onehot, strength)
        self.weights_ = np.ascontiguousarray(found[:, :N_CLASSES])
        self.bias_ = np.ascontiguousarray(found[:, -1])
        return self

    def transform(self, log_proba: FloatArray) -> FloatArray:
        """Return normalised log-probabilities (n, 3) with the fitted matrix and biases."""
        if not hasattr(self, "weights_"):
            raise DataError("calibrator dirichlet: transform was called before fit")
        # A matrix product may round a row differently by where it lies in the batch; a sum does not.
        scores = np.asarray(log_proba, dtype=np.float64)
        mapped = sum(scores[:, [column]] * self.weights_[:, column] for column in range(N_CLASSES))
        return log_softmax(mapped + self.bias_)


def _fit(inputs: FloatArray, onehot: FloatArray, strength: FloatArray) -> FloatArray:
    """Return [W | b] (3, 4) of least penalised log-loss for inputs (4, n): three scores and a one."""
    n = inputs.shape[1]
    # With Newton's matrix as the unit of steps (1/4 bounds the curvature of the log-loss in a score)
    # correlated scores take tens of steps instead of hundreds.
    units = []
    for row in strength:
        curvature = inputs @ inputs.T / (4 * n) + np.diag(2 * row + _RIDGE)
        units.append(np.linalg.inv(np.linalg.cholesky(curvature)).T)
    unit = np.array(units)

    def loss(z: FloatArray) -> tuple[float, FloatArray]:
        parameters = IDENTITY + np.einsum("ijk,ik->ij", unit, z.reshape(N_CLASSES, -1))
        value, gradient = _penalised_nll(parameters, inputs, onehot, strength)
        return value, np.einsum("ijk,ij->ik", unit, gradient).ravel()

    found = minimise(
        loss,
        np.zeros(IDENTITY.size),
        who=f"dirichlet on {n} validation rows",
        advice="raise off_diagonal and intercept, or use vector",
    )
    best: FloatArray = IDENTITY + np.einsum("ijk,ik->ij", unit, found.reshape(N_CLASSES, -1))
    return best


def _penalised_nll(
    parameters: FloatArray, inputs: FloatArray, onehot: FloatArray, strength: FloatArray
) -> tuple[float, FloatArray]:
    """Return the mean log-loss plus ``sum(strength * parameters^2)`` and the gradient (3, 4)."""
    n = inputs.shape[1]
    scores = parameters @ inputs
    scores -= scores.max(axis=0)
    residual = np.exp(scores)
    total = residual.sum(axis=0)
    value = np.log(total).mean() - (onehot * scores).sum() / n + (strength * parameters**2).sum()
    residual /= total
    residual -= onehot
    return float(value), residual @ inputs.T / n + 2 * strength * parameters


@hookimpl
def simengine_register_calibrators() -> list[Component]:
    """Register the component."""
    return [Component("dirichlet", Dirichlet)]
