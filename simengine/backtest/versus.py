"""A result beside a benchmark: which returns to compare, and how they are aligned."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from simengine.backtest.benchmark import align_benchmark, compare_to_benchmark
from simengine.backtest.costs import FeeSchedule, Margin, Rounding, SlippageModel, Stops
from simengine.backtest.financing import Financing
from simengine.backtest.result import BacktestResult
from simengine.errors import DataError
from simengine.types import Bars, FloatArray, IntArray

if TYPE_CHECKING:
    from simengine.backtest.simulation import Simulation

Benchmark: TypeAlias = Bars | BacktestResult | tuple[ArrayLike, ArrayLike]


def versus(result: BacktestResult, benchmark: Benchmark | None) -> dict[str, float]:
    """Compare a result with a benchmark; as `BacktestResult.versus`."""
    # The first return of a result is 0 by definition and no observation.
    against = _returns(result, benchmark)[1:]
    return compare_to_benchmark(result.returns[1:], against, result.bars_per_year)


def bought_and_held(simulation: Simulation) -> BacktestResult:
    """Buy every symbol for an equal share of the cash at the first chance, and keep it, at no cost."""
    targets = {}
    for symbol, bars in simulation.bars.items():
        targets[symbol] = np.full(len(bars), np.nan)
        targets[symbol][0] = 1.0
    terms = simulation.terms.free(
        size=1.0,
        size_unit="fraction",
        fees=FeeSchedule(((0.0, 0.0),)),
        slippage=SlippageModel(0.0),
        stops=Stops(),
        margin=Margin(),
        financing=Financing(),
        rounding=dict.fromkeys(simulation.bars, Rounding()),
        limit_offset=None,
        rebalance="on_change",
        capital="sleeves",
        on_bar=None,
    )
    return type(simulation)(simulation.bars, targets, terms, simulation.bars_per_year).run()


def _returns(result: BacktestResult, benchmark: Benchmark | None) -> FloatArray:
    """Return the returns of a benchmark on the bars of a result."""
    if benchmark is None:
        benchmark = bought_and_held(result.rerunnable)
    if isinstance(benchmark, BacktestResult):
        if np.array_equal(benchmark.timestamp, result.timestamp):
            return benchmark.returns
        times = _last_bar_inside(benchmark.timestamp, result.timestamp)
        return align_benchmark(result.timestamp, times, benchmark.equity)
    if isinstance(benchmark, Bars):
        times = _last_bar_inside(benchmark.timestamp, result.timestamp)
        return align_benchmark(result.timestamp, times, benchmark.close)
    if isinstance(benchmark, tuple) and len(benchmark) == 2:
        return align_benchmark(result.timestamp, *benchmark)
    raise DataError(
        "a benchmark is Bars, a BacktestResult, a pair of timestamps and prices, or None for buying and "
        f"holding, received {type(benchmark).__name__}"
    )


def _last_bar_inside(times: IntArray, on: IntArray) -> IntArray:
    """Return the open of the last bar of ``on`` that has closed when each bar of ``times`` closes.

    A bar closes the smallest distance between two opens after its own. Stamped with its own open, the close
    of a day would be known in its first hour.
    """
    if len(times) < 2:
        return times
    return times + (int(np.diff(times).min()) - int(np.diff(on).min()))
