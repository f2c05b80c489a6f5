"""What the calibrators have in common: the rows they ask for, and the search for the best parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simengine.errors import DataError
from simengine.evaluate.logproba import check_scores
from simengine.types import CLASS_NAMES, N_CLASSES, FloatArray, LabelArray


def check_fit_rows(name: str, log_proba: FloatArray, labels: LabelArray, *, rows: int, classes: int) -> None:
    """Check that there are enough validation rows and classes to fit a calibrator on.

    Parameters
    ----------
    name : str
        Of the calibrator, for the message.
    rows, classes : int
        Least number of rows and of classes that occur.

    Raises
    ------
    DataError
        If there are fewer.
    """
    check_scores(log_proba, labels)
    counts = np.bincount(labels, minlength=N_CLASSES)
    if len(labels) >= rows and np.count_nonzero(counts) >= classes:
        return
    received = ", ".join(f"{label.upper()} {n}" for label, n in zip(CLASS_NAMES, counts, strict=True))
    raise DataError(
        f"calibrator {name}: needs {rows} validation rows of {classes} classes or more, received "
        f"{len(labels)} ({received}); use a longer validation segment, or calibrator: null"
    )


def minimise(
    loss: Callable[[FloatArray], tuple[float, FloatArray]],
    start: FloatArray,
    *,
    who: str,
    advice: str,
    lowest: float | FloatArray = -np.inf,
    highest: float | FloatArray = np.inf,
) -> FloatArray:
    """Return where a smooth convex loss is least between bounds, by L-BFGS-B (Byrd et al., 1995).

    Parameters
    ----------
    loss : callable
        Returns the loss per row and its gradient (k,). Steps in units of each parameter's own curvature
        save hundreds of iterations: scale the parameters before.
    start : float64 array, shape (k,)
        Inside the bounds.
    who, advice : str
        The calibrator and its rows, and what to do, for the message.
    lowest, highest : float or float64 array, shape (k,)
        Bounds.

    Raises
    ------
    DataError
        If a parameter that is not at a bound still has a gradient of 1e-4 or more.
    """
    from scipy.optimize import Bounds, minimize

    lowest, highest = np.broadcast_to(lowest, start.shape), np.broadcast_to(highest, start.shape)
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-7}
    bounds = Bounds(lowest, highest)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    held = ((found.x <= lowest) & (found.jac > 0)) | ((found.x >= highest) & (found.jac < 0))
    steepest = float(np.abs(np.where(held, 0.0, found.jac)).max())
    if not steepest < 1e-4:
        raise DataError(
            f"calibrator {who}: did not converge (gradient {steepest:.2g} after {found.nit} steps); {advice}"
        )
    best: FloatArray = np.clip(found.x, lowest, highest)
    return best
