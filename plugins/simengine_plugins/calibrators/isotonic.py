"""`isotonic`: a rising step curve for each class, renormalised."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.errors import DataError
from simengine.evaluate.logproba import log_softmax
from simengine.types import N_CLASSES, FloatArray, LabelArray
from simengine_plugins.calibrators.fitting import check_fit_rows


class Isotonic:
    """Replace the probability of each class by the share of its labels among rows like it.

    For each class one rising curve f_c from its probability to the share of its labels, fitted on
    validation rows by least squares (isotonic regression, pool adjacent violators: Zadrozny and Elkan,
    "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", 2002), straight between
    its knots and constant beyond the first and the last. Then ``p'_c = max(f_c, floor) / sum``. It assumes
    no shape but that more is more, and pays with rows: it needs some thousands, and fits noise in
    fewer. A row for which all three curves lie at the floor, where dividing by the sum would call all classes
    equally likely, gets the label shares of the validation rows.

    The curves are flat in steps, so that many rows get equal probabilities. A decision that matches shares
    can then miss them by a step; it says so.

    Parameters
    ----------
    floor : float
        Least value of a curve. A step without a label of its class would be 0, and one such label later
        an infinite log-loss. Lower it where probabilities under 0.01 are to be believed.

    Attributes
    ----------
    inputs_, outputs_ : list of float64 array
        For SELL, HOLD, BUY the knots of the curve: probabilities, rising, and shares, not falling.
    share_ : float64 array, shape (3,)
        Label shares of the validation rows.
    """

    corrects_prior = True

    inputs_: list[FloatArray]
    outputs_: list[FloatArray]
    share_: FloatArray

    def __init__(
        self,
        *,
        floor: Annotated[
            float, Field(gt=0, lt=0.1, description="least value of a curve, before the sum is made 1")
        ] = 0.01,
    ) -> None:
        self.floor = floor

    def fit(self, log_proba: FloatArray, labels: LabelArray) -> Isotonic:
        """Find the three curves on validation scores (n, 3) and labels (n,).

        Raises
        ------
        DataError
            If there are under 50 rows or a class does not occur.
        """
        from sklearn.isotonic import IsotonicRegression

        check_fit_rows("isotonic", log_proba, labels, rows=50, classes=3)
        proba = np.exp(np.asarray(log_proba, dtype=np.float64))
        inputs, outputs = [], []
        for label in range(N_CLASSES):
            curve = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
            curve.fit(proba[:, label], (labels == label).astype(np.float64))
            inputs.append(np.asarray(curve.X_thresholds_, dtype=np.float64))
            outputs.append(np.asarray(curve.y_thresholds_, dtype=np.float64))
        self.inputs_, self.outputs_ = inputs, outputs
        self.share_ = np.bincount(labels, minlength=N_CLASSES) / len(labels)
        return self

    def transform(self, log_proba: FloatArray) -> FloatArray:
        """Return normalised log-probabilities (n, 3) from the fitted curves."""
        if not hasattr(self, "share_"):
            raise DataError("calibrator isotonic: transform was called before fit")
        proba = np.exp(np.asarray(log_proba, dtype=np.float64))
        curves = zip(proba.T, self.inputs_, self.outputs_, strict=True)
        shares = np.stack([np.interp(values, x, y) for values, x, y in curves], axis=1)
        unknown = shares.max(axis=1, keepdims=True) <= self.floor
        shares = np.where(unknown, self.share_, np.maximum(shares, self.floor))
        return log_softmax(np.log(shares))


@hookimpl
def simengine_register_calibrators() -> list[Component]:
    """Register the component."""
    return [Component("isotonic", Isotonic)]
