"""What a result would have been otherwise: under other fill conventions, without costs, without stops."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simengine.backtest.costs import FeeSchedule, Stops
from simengine.backtest.financing import Financing
from simengine.backtest.inputs import FILL_CONVENTIONS
from simengine.backtest.tables import readable
from simengine.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from simengine.backtest.result import BacktestResult
    from simengine.backtest.terms import Terms

COLUMNS: tuple[str, ...] = ("net_return", "sharpe", "max_drawdown", "trades", "win_rate", "final_equity")
"""What a row of the sensitivity table says."""


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity:
    """The same decisions under every fill convention; prints as a table.

    Parameters
    ----------
    fill_convention : str
        That of the result.
    table : dict of str to dict of str to float
        For every convention the statistics `COLUMNS`; all NaN where an order is too large for the volume
        of its bar.
    """

    fill_convention: str
    table: dict[str, dict[str, float]]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per convention; the column ``used`` marks that of the result."""
        import pandas as pd

        frame = pd.DataFrame.from_dict(self.table, orient="index", columns=list(COLUMNS))
        frame.index.name = "fill_convention"
        frame["used"] = [name == self.fill_convention for name in self.table]
        return frame

    def __repr__(self) -> str:
        cells = [[readable(column, row[column]) for column in COLUMNS] for row in (*self.table.values(),)]
        widths = [max(map(len, column)) for column in zip(COLUMNS, *cells, strict=True)]
        named = max(map(len, self.table))
        lines = [(" " * (named + 4), COLUMNS)]
        for name, texts in zip(self.table, cells, strict=True):
            mark = "*" if name == self.fill_convention else " "
            lines.append((f"  {mark} {name:<{named}}", tuple(texts)))
        body = [
            "  ".join([head, *(f"{text:>{width}}" for text, width in zip(texts, widths, strict=True))])
            for head, texts in lines
        ]
        return "\n".join(["Same decisions under every fill convention (* used)", *body])


def sensitivity(result: BacktestResult) -> Sensitivity:
    """Simulate the decisions of a result under every fill convention."""
    simulation = result.rerunnable
    table = {}
    for convention in FILL_CONVENTIONS:
        if convention == result.fill_convention:
            stats = result.stats
        else:
            other = simulation.under(simulation.terms.free(fill_convention=convention))
            try:
                stats = other.run().stats
            except DataError:
                # The bars have passed: what is left is an order that the volume gives no price for.
                stats = dict.fromkeys(COLUMNS, math.nan)
        table[convention] = {name: stats[name] for name in COLUMNS}
    return Sensitivity(result.fill_convention, table)


def attribution(result: BacktestResult) -> dict[str, float]:
    """Simulate the decisions of a result without each cost and without stops.

    Returns
    -------
    dict of str to float
        Final equity without ``fees``, ``slippage``, ``financing``, ``stops`` less that of the result.
    """
    simulation = result.rerunnable
    terms = simulation.terms
    without: dict[str, Terms] = {}
    if any(rate for _, rate in terms.fees.tiers) or terms.fees.fixed or terms.fees.minimum:
        without["fees"] = terms.free(fees=FeeSchedule(((0.0, 0.0),)))
    if terms.margin.liquidation_fee:
        margin = replace(terms.margin, liquidation_fee=0.0)
        without["fees"] = without.get("fees", terms).free(margin=margin)
    if terms.slippage.rate or terms.slippage.impact:
        without["slippage"] = terms.free(slippage=replace(terms.slippage, rate=0.0, impact=0.0))
    if terms.is_financed:
        without["financing"] = terms.free(financing=Financing())
    if terms.stops != Stops():
        without["stops"] = terms.free(stops=Stops())
    final = float(result.equity[-1])
    return {
        name: float(simulation.under(without[name]).run().equity[-1]) - final if name in without else 0.0
        for name in ("fees", "slippage", "financing", "stops")
    }
