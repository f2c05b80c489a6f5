"""`prior_matched`: offsets per class that make the decided shares equal to given ones."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.errors import DataError
from simengine.evaluate.classification import argmax_signals
from simengine.evaluate.prior_matching import TOLERANCE
from simengine.types import DecisionContext, FloatArray, LabelArray
from simengine_plugins.decisions.fitting import check_target, match_shares


class PriorMatched:
    """Add an offset to each class's score so that SELL, HOLD and BUY are decided as often as wanted.

    ``argmax_c (log p_c + o_c)`` with offsets found on validation rows: among all ways to give the
    wanted number of rows to each class this is the one with the largest sum of scores (the offsets are
    the dual prices of that transport problem). Every class takes the rows that speak most for it, so
    that a weak signal is not drowned by the class prior, and raising the score of a class never takes
    a row away from it. The shares on other rows differ as far as their scores do.

    Parameters
    ----------
    target : PerClass, optional
        Wanted shares, each above 0, sum 1; left out, the shares of the validation labels.
    tolerance : float
        Largest miss of a share on the validation rows, as a fraction of the rows. Scores without
        ties are matched to within one row.

    Attributes
    ----------
    offsets_ : float64 array, shape (3,)
        Of SELL, HOLD, BUY, in nats; sum 0.
    target_share_, reached_share_ : float64 arrays, shape (3,)
        Wanted shares, and those decided on the validation rows.
    """

    fitted_on_val = True

    offsets_: FloatArray
    target_share_: FloatArray
    reached_share_: FloatArray

    def __init__(
        self,
        *,
        target: Annotated[
            PerClass | None, Field(description="wanted share of each class; null = validation label shares")
        ] = None,
        tolerance: Annotated[
            float, Field(gt=0, lt=1, description="largest miss of a share, fraction of validation rows")
        ] = TOLERANCE,
    ) -> None:
        check_target(target)
        self.target = target
        self.tolerance = tolerance

    def fit(self, log_proba: FloatArray, labels: LabelArray, context: DecisionContext) -> PriorMatched:
        """Find the offsets on calibrated validation scores (n, 3) and labels (n,).

        Rows with equal scores are decided alike. Where that keeps the shares from being reached, a warning
        says by how much, and ``reached_share_`` holds what was reached.

        Raises
        ------
        DataError
            If a class is to get less than one row.
        """
        found = match_shares("prior_matched", log_proba, labels, self.target, self.tolerance)
        self.target_share_ = found.target_share
        self.offsets_ = found.offsets
        self.reached_share_ = found.reached_share
        return self

    def decide(self, log_proba: FloatArray) -> LabelArray:
        """Return the class (n,) with the largest shifted score of scores (n, 3)."""
        if not hasattr(self, "offsets_"):
            raise DataError("decision prior_matched: decide was called before fit")
        return argmax_signals(log_proba + self.offsets_)


@hookimpl
def simengine_register_decisions() -> list[Component]:
    """Register the component."""
    return [Component("prior_matched", PriorMatched)]
