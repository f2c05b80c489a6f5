"""A fee per fill, whatever its size."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simengine import Component, hookimpl
from simengine.backtest.costs import FeeSchedule


class Fixed:
    """The same amount on every fill, and a fraction of notional on top if wanted.

    When to use: brokers that charge a ticket per order. Unlike a proportional fee it makes small orders
    dear: with several symbols or frequent rebalancing the result depends on the start capital.

    Parameters
    ----------
    fee : float
        Quote currency per fill, charged on entries and exits alike; a flip of long to short is two fills.
    fee_bps : float
        Basis points of |units| x fill price on top.

    Examples
    --------
    With ``fee: 1`` and ``fee_bps: 2``, buying 10 units at 100 costs 1 + 10 x 100 x 0.0002 = 1.20.
    """

    def __init__(
        self,
        *,
        fee: Annotated[float, Field(ge=0, description="fee of every fill, quote currency")] = 1.0,
        fee_bps: Annotated[
            float, Field(ge=0, lt=10_000, description="fee on top, basis points of notional")
        ] = 0.0,
    ) -> None:
        self.fee = fee
        self.fee_bps = fee_bps

    def schedule(self) -> FeeSchedule:
        """Return one tier and the fixed part."""
        return FeeSchedule(((0.0, self.fee_bps / 10_000),), fixed=self.fee)


@hookimpl
def simengine_register_fees() -> list[Component]:
    """Register the component."""
    return [Component("fixed", Fixed)]
