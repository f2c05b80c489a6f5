"""Slippage that grows with the share of the bar's volume."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from simengine import Component, hookimpl
from simengine.backtest.costs import SlippageModel


class VolumeImpact:
    """A constant part plus the square-root law of market impact.

    When to use: orders that are a visible share of a bar's volume.

    The price moves by ``slippage + impact x sqrt(units / volume of the bar)`` against the order
    (Almgren, Thum, Hauptmann and Li, "Direct estimation of equity market impact", 2005, and Toth et
    al., "Anomalous price impact and the critical nature of liquidity", 2011, for the square root). The
    volume is that of the bar in which the order fills.

    With ``max_participation`` the fills of a bar take at most that share of its volume, stops included;
    what is left of an order goes on at the next opens or is cancelled. An exit always goes on. Without
    a cap every bar needs a volume above 0 when ``impact_bps`` is above 0 (bars without one are refused
    before the simulation starts), and an order so large that no price is left is an error.

    Parameters
    ----------
    slippage_bps : float
        Constant part, basis points.
    impact_bps : float
        Move at 100 % participation, basis points.
    max_participation : float or None
        Largest share of a bar's volume that its fills may take; None: no cap.
    remainder : str
        What happens to the part beyond the cap: ``carry`` or ``cancel``.
    on_stops : bool
        Whether stops and take-profits slip as well.

    Raises
    ------
    ValueError
        ``remainder: cancel`` without a cap.

    Examples
    --------
    With 5 and 100 bps, an order of 1 % of the bar's volume moves the price by 5 + 100 x 0.1 = 15 bps.
    With ``max_participation: 0.1``, an order for 250 units on bars of 1,000 units fills 100, 100 and 50.
    """

    def __init__(
        self,
        *,
        slippage_bps: Annotated[
            float, Field(ge=0, lt=10_000, description="constant adverse move, basis points of price")
        ] = 5.0,
        impact_bps: Annotated[
            float,
            Field(ge=0, description="adverse move of an order as large as the bar's volume, basis points"),
        ] = 100.0,
        max_participation: Annotated[
            float | None,
            Field(
                gt=0, le=1, description="largest share of a bar's volume that its fills may take; null: any"
            ),
        ] = None,
        remainder: Annotated[
            Literal["carry", "cancel"],
            Field(description="what happens to the part of an order beyond the cap"),
        ] = "carry",
        on_stops: Annotated[bool, Field(description="whether stops and take-profits slip as well")] = True,
    ) -> None:
        if remainder == "cancel" and max_participation is None:
            raise ValueError("remainder: cancel needs a max_participation, received null")
        self.slippage_bps = slippage_bps
        self.impact_bps = impact_bps
        self.max_participation = max_participation
        self.remainder = remainder
        self.on_stops = on_stops

    def model(self) -> SlippageModel:
        """Return both parts as fractions, and the cap."""
        cap = math.inf if self.max_participation is None else self.max_participation
        return SlippageModel(
            self.slippage_bps / 10_000, self.impact_bps / 10_000, cap, self.remainder, self.on_stops
        )


@hookimpl
def simengine_register_slippage() -> list[Component]:
    """Register the component."""
    return [Component("volume_impact", VolumeImpact)]
