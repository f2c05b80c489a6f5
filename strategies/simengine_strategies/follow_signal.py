"""Trade the signals as they are."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.types import FloatArray, Signal, StrategyContext


class FollowSignal:
    """Go long on BUY and short on SELL.

    When to use: the plain test of a signal model.

    Parameters
    ----------
    on_hold : "keep" or "flat"
        Whether HOLD keeps the position or closes it. A bar without a signal always keeps it.
    size : float
        Exposure taken, as a fraction of equity.

    Examples
    --------
    The signals BUY, HOLD, SELL give the targets 1, keep, -1; with ``on_hold: flat`` 1, 0, -1.
    """

    def __init__(
        self,
        *,
        on_hold: Annotated[
            Literal["keep", "flat"], Field(description="what HOLD does to the position")
        ] = "keep",
        size: Annotated[float, Field(gt=0, le=1, description="exposure taken, fraction of equity")] = 1.0,
    ) -> None:
        self.on_hold = on_hold
        self.size = size

    def targets(self, context: StrategyContext) -> FloatArray:
        """Return size, -size, and NaN (keep) or 0 (flat) by signal."""
        targets = np.full(len(context.signals), np.nan)
        targets[context.signals == Signal.BUY] = self.size
        targets[context.signals == Signal.SELL] = -self.size
        if self.on_hold == "flat":
            targets[context.signals == Signal.HOLD] = 0.0
        return targets


@hookimpl
def simengine_register_strategies() -> list[Component]:
    """Register the component."""
    return [Component("follow_signal", FollowSignal)]
