"""Labels by the barrier that the price touches first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.data.labels import Entry
from simengine.data.volatility import ewm_volatility
from simengine.types import UNDEFINED, Bars, LabelArray, Signal


class TripleBarrier:
    """BUY when the price touches an upper barrier first, SELL when a lower one, HOLD when none in H bars.

    From the entry price P (close of t, or open of t + 1) the barriers stand at
    P exp(upper x vol_t x sqrt(H)) and P exp(-lower x vol_t x sqrt(H)); vol_t is the EWM standard
    deviation of one-bar log returns (span 96). A bar touches a barrier with its high or low, at the
    earliest bar t + 1 and at the latest bar t + H (Lopez de Prado, Advances in Financial Machine
    Learning, 2018, section 3.4).

    Within one bar the order of high and low is unknown. When the first bar that touches anything touches
    both, the label is the barrier that its open already lies beyond, and HOLD when it lies between them.

    Use it when positions are closed by stop-loss and take-profit. There are no thresholds on a return
    here, so figures of an exact classifier cannot be had for these labels. A bar has no label without
    H bars after it, even if it touched a barrier before (otherwise the last bars would hold only fast
    moves), or while vol_t is undefined or 0.
    """

    def __init__(
        self,
        *,
        horizon_bars: Annotated[int, Field(ge=1, description="bars until the vertical barrier, H")] = 12,
        upper: Annotated[
            float, Field(gt=0, description="distance of the upper barrier, in vol_t x sqrt(H)")
        ] = 1.0,
        lower: Annotated[
            float, Field(gt=0, description="distance of the lower barrier, in vol_t x sqrt(H)")
        ] = 1.0,
        entry: Annotated[
            Entry, Field(description="price that the barriers start from: close of t, or open of t + 1")
        ] = "close",
    ) -> None:
        self.horizon_bars = horizon_bars
        self.upper = upper
        self.lower = lower
        self.entry: Entry = entry

    def fit(self, bars_by_symbol: Mapping[str, Bars], train_end: int) -> TripleBarrier:
        """Return self: both distances are options."""
        return self

    def label(self, bars: Bars) -> LabelArray:
        """Return int8 (n,) labels, -1 in the last H rows and where vol_t is undefined or 0."""
        labels = np.full(len(bars), UNDEFINED, dtype=np.int8)
        known = len(bars) - self.horizon_bars
        if known <= 0:
            return labels
        entry = np.log(bars.close[:known] if self.entry == "close" else bars.open[1 : known + 1])
        scale = ewm_volatility(bars.close)[:known] * np.sqrt(self.horizon_bars)
        above, below = entry + self.upper * scale, entry - self.lower * scale
        open_, high, low = np.log(bars.open), np.log(bars.high), np.log(bars.low)
        found = np.full(known, int(Signal.HOLD), dtype=np.int8)
        waiting = np.ones(known, dtype=np.bool_)
        for step in range(1, self.horizon_bars + 1):
            later = slice(step, known + step)
            up, down = high[later] >= above, low[later] <= below
            both = up & down
            buy = waiting & up & (~both | (open_[later] >= above))
            sell = waiting & down & (~both | (open_[later] <= below))
            found[buy] = Signal.BUY
            found[sell] = Signal.SELL
            waiting &= ~(up | down)
        labels[:known] = np.where(scale > 0, found, UNDEFINED)
        return labels

    def thresholds(self, bars: Bars) -> None:
        """Return None: the label is no function of the forward return alone."""
        return


@hookimpl
def simengine_register_labelers() -> list[Component]:
    """Register the component."""
    return [Component("triple_barrier", TripleBarrier)]
