"""A fee that falls with the notional traded so far."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field

from simengine import Component, hookimpl
from simengine.backtest.costs import FeeSchedule


class Tiered:
    """A fraction of notional that depends on the notional the account has traded so far.

    When to use: volume discounts. Volume is counted from the start of the backtest and never resets;
    each symbol's sleeve is an account of its own.

    Parameters
    ----------
    tiers : tuple of (from_notional, fee_bps)
        Start of each tier in quote currency, the first one 0, increasing, and its fee in basis
        points. A fill is charged at the tier reached before it.
    minimum : float
        Least fee of a fill, quote currency.

    Raises
    ------
    ValueError
        Tiers that do not start at 0 or do not increase, or a fee outside [0, 10000) bps.

    Examples
    --------
    With ``tiers: [[0, 10], [100000, 6]]`` an account that has traded 100,000 pays 6 bps from then on.
    """

    def __init__(
        self,
        *,
        tiers: Annotated[
            tuple[tuple[float, float], ...],
            Field(
                min_length=1,
                description="pairs (from_notional in quote currency, fee in basis points of notional)",
            ),
        ] = ((0.0, 10.0), (1_000_000.0, 8.0), (10_000_000.0, 5.0)),
        minimum: Annotated[float, Field(ge=0, description="least fee of a fill, quote currency")] = 0.0,
    ) -> None:
        starts = [start for start, _ in tiers]
        if starts[0] != 0 or any(not after > before for before, after in pairwise(starts)):
            raise ValueError(f"tiers must start at 0 and increase, received the starts {starts}")
        for _, fee in tiers:
            if not 0 <= fee < 10_000:
                raise ValueError(f"the fee of a tier must be in [0, 10000) basis points, received {fee}")
        self.tiers = tiers
        self.minimum = minimum

    def schedule(self) -> FeeSchedule:
        """Return the tiers with rates as fractions."""
        rates = tuple((float(start), fee / 10_000) for start, fee in self.tiers)
        return FeeSchedule(rates, minimum=self.minimum)


@hookimpl
def simengine_register_fees() -> list[Component]:
    """Register the component."""
    return [Component("tiered", Tiered)]
