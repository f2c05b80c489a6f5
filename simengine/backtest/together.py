"""Many variants of one symbol at once: what the kernel for them needs, and the figures it gives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.stats import VARIANCE_FLOOR
from simengine.types import FloatArray, IntArray

if TYPE_CHECKING:
    from simengine.backtest.chunk import ChunkResult, Task
    from simengine.backtest.terms import Terms


def run_together(task: Task, variants: NDArray[np.void], result: ChunkResult) -> IntArray:
    """Write the figures of the variants that can be simulated together; return the rows of the others."""
    terms = task.terms
    if terms is None:
        return np.arange(len(variants))
    ordinary = np.isnan(variants["trailing_stop"]) & (variants["max_bars"] == 0)
    rows = np.flatnonzero(ordinary)
    alone = [np.flatnonzero(~ordinary)]
    from simengine.backtest.kernel import many

    for first in range(0, len(rows), many.WIDTH):
        some = rows[first : first + many.WIDTH]
        sure = _run_block(task, terms, variants[some], some, result)
        alone.append(some[~sure])
    return np.sort(np.concatenate(alone))


def can_run_together(terms: Terms) -> bool:
    """Tell whether the kernel for many variants knows these terms."""
    each_bar = terms.band == 0 and terms.size_unit == "units"
    return terms.is_plain and terms.capital == "sleeves" and (math.isnan(terms.band) or each_bar)


def _run_block(
    task: Task, terms: Terms, variants: NDArray[np.void], rows: IntArray, result: ChunkResult
) -> NDArray[np.bool_]:
    """Simulate one block; return which of its variants the kernel is sure of."""
    from simengine.backtest.kernel import layout, many

    (symbol,) = task.bars
    rules = terms.rules(symbol)
    driver = many.block_driver(rules.convention, rules.unit, not math.isnan(rules.band))
    off = {name: np.where(np.isnan(variants[name]), np.inf, variants[name]) for name in _STOPS}
    state = many.new_state(terms.cash, variants["threshold"], off["stop_loss"], off["take_profit"])
    sums, squares = np.empty((2, len(task.edges) - 1, many.WIDTH))
    sell, buy = task.sides
    driver(task.edges, task.market, sell, buy, rules, state, sums, squares)
    fields = state.reshape(many.FIELDS, many.WIDTH)[:, : len(variants)]
    sums, squares = sums[:, : len(variants)].T, squares[:, : len(variants)].T
    sure = fields[many.A_STATUS // many.WIDTH] == layout.TRADING
    result.sums[rows[sure]], result.squares[rows[sure]] = sums[sure], squares[sure]
    result.rows[rows[sure]] = _figures(task, terms, rules.fee, fields, sums, squares)[sure]
    return np.asarray(sure)


_STOPS = ("stop_loss", "take_profit")


def _figures(
    task: Task, terms: Terms, fee: float, fields: FloatArray, sums: FloatArray, squares: FloatArray
) -> FloatArray:
    """Return the figures in the order of `COLUMNS`, as `simengine.backtest.stats` defines them."""
    from simengine.backtest.kernel import many

    def field(offset: int) -> FloatArray:
        row: FloatArray = fields[offset // many.WIDTH]
        return row

    n = int(task.edges[-1])
    per_year = float(task.options["bars_per_year"])
    mean, square = sums.sum(axis=1) / n, squares.sum(axis=1) / n
    variance = square - mean * mean
    variance[variance <= VARIANCE_FLOOR * square] = 0.0
    final, traded, closed = field(many.S_LAST), field(many.A_TRADED), field(many.A_CLOSED)
    with np.errstate(divide="ignore", invalid="ignore"):
        figures: FloatArray = np.column_stack(
            [
                final,
                final / terms.cash - 1,
                mean / np.sqrt(variance * n / (n - 1)) * math.sqrt(per_year),
                mean / np.sqrt(field(many.S_DOWN) / n) * math.sqrt(per_year),
                1 - field(many.S_TROUGH) / field(many.S_SUMMIT),
                closed,
                field(many.A_WINS) / closed,
                fee * traded,
                traded / (field(many.S_EQUITY) / (n + 1)) / (n / per_year),
                field(many.S_EXPOSURE) / (n + 1),
            ]
        )
    return figures
