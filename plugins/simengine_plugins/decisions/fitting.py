"""What the decisions that match class shares have in common."""

from __future__ import annotations

import numpy as np

from simengine import PerClass
from simengine.errors import DataError
from simengine.evaluate.classification import class_shares
from simengine.evaluate.logproba import check_scores
from simengine.evaluate.prior_matching import PriorMatch, largest_remainder, match_prior, share_text
from simengine.log import get_logger
from simengine.types import FloatArray, LabelArray, Signal

logger = get_logger("simengine.decisions")


def check_target(target: PerClass | None) -> None:
    """Refuse wanted shares that are none, with a ValueError."""
    if target is not None and not (min(target) > 0 and abs(sum(target) - 1) <= 1e-6):
        raise ValueError(f"target: expected three shares above 0 with sum 1, received {list(target)}")


def match_shares(
    name: str, log_proba: FloatArray, labels: LabelArray, target: PerClass | None, tolerance: float
) -> PriorMatch:
    """Return the offsets for wanted shares, or for those of the labels, on validation rows.

    Rows with equal scores are decided alike. Where that keeps the shares from being reached, a warning says
    by how much.

    Parameters
    ----------
    name : str
        Of the decision, for messages.
    log_proba, labels
        Calibrated validation scores (n, 3) and labels (n,).
    target : PerClass, optional
        Wanted shares; None: those of ``labels``.
    tolerance : float
        Largest miss that is not worth a warning, fraction of the rows.

    Raises
    ------
    DataError
        If a class is to get less than one row.
    """
    check_scores(log_proba, labels)
    share = class_shares(labels) if target is None else np.array(target, dtype=np.float64)
    counts = largest_remainder(share, len(labels))
    if counts.min() < 1:
        source = "the validation labels" if target is None else "target"
        empty = Signal(int(counts.argmin())).name
        raise DataError(
            f"decision {name}: {empty} gets no row from {source} (shares "
            f"{share_text(share)} of {len(labels)} rows); set target, or use a longer validation segment"
        )
    found = match_prior(log_proba, share, tolerance)
    if not found.converged:
        logger.warning("decision %s: on validation it %s; use a model with finer scores", name, found.reason)
    return found
