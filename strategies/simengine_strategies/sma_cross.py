"""Trend following with two moving averages."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.types import FloatArray, StrategyContext

_TIE = 1e-12
"""Relative difference below which two averages of equal prices count as equal despite rounding."""


class SmaCross:
    """Be long while the fast average of closes is above the slow one, short while it is below.

    When to use: a baseline that knows the bars but no model.

    Parameters
    ----------
    fast, slow : int
        Bars of the two simple moving averages, the current bar included.
    allow_short : bool
        Be short rather than flat while the fast average is below.

    Raises
    ------
    ValueError
        A fast average that is not shorter than the slow one.

    Examples
    --------
    With ``fast: 1, slow: 2`` and the closes 10, 11, 9 the targets are keep, 1, -1.
    """

    def __init__(
        self,
        *,
        fast: Annotated[int, Field(ge=1, description="bars of the fast average")] = 20,
        slow: Annotated[int, Field(ge=2, description="bars of the slow average")] = 50,
        allow_short: Annotated[
            bool, Field(description="short, not flat, while the fast average is below the slow one")
        ] = True,
    ) -> None:
        if fast >= slow:
            raise ValueError(f"fast must be below slow, received {fast} and {slow}")
        self.fast = fast
        self.slow = slow
        self.allow_short = allow_short

    def targets(self, context: StrategyContext) -> FloatArray:
        """Return 1 or -1 (0 without shorts); NaN (keep) before ``slow`` bars and on ties."""
        close = context.bars.close
        targets = np.full(len(close), np.nan)
        if len(close) < self.slow:
            return targets
        slow = _moving_average(close, self.slow)
        difference = _moving_average(close[self.slow - self.fast :], self.fast) - slow
        known = targets[self.slow - 1 :]
        known[difference > _TIE * slow] = 1.0
        known[difference < -_TIE * slow] = -1.0 if self.allow_short else 0.0
        return targets


def _moving_average(values: FloatArray, bars: int) -> FloatArray:
    # A running sum would carry rounding from the start of the data, so that the same bars could give
    # another target when the history before them is longer.
    windows = np.lib.stride_tricks.sliding_window_view(values, bars)
    average: FloatArray = windows.mean(axis=1)
    return average


@hookimpl
def simengine_register_strategies() -> list[Component]:
    """Register the component."""
    return [Component("sma_cross", SmaCross)]
