"""Some variants of a sweep, simulated: the figures of each, and the sums that judge the best of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simengine.types import Bars, FloatArray, IntArray, Signal

if TYPE_CHECKING:
    from simengine.backtest.kernel.layout import Market
    from simengine.backtest.result import BacktestResult
    from simengine.backtest.simulation import Simulation
    from simengine.backtest.terms import Terms

COLUMNS: tuple[str, ...] = (
    *("final_equity", "net_return", "sharpe", "sortino", "max_drawdown"),
    *("trades", "win_rate", "fees", "turnover", "exposure"),
)
"""Figures of a variant, as `simengine.backtest.stats` defines them."""

BLOCKS = 16
"""Consecutive parts of the one-bar returns that the overfitting statistics are made from."""


class ChunkResult(NamedTuple):
    """What k variants came to.

    Parameters
    ----------
    rows : float64 array, shape (k, 10)
        Figures in the order of `COLUMNS`.
    sums, squares : float64 arrays, shape (k, 16)
        Sum, and sum of squares, of the one-bar returns in each block.
    """

    rows: FloatArray
    sums: FloatArray
    squares: FloatArray


@dataclass(frozen=True, eq=False)
class Task:
    """What every variant of a sweep is simulated on; nothing in it is changed.

    Parameters
    ----------
    bars : mapping of str to Bars
        By symbol.
    proba : mapping of str to float64 array, shape (n, 3)
        P(SELL), P(HOLD), P(BUY) at the close of each bar; a row of NaN says nothing.
    options : mapping
        Keyword options of `simengine.backtest.backtest` beside targets and stops.
    on_hold : str
        ``"keep"`` or ``"flat"``: what a bar with probabilities but without a signal does.
    edges : int64 array, shape (17,)
        Block b of the returns (one fewer than there are bars) is ``edges[b]`` to ``edges[b + 1]``.
    idle : Simulation
        Of the same bars and options, in which nothing is traded.
    """

    bars: Mapping[str, Bars]
    proba: Mapping[str, FloatArray]
    options: Mapping[str, Any]
    on_hold: str
    edges: IntArray
    idle: Simulation

    @cached_property
    def terms(self) -> Terms | None:
        """The terms under which many variants run at once; None when they cannot."""
        from simengine.backtest.together import can_run_together

        terms = self.idle.terms
        alike = len(self.bars) == 1 and self.on_hold == "keep" and can_run_together(terms)
        return terms if alike else None

    @cached_property
    def market(self) -> Market:
        """The arrays of the only symbol."""
        (symbol,) = self.bars
        return self.idle.market(symbol)

    @cached_property
    def sides(self) -> tuple[FloatArray, FloatArray]:
        """P(SELL) and P(BUY) of the only symbol."""
        (proba,) = self.proba.values()
        return np.ascontiguousarray(proba[:, Signal.SELL]), np.ascontiguousarray(proba[:, Signal.BUY])


def block_edges(n: int) -> IntArray:
    """Return the borders of `BLOCKS` consecutive parts of n returns, sized as ``np.array_split`` does."""
    size, longer = divmod(n, BLOCKS)
    sizes = np.full(BLOCKS, size, np.int64)
    sizes[:longer] += 1
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


def threshold_targets(proba: FloatArray, threshold: float, on_hold: str = "keep") -> FloatArray:
    """Return the targets of one threshold.

    Long (1) where P(BUY) > threshold and P(BUY) >= P(SELL), otherwise short (-1) where P(SELL) >
    threshold, otherwise NaN: the position is kept (0 with ``on_hold="flat"``). A row of NaN gives NaN.

    Parameters
    ----------
    proba : float64 array, shape (n, 3)
    threshold : float
    on_hold : "keep" or "flat"

    Returns
    -------
    float64 array, shape (n,)
    """
    sell, buy = proba[:, Signal.SELL], proba[:, Signal.BUY]
    targets = np.full(len(proba), np.nan)
    if on_hold == "flat":
        targets[~np.isnan(buy)] = 0.0
    targets[sell > threshold] = -1.0
    targets[(buy > threshold) & (buy >= sell)] = 1.0
    return targets


def run_variants(task: Task, variants: NDArray[np.void]) -> ChunkResult:
    """Simulate variants, each exactly as `backtest` would.

    Most of them go through the kernel for many variants at once; one that it is unsure of, or has no
    way for, is simulated alone.

    Parameters
    ----------
    task : Task
    variants : structured array of `simengine.backtest.variants.VARIANT_DTYPE`, shape (k,)

    Raises
    ------
    DataError
        An order too large for the volume of its bar.
    """
    from simengine.backtest.together import run_together
    from simengine.backtest.variants import Variants

    k = len(variants)
    result = ChunkResult(np.empty((k, len(COLUMNS))), np.empty((k, BLOCKS)), np.empty((k, BLOCKS)))
    alone = run_together(task, variants, result)
    known: tuple[float, dict[str, FloatArray]] | None = None
    for row in alone:
        threshold = float(variants["threshold"][row])
        if known is None or known[0] != threshold:
            known = threshold, targets_of(task, threshold)
        found = simulate(task, next(iter(Variants(variants[row : row + 1]))), known[1])
        result.rows[row] = [found.stats[name] for name in COLUMNS]
        result.sums[row], result.squares[row] = block_sums(found.returns[1:], task.edges)
    return result


def simulate(
    task: Task, variant: Mapping[str, Any], targets: Mapping[str, FloatArray] | None = None
) -> BacktestResult:
    """Return the whole backtest of one variant, whose targets may be known already."""
    from simengine.backtest.engine import backtest

    wanted = targets_of(task, variant["threshold"]) if targets is None else targets
    stops: dict[str, Any] = {
        name: level for name, level in variant.items() if name != "threshold" and level is not None
    }
    return backtest(task.bars, targets=wanted, **stops, **task.options)


def targets_of(task: Task, threshold: float) -> dict[str, FloatArray]:
    """Return the targets of one threshold by symbol."""
    return {symbol: threshold_targets(proba, threshold, task.on_hold) for symbol, proba in task.proba.items()}


def block_sums(returns: FloatArray, edges: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the sum and the sum of squares of each block, in the order of time."""
    starts = edges[:-1]
    return np.add.reduceat(returns, starts), np.add.reduceat(returns * returns, starts)
