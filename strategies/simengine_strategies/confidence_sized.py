"""Size the position by the difference of the probabilities."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.types import FloatArray, Signal, StrategyContext


class ConfidenceSized:
    """Hold more the further P(BUY) and P(SELL) are apart.

    When to use: calibrated probabilities; it does not look at the decided signals.

    With d = P(BUY) - P(SELL) the exposure is d / scale, limited to [-1, 1], and 0 while
    |d| < threshold. It is rounded to multiples of ``step``, because every change of the target is an
    order and an unrounded one would trade on every bar.

    Parameters
    ----------
    threshold : float
        |d| below which there is no position.
    scale : float
        |d| of a full position.
    step : float
        Grid of exposures; values beyond 1 after rounding are 1.

    Raises
    ------
    ValueError
        A threshold that is not below ``scale``.

    Examples
    --------
    With the defaults, P(BUY) = 0.40 and P(SELL) = 0.30 give d = 0.10, so an exposure of 0.5.
    """

    def __init__(
        self,
        *,
        threshold: Annotated[
            float, Field(ge=0, lt=1, description="|P(BUY) - P(SELL)| below which the position is flat")
        ] = 0.05,
        scale: Annotated[float, Field(gt=0, le=1, description="|P(BUY) - P(SELL)| of a full position")] = 0.2,
        step: Annotated[float, Field(gt=0, le=1, description="grid of exposures, fraction of equity")] = 0.25,
    ) -> None:
        if threshold >= scale:
            raise ValueError(f"threshold must be below scale, received {threshold} and {scale}")
        self.threshold = threshold
        self.scale = scale
        self.step = step

    def targets(self, context: StrategyContext) -> FloatArray:
        """Return the exposures; NaN (keep) where the model gives no probabilities."""
        difference = context.proba[:, Signal.BUY] - context.proba[:, Signal.SELL]
        exposure = np.clip(difference / self.scale, -1.0, 1.0)
        exposure = np.clip(np.rint(exposure / self.step) * self.step, -1.0, 1.0)
        targets: FloatArray = np.where(np.abs(difference) < self.threshold, 0.0, exposure)
        return targets


@hookimpl
def simengine_register_strategies() -> list[Component]:
    """Register the component."""
    return [Component("confidence_sized", ConfidenceSized)]
