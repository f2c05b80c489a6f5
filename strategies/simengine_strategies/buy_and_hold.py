"""Buy at the start and keep."""

from __future__ import annotations

import numpy as np

from simengine import Component, hookimpl
from simengine.types import FloatArray, StrategyContext


class BuyAndHold:
    """Be fully long all the time.

    When to use: the baseline that every long strategy has to beat.

    The target is 1 on every bar, so that any span of it starts with an order; under the default
    ``rebalance: on_change`` that is the only one.
    """

    def targets(self, context: StrategyContext) -> FloatArray:
        """Return ones."""
        return np.ones(len(context.bars))


@hookimpl
def simengine_register_strategies() -> list[Component]:
    """Register the component."""
    return [Component("buy_and_hold", BuyAndHold)]
