"""What a result is held against, and the PnL part of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.errors import DataError
from simengine.evaluate.significance import block_bootstrap_interval, newey_west_t, return_lag
from simengine.seed import stream
from simengine.types import FloatArray

if TYPE_CHECKING:
    from simengine.backtest.result import BacktestResult

Targets = dict[str, FloatArray]
"""Target exposures (n,) by symbol; NaN keeps the last one."""

RESULT_STATISTICS = (
    "net_return",
    "cagr",
    "sharpe",
    "probabilistic_sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "volatility",
    "trades",
    "win_rate",
    "profit_factor",
    "expectancy",
    "exposure",
    "turnover",
    "fees",
    "slippage_cost",
    "funding",
    "borrow",
)
"""Statistics of a simulation that go into ``metrics.json`` as the engine reports them."""

BASELINE_STATISTICS = ("net_return", "sharpe", "max_drawdown", "trades", "exposure", "turnover", "fees")


@dataclass(frozen=True, slots=True)
class RandomShifts:
    """A strategy's net return among those of its own targets, shifted in time.

    Parameters
    ----------
    percentile : float
        Share of shifts that earned less, ties counting half: 0.5 is what a strategy without timing
        skill expects, 0.95 what one in twenty of those reaches.
    net_return : float
        Of the unshifted targets.
    mean : float
        Mean net return of the shifts.
    quantiles : mapping of str to float
        ``q05, q25, q50, q75, q95`` of the net returns of the shifts.
    n : int
        Number of shifts.
    """

    percentile: float
    net_return: float
    mean: float
    quantiles: Mapping[str, float]
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a dict of plain numbers."""
        return {
            "percentile": self.percentile,
            "net_return": self.net_return,
            "mean": self.mean,
            **self.quantiles,
            "n": self.n,
        }


def hold_targets(targets: FloatArray) -> FloatArray:
    """Return targets (n,) with every NaN replaced by the last target before it; 0 before the first."""
    last = np.maximum.accumulate(np.where(np.isnan(targets), -1, np.arange(len(targets))))
    return np.where(last >= 0, targets[np.maximum(last, 0)], 0.0)


def random_shift_percentile(
    run: Callable[[Targets], float], targets: Mapping[str, FloatArray], n: int = 200, seed: int = 0
) -> RandomShifts:
    """Compare a strategy with circular shifts in time of its own targets.

    A shift keeps the exposure and, but for the seam, the turnover of every symbol, and destroys only
    its timing; what the strategy earns more than its shifts is owed to timing and not to a drift of the
    market or to the luck of being mostly long (a randomisation test: Aronson, "Evidence-Based
    Technical Analysis", 2006).

    Parameters
    ----------
    run : callable
        Simulates targets by symbol with the run's own costs and returns the net return.
    targets : mapping of str to float64 array, shape (n_bars,)
        The strategy's targets on the traded bars; NaN keeps the last one, as it does after a shift.
    n : int
        Number of shifts.
    seed : int
        Root seed; each symbol is shifted by its own random number of bars, 1 to n_bars - 1.

    Raises
    ------
    DataError
        If there is no symbol, one has under two bars, ``n`` is below 1, or ``run`` returns NaN.
    """
    if not targets or n < 1:
        raise DataError(f"random shifts: expected symbols and n >= 1, received {len(targets)} and n={n}")
    for symbol, values in targets.items():
        if len(values) < 2:
            raise DataError(f"random shifts: {symbol} has {len(values)} traded bars; at least 2 are needed")
    held = {symbol: hold_targets(values) for symbol, values in targets.items()}
    own = _net_return(run, dict(targets))
    rng = stream(seed, "random_shift")
    shifted = np.empty(n)
    for index in range(n):
        moved = {
            symbol: _shifted(values, held[symbol], int(rng.integers(1, len(values))))
            for symbol, values in targets.items()
        }
        shifted[index] = _net_return(run, moved)
    below = np.count_nonzero(shifted < own) + 0.5 * np.count_nonzero(shifted == own)
    levels = (5, 25, 50, 75, 95)
    quantiles = np.quantile(shifted, [level / 100 for level in levels])
    return RandomShifts(
        percentile=float(below / n),
        net_return=own,
        mean=float(shifted.mean()),
        quantiles={f"q{level:02d}": float(q) for level, q in zip(levels, quantiles, strict=True)},
        n=n,
    )


def _shifted(targets: FloatArray, held: FloatArray, bars: int) -> FloatArray:
    """Return targets shifted in a circle; both ends of the seam state what was held there."""
    moved = np.roll(targets, bars)
    moved[[0, bars]] = held[-bars], held[0]
    return moved


def _net_return(run: Callable[[Targets], float], targets: Targets) -> float:
    value = float(run(targets))
    if np.isnan(value):
        raise DataError("random shifts: the simulation returned NaN as net return")
    return value


def reversal_score(close: FloatArray, bars: int = 4) -> FloatArray:
    """Return minus the log return of the last ``bars`` bars, (n,); NaN in the first ``bars`` rows.

    The one-line forecast of direction that a model has to beat: hold its `direction_auc` against the
    model's ``sign_auc``.
    """
    score = np.full(len(close), np.nan)
    score[bars:] = -np.log(close[bars:] / close[: len(close) - bars])
    return score


def backtest_metrics(
    result: BacktestResult,
    gross_result: BacktestResult,
    buy_and_hold_result: BacktestResult,
    *,
    shifts: RandomShifts,
    horizon_bars: int,
    seed: int,
) -> dict[str, Any]:
    """Return the ``backtest`` part of ``metrics.json`` as plain numbers.

    Parameters
    ----------
    result : BacktestResult
        The strategy with all costs.
    gross_result : BacktestResult
        The same targets simulated again without any cost.
    buy_and_hold_result : BacktestResult
        Target 1 in every symbol from the first traded bar, with the same costs.
    shifts : RandomShifts
        Of the strategy's targets.
    horizon_bars : int
        Label horizon H; ``gross_t`` and the interval allow for correlation over max(48, 2H) bars.
    seed : int
        Root seed, for the bootstrap.

    Returns
    -------
    dict
        The names of `RESULT_STATISTICS`, ``gross_return, gross_t, net_return_interval`` (95 %, circular
        block bootstrap), ``buy_and_hold_return, random_percentile, fill_convention`` and ``sensitivity``,
        the net return of the same targets by fill convention.
    """
    lag = return_lag(horizon_bars)  # the first return is 0 by definition and no observation
    metrics: dict[str, Any] = {name: result.stats[name] for name in RESULT_STATISTICS}
    metrics["gross_return"] = gross_result.stats["net_return"]
    metrics["gross_t"] = newey_west_t(gross_result.returns[1:], lag)
    metrics["net_return_interval"] = list(block_bootstrap_interval(result.returns[1:], lag, seed))
    metrics["buy_and_hold_return"] = buy_and_hold_result.stats["net_return"]
    metrics["random_percentile"] = shifts.percentile
    metrics["fill_convention"] = result.fill_convention
    metrics["sensitivity"] = {name: row["net_return"] for name, row in result.sensitivity().table.items()}
    return metrics


def baseline_metrics(result: BacktestResult) -> dict[str, float]:
    """Return the few figures of a baseline's simulation that stand beside the strategy's own."""
    return {name: result.stats[name] for name in BASELINE_STATISTICS}
