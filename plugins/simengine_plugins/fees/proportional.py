"""A constant fee on every traded notional, with a least fee if wanted."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simengine import Component, hookimpl
from simengine.backtest.costs import FeeSchedule


class Proportional:
    """The same fraction of notional on every fill.

    When to use: most exchanges and brokers, when your own fee tier does not change over the test.

    Parameters
    ----------
    fee_bps : float
        Basis points of |units| x fill price, charged on entries and exits alike.
    minimum : float
        Least fee of a fill, quote currency.

    Examples
    --------
    With 10 bps, buying 2 units at 100 costs 2 x 100 x 0.001 = 0.20; with ``minimum: 1`` it costs 1.
    """

    def __init__(
        self,
        *,
        fee_bps: Annotated[
            float, Field(ge=0, lt=10_000, description="fee of every fill, basis points of notional")
        ] = 10.0,
        minimum: Annotated[float, Field(ge=0, description="least fee of a fill, quote currency")] = 0.0,
    ) -> None:
        self.fee_bps = fee_bps
        self.minimum = minimum

    def schedule(self) -> FeeSchedule:
        """Return one tier."""
        return FeeSchedule(((0.0, self.fee_bps / 10_000),), minimum=self.minimum)


@hookimpl
def simengine_register_fees() -> list[Component]:
    """Register the component."""
    return [Component("proportional", Proportional)]
