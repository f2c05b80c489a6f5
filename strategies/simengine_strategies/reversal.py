"""Bet against the last few bars."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.types import FloatArray, StrategyContext


class Reversal:
    """Hold minus the sign of the last return.

    When to use: the baseline that finds the bounce between bid and ask; a model that only beats the
    market before costs may have learned no more than this.

    Parameters
    ----------
    bars : int
        Length of the return, close to close.

    Examples
    --------
    With ``bars: 1`` and the closes 10, 11, 9, 9 the targets are keep, -1, 1, 0.
    """

    def __init__(
        self, *, bars: Annotated[int, Field(ge=1, description="bars of the return that is bet against")] = 4
    ) -> None:
        self.bars = bars

    def targets(self, context: StrategyContext) -> FloatArray:
        """Return -1, 0 or 1; NaN (keep) for the first ``bars`` bars."""
        close = context.bars.close
        targets = np.full(len(close), np.nan)
        # 0 - x rather than -x: a return of zero gives 0, not -0.
        targets[self.bars :] = 0.0 - np.sign(close[self.bars :] - close[: -self.bars])
        return targets


@hookimpl
def simengine_register_strategies() -> list[Component]:
    """Register the component."""
    return [Component("reversal", Reversal)]
