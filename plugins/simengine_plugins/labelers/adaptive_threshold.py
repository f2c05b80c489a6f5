"""Labels by a symmetric threshold that follows volatility."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.data.labels import Entry, classify, forward_log_return
from simengine.data.volatility import ewm_volatility
from simengine.types import Bars, FloatArray, LabelArray


class AdaptiveThreshold:
    """BUY above a threshold, SELL below minus the threshold, the threshold being clipped volatility.

    threshold_t = clip(multiplier x vol_t x sqrt(H), adaptive_min, adaptive_max), vol_t being the EWM
    standard deviation of one-bar log returns (span 96); with ``adaptive: false`` it is the constant
    ``price_change``. The forward log return over H bars is compared with it. All thresholds are log
    returns: 0.010 is a rise of 1.005 % or a fall of 0.995 %.

    The class shares are whatever the market makes of it: the defaults suit hourly crypto, and in a calm
    market they label nearly every bar HOLD. Nothing is learnt. A bar has no label without H bars after
    it, or (adaptive only) while vol_t is undefined.
    """

    def __init__(
        self,
        *,
        horizon_bars: Annotated[int, Field(ge=1, description="label horizon H, in bars")] = 12,
        adaptive: Annotated[
            bool, Field(description="follow volatility; false uses the constant price_change")
        ] = True,
        multiplier: Annotated[float, Field(gt=0, description="factor on vol_t x sqrt(H)")] = 1.2,
        adaptive_min: Annotated[
            float, Field(gt=0, description="smallest adaptive threshold, as a log return (0.01 = 1 %)")
        ] = 0.003,
        adaptive_max: Annotated[
            float, Field(gt=0, description="largest adaptive threshold, as a log return")
        ] = 0.030,
        price_change: Annotated[
            float, Field(gt=0, description="constant threshold, as a log return")
        ] = 0.010,
        entry: Annotated[
            Entry, Field(description="start of the forward return: close of t, or open of t + 1")
        ] = "close",
    ) -> None:
        if adaptive_min > adaptive_max:
            raise ValueError(
                f"adaptive_min must not exceed adaptive_max; received {adaptive_min} and {adaptive_max}"
            )
        self.horizon_bars = horizon_bars
        self.adaptive = adaptive
        self.multiplier = multiplier
        self.adaptive_min = adaptive_min
        self.adaptive_max = adaptive_max
        self.price_change = price_change
        self.entry: Entry = entry

    def fit(self, bars_by_symbol: Mapping[str, Bars], train_end: int) -> AdaptiveThreshold:
        """Return self: every threshold is an option."""
        return self

    def label(self, bars: Bars) -> LabelArray:
        """Return int8 (n,) labels, -1 in the last H rows and where the threshold is undefined."""
        lower, upper = self.thresholds(bars)
        return classify(forward_log_return(bars, self.horizon_bars, self.entry), lower, upper)

    def thresholds(self, bars: Bars) -> tuple[FloatArray, FloatArray]:
        """Return the log-return thresholds (lower, upper), each (n,), known at the close of t."""
        if self.adaptive:
            scaled = self.multiplier * ewm_volatility(bars.close) * np.sqrt(self.horizon_bars)
            upper: FloatArray = np.clip(scaled, self.adaptive_min, self.adaptive_max)
        else:
            upper = np.full(len(bars), self.price_change)
        return -upper, upper


@hookimpl
def simengine_register_labelers() -> list[Component]:
    """Register the component."""
    return [Component("adaptive_threshold", AdaptiveThreshold)]
