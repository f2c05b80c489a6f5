"""Slippage that grows with the share of the bar's volume."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simengine import Component, hookimpl
from simengine.backtest.costs import SlippageModel


class VolumeImpact:
    """A constant part plus the square-root law of market impact.

    When to use: orders that are a visible share of a bar's volume.

    The price moves by ``slippage + impact x sqrt(units / volume of the bar)`` against the order
    (Almgren, Thum, Hauptmann and Li, "Direct estimation of equity market impact", 2005, and Toth et
    al., "Anomalous price impact and the critical nature of liquidity", 2011, for the square root). The
    volume is that of the bar in which the order fills. Every bar needs a volume above 0: bars without
    one are refused before the simulation starts. An order so large that no price is left is an error.

    Parameters
    ----------
    slippage_bps : float
        Constant part, basis points.
    impact_bps : float
        Move at 100 % participation, basis points.

    Examples
    --------
    With 5 and 100 bps, an order of 1 % of the bar's volume moves the price by 5 + 100 x 0.1 = 15 bps.
    """

    def __init__(
        self,
        *,
        slippage_bps: Annotated[
            float, Field(ge=0, lt=10_000, description="constant adverse move, basis points of price")
        ] = 5.0,
        impact_bps: Annotated[
            float,
            Field(gt=0, description="adverse move of an order as large as the bar's volume, basis points"),
        ] = 100.0,
    ) -> None:
        self.slippage_bps = slippage_bps
        self.impact_bps = impact_bps

    def model(self) -> SlippageModel:
        """Return both parts as fractions."""
        return SlippageModel(self.slippage_bps / 10_000, self.impact_bps / 10_000)


@hookimpl
def simengine_register_slippage() -> list[Component]:
    """Register the component."""
    return [Component("volume_impact", VolumeImpact)]
