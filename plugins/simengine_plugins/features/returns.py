"""Log returns over several lags."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.data.rolling import lagged
from simengine.types import Bars, Float32Array


class Returns:
    """Log returns ``log(close[t] / close[t - lag])``: the plainest features there are.

    Use it as the control of an experiment on features, or with volatile markets of like scale: the
    returns are not divided by volatility, which is left to the scaler.
    """

    def __init__(
        self,
        *,
        lags: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(min_length=1, description="distances of the returns, in bars"),
        ] = (1, 2, 4, 8, 16, 32),
    ) -> None:
        if len(set(lags)) != len(lags):
            raise ValueError(f"lags must differ from each other; received {list(lags)}")
        self.lags = lags
        self.names = tuple(f"return_{lag}" for lag in lags)
        self.warmup = max(lags)

    def compute(self, bars: Bars) -> Float32Array:
        """Return float32 (n, number of lags); NaN in the first ``max(lags)`` rows."""
        log_close = np.log(bars.close)
        matrix = np.empty((len(bars), len(self.lags)), dtype=np.float32)
        for column, lag in enumerate(self.lags):
            matrix[:, column] = log_close - lagged(log_close, lag)
        matrix[: self.warmup] = np.nan
        return matrix


@hookimpl
def simengine_register_features() -> list[Component]:
    """Register the component."""
    return [Component("returns", Returns)]
