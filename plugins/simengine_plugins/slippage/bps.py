"""A constant adverse move of the fill price."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simengine import Component, hookimpl
from simengine.backtest.costs import SlippageModel


class Bps:
    """The same fraction of the price against every fill.

    When to use: orders that are small beside the volume of a bar; half the usual spread is a start.

    Parameters
    ----------
    slippage_bps : float
        Basis points by which a buy fills higher and a sale lower than the quote.
    on_stops : bool
        Whether stops and take-profits slip as well. False fills them at their level, as some other
        engines do, which flatters a strategy with tight stops.

    Examples
    --------
    With 5 bps a buy quoted at 100 fills at 100.05, a sale at 99.95.
    """

    def __init__(
        self,
        *,
        slippage_bps: Annotated[
            float, Field(ge=0, lt=10_000, description="adverse move of every fill, basis points of price")
        ] = 5.0,
        on_stops: Annotated[bool, Field(description="whether stops and take-profits slip as well")] = True,
    ) -> None:
        self.slippage_bps = slippage_bps
        self.on_stops = on_stops

    def model(self) -> SlippageModel:
        """Return the constant part alone."""
        return SlippageModel(self.slippage_bps / 10_000, on_stops=self.on_stops)


@hookimpl
def simengine_register_slippage() -> list[Component]:
    """Register the component."""
    return [Component("bps", Bps)]
