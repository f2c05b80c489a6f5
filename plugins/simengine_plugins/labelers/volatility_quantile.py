"""Labels by train quantiles of the forward return in units of volatility."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.data.labels import Entry, classify, forward_log_return, known_before
from simengine.data.volatility import MIN_RETURNS, ewm_volatility
from simengine.errors import DataError, PluginError
from simengine.types import Bars, FloatArray, LabelArray


class VolatilityQuantile:
    """SELL and BUY are the lowest and highest shares of the volatility-scaled forward returns of train.

    With R_t the forward log return over H bars and s_t = vol_t sqrt(H), the thresholds are the quantiles
    ``sell`` and ``1 - buy`` of R_t / s_t over the train rows of all symbols together; SELL is
    R_t < lower x s_t, BUY is R_t > upper x s_t, HOLD the rest. Train label shares are the options by
    construction; those of val and test follow the market.

    A bar has no label without H bars after it, or while vol_t (EWM, span 96) is undefined or 0.
    """

    def __init__(
        self,
        *,
        horizon_bars: Annotated[int, Field(ge=1, description="label horizon H, in bars")] = 12,
        sell: Annotated[float, Field(gt=0, lt=1, description="share of SELL among the train labels")] = 0.283,
        buy: Annotated[float, Field(gt=0, lt=1, description="share of BUY among the train labels")] = 0.378,
        entry: Annotated[
            Entry, Field(description="start of the forward return: close of t, or open of t + 1")
        ] = "close",
    ) -> None:
        if sell + buy >= 1:
            raise ValueError(f"sell + buy must be below 1 to leave room for HOLD; received {sell} + {buy}")
        self.horizon_bars = horizon_bars
        self.sell = sell
        self.buy = buy
        self.entry: Entry = entry

    def fit(self, bars_by_symbol: Mapping[str, Bars], train_end: int) -> VolatilityQuantile:
        """Learn the two quantiles from the labels fully known before ``train_end`` (ns UTC, exclusive)."""
        pooled = []
        for bars in bars_by_symbol.values():
            known = known_before(bars, self.horizon_bars, train_end)
            scaled = (
                forward_log_return(bars, self.horizon_bars, self.entry)[:known] / self._scale(bars)[:known]
            )
            pooled.append(scaled[np.isfinite(scaled)])
        values = np.concatenate(pooled)
        if len(values) == 0:
            longest = max(len(bars) for bars in bars_by_symbol.values())
            raise DataError(
                f"volatility_quantile: no bar of train has a label: a symbol needs at least "
                f"{MIN_RETURNS + 1 + self.horizon_bars} bars before the end of train ({MIN_RETURNS + 1} for "
                f"the volatility + {self.horizon_bars} of horizon) and prices that move; "
                f"the longest has {longest} in all"
            )
        lower, upper = np.quantile(values, [self.sell, 1 - self.buy])
        self.lower_ = float(lower)
        self.upper_ = float(upper)
        return self

    def _scale(self, bars: Bars) -> FloatArray:
        volatility = ewm_volatility(bars.close)
        scale: FloatArray = np.where(volatility > 0, volatility, np.nan) * np.sqrt(self.horizon_bars)
        return scale

    def label(self, bars: Bars) -> LabelArray:
        """Return int8 (n,) labels, -1 in the last H rows and where vol_t is undefined or 0."""
        lower, upper = self.thresholds(bars)
        return classify(forward_log_return(bars, self.horizon_bars, self.entry), lower, upper)

    def thresholds(self, bars: Bars) -> tuple[FloatArray, FloatArray]:
        """Return the log-return thresholds (lower, upper), each (n,), known at the close of t."""
        if not hasattr(self, "lower_"):
            raise PluginError("volatility_quantile: fit must be called before label and thresholds")
        scale = self._scale(bars)
        return self.lower_ * scale, self.upper_ * scale


@hookimpl
def simengine_register_labelers() -> list[Component]:
    """Register the component."""
    return [Component("volatility_quantile", VolatilityQuantile)]
