"""Add to a position while it wins, and leave at a trailing level."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.backtest.onbar import BEST, STOP, UNITS, on_bar
from simengine.types import FloatArray, Signal, StrategyContext

# Places in the rule's memory: the options, then what it keeps.
_STEPS, _STEP, _TRAIL, _SIDE, _TAKEN, _LAST = range(6)


@on_bar(memory=6, cache=True)
def _pyramid(
    i: int,
    target: float,
    open: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
    account: FloatArray,
    memory: FloatArray,
) -> float:
    price = close[-1]
    if np.isfinite(target) and target != memory[_SIDE]:
        memory[_SIDE] = target
        memory[_TAKEN] = 0.0 if target == 0.0 else 1.0
        memory[_LAST] = price
        return float(target / memory[_STEPS])
    side = memory[_SIDE]
    if account[UNITS] * side <= 0.0:
        return np.nan
    level = account[BEST] * (1.0 - side * memory[_TRAIL])
    if not (account[STOP] - level) * side >= 0.0:
        account[STOP] = level
    beyond = side * (price / memory[_LAST] - 1.0) >= memory[_STEP]
    if not beyond or memory[_TAKEN] >= memory[_STEPS]:
        return np.nan
    memory[_TAKEN] += 1.0
    memory[_LAST] = price
    return float(side * memory[_TAKEN] / memory[_STEPS])


class Pyramiding:
    """Follow the signals in steps: more while the position wins, nothing once it has given some back.

    When to use: signals that are right rarely but for long. It reads the state of its account, so it needs
    the capital in sleeves.

    BUY or SELL takes the side with an exposure of 1 / steps. Each time the close is ``step`` further in
    favour than at the step before, the exposure grows by 1 / steps, up to 1. The position is closed at
    ``trail`` from the best price seen since its entry; then only a signal for another side opens a new one.
    If the first order is not sent (lot size, least notional, a limit that lapses), the side is not tried
    again under ``rebalance: on_change``: it waits for a signal for another side too. With ``on_hold: flat``
    HOLD is one.
    The rule works from the close of the entry bar on; in the bar itself only the stops of the config act.

    Parameters
    ----------
    steps : int
        Steps to the full exposure.
    step : float
        Move of the close in favour that the next step asks for, a fraction.
    trail : float
        Distance of the trailing level from the best price, a fraction.
    on_hold : "keep" or "flat"
        Whether HOLD keeps the position or closes it. A bar without a signal always keeps it.

    Examples
    --------
    With ``steps: 4, step: 0.02`` and BUY at a close of 100 the exposure is 0.25, and 0.5 after a close of 102
    or more; after that close at 103 the third step waits for 105.06.
    """

    def __init__(
        self,
        *,
        steps: Annotated[int, Field(ge=1, le=100, description="steps to the full exposure")] = 4,
        step: Annotated[
            float, Field(gt=0, description="move in favour that the next step asks for, a fraction")
        ] = 0.01,
        trail: Annotated[
            float, Field(gt=0, lt=1, description="trailing level, a fraction of the best price")
        ] = 0.03,
        on_hold: Annotated[
            Literal["keep", "flat"], Field(description="what HOLD does to the position")
        ] = "keep",
    ) -> None:
        self.steps = steps
        self.step = step
        self.trail = trail
        self.on_hold = on_hold
        self.on_bar = _pyramid.starting(steps, step, trail)

    def targets(self, context: StrategyContext) -> FloatArray:
        """Return the side: 1, -1, and NaN (keep) or 0 (flat) by signal."""
        targets = np.full(len(context.signals), np.nan)
        targets[context.signals == Signal.BUY] = 1.0
        targets[context.signals == Signal.SELL] = -1.0
        if self.on_hold == "flat":
            targets[context.signals == Signal.HOLD] = 0.0
        return targets


@hookimpl
def simengine_register_strategies() -> list[Component]:
    """Register the component."""
    return [Component("pyramiding", Pyramiding)]
