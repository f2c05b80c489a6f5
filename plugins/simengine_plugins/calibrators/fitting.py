"""What the calibrators ask of the validation rows they are fitted on."""

from __future__ import annotations

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
