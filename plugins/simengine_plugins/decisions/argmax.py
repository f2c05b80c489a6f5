"""`argmax`: the most probable class."""

from __future__ import annotations

from simengine import Component, hookimpl
from simengine.evaluate.classification import argmax_signals
from simengine.types import DecisionContext, FloatArray, LabelArray


class Argmax:
    """Decide for the most probable class; the first one, from SELL to BUY, of equally probable ones.

    It makes the fewest errors when the probabilities are right, and so answers the largest class
    nearly always when the signal is weak: a perfectly calibrated model then says BUY in most rows.
    """

    fitted_on_val = False

    def fit(self, log_proba: FloatArray, labels: LabelArray, context: DecisionContext) -> Argmax:
        """Learn nothing."""
        return self

    def decide(self, log_proba: FloatArray) -> LabelArray:
        """Return the most probable class (n,) of scores (n, 3)."""
        return argmax_signals(log_proba)


@hookimpl
def simengine_register_decisions() -> list[Component]:
    """Register the component."""
    return [Component("argmax", Argmax)]
