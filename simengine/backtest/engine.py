"""`backtest`: simulate signals or target exposures on bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simengine.backtest import inputs
from simengine.backtest.costs import FeeSchedule, SlippageModel, Stops
from simengine.backtest.result import BacktestResult
from simengine.backtest.stats import calendar_bars_per_year
from simengine.errors import ConfigError, DataError, unknown_name
from simengine.types import Bars, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

    from simengine.backtest.kernel import Market, Rules
    from simengine.plugin.kinds import Fees, Slippage


def backtest(
    bars: Bars | Mapping[str, Bars] | pd.DataFrame,
    *,
    signals: inputs.PerSymbol | None = None,
    targets: inputs.PerSymbol | None = None,
    cash: float = 100_000.0,
    fee_bps: float = 0.0,
    slippage_bps: float = 0.0,
    fees: Fees | FeeSchedule | None = None,
    slippage: Slippage | SlippageModel | None = None,
    stop_loss: float | None = None,
    take_profit: float | None = None,
    rebalance: inputs.Rebalance = "on_change",
    fill_convention: str = "open_first",
    bars_per_year: float | None = None,
    on_hold: str = "keep",
) -> BacktestResult:
    """Simulate one account per symbol and return what happened.

    The decision of bar t fills at the open of bar t + 1. Several symbols trade a sleeve of cash / n
    each; the portfolio is the sum of the sleeves on the union of their times, where a sleeve is
    constant between its own bars, before the first and after the last. A position that is open after
    the last bar stays open, marked at the last close.

    Parameters
    ----------
    bars : Bars, mapping of symbol to Bars, or DataFrame
        OHLCV of one or several symbols.
    signals : integer array, shape (n,), or mapping of symbol to such
        `Signal` values: BUY goes to exposure 1, SELL to -1, HOLD follows ``on_hold``; -1 (undefined)
        keeps. Give either ``signals`` or ``targets``.
    targets : float array, shape (n,), or mapping of symbol to such
        Exposures as a signed fraction of equity in [-1, 1]; NaN keeps the last one.
    cash : float
        Starting cash of the whole account, quote currency.
    fee_bps, slippage_bps : float
        Proportional fee on notional, and adverse move of every fill price, in basis points.
    fees, slippage : component, FeeSchedule or SlippageModel
        Instead of ``fee_bps`` and ``slippage_bps``.
    stop_loss, take_profit : float, optional
        Exit levels as fractions of the (average) entry fill price.
    rebalance : "on_change", "every_bar" or {"band": width}
        When a target is an order: when it differs from the last one stated; on every bar; or when the
        exposure at the open is further than ``width`` from it, or has to become 0. A stop clears the
        target, so that ``every_bar`` and ``band`` wait for the next one that is stated, and
        ``on_change`` for one that differs.
    fill_convention : str
        ``open_first``: orders fill at the open, then stops act on the range of the bar, the entry bar
        included.
    bars_per_year : float, optional
        For annualisation; by default (bars - 1) / calendar years spanned.
    on_hold : "keep" or "flat"
        What the signal HOLD does to a position.

    Raises
    ------
    ConfigError
        An option that is not valid.
    DataError
        Bars, signals or targets that cannot be used, or an order too large for the volume of its bar.

    Examples
    --------
    >>> import numpy as np
    >>> price = np.array([100.0, 100.0, 110.0])
    >>> bars = Bars("X", np.arange(3) * 3_600 * 10**9, price, price, price, price, price)
    >>> float(backtest(bars, targets=[1.0, np.nan, np.nan]).equity[-1])
    110000.0
    """
    from simengine.backtest import kernel

    if fill_convention not in inputs.FILL_CONVENTIONS:
        raise ConfigError(unknown_name("fill convention", fill_convention, inputs.FILL_CONVENTIONS))
    if not 0 < cash < math.inf:
        raise ConfigError(f"cash must be finite and above 0, received {cash}")
    if bars_per_year is not None and not 0 < bars_per_year < math.inf:
        raise ConfigError(f"bars_per_year must be finite and above 0, received {bars_per_year}")
    tiers = inputs.as_fees(fees, fee_bps).tiers
    rules = inputs.as_rules(
        inputs.as_slippage(slippage, slippage_bps), Stops(stop_loss, take_profit), rebalance
    )
    by_symbol = inputs.as_bars(bars)
    wanted = _targets(by_symbol, signals, targets, on_hold)
    share = cash / len(by_symbol)
    sleeves = [
        _sleeve(b, wanted[symbol], kernel.new_state(share, rules, tiers), rules)
        for symbol, b in by_symbol.items()
    ]
    whole = sleeves[0] if len(sleeves) == 1 else _portfolio(sleeves)
    return replace(
        whole,
        fill_convention=fill_convention,
        bars_per_year=calendar_bars_per_year(whole.timestamp) if bars_per_year is None else bars_per_year,
    )


def _targets(
    bars: Mapping[str, Bars],
    signals: inputs.PerSymbol | None,
    targets: inputs.PerSymbol | None,
    on_hold: str,
) -> dict[str, FloatArray]:
    """Return the exposures of each symbol from whichever of the two is given."""
    if targets is not None and signals is None:
        if on_hold != "keep":
            raise ConfigError(
                "on_hold applies to signals; with targets say 0 where the position is to be flat"
            )
        given = inputs.per_symbol(targets, bars, "targets")
        return {symbol: inputs.as_targets(given[symbol], b) for symbol, b in bars.items()}
    if signals is not None and targets is None:
        given = inputs.per_symbol(signals, bars, "signals")
        return {symbol: inputs.signal_targets(given[symbol], b, on_hold) for symbol, b in bars.items()}
    received = "neither" if signals is None else "both"
    raise ConfigError(f"a backtest takes either signals or targets, received {received}")


def _sleeve(bars: Bars, targets: FloatArray, state: FloatArray, rules: Rules) -> BacktestResult:
    """Simulate one symbol with its own account."""
    from simengine.backtest import kernel
    from simengine.backtest.scan import stamp

    market = inputs.as_market(bars, needs_volume=rules.impact > 0)
    cash = float(state[kernel.CASH])
    equity, units = np.empty(len(bars)), np.empty(len(bars))
    equity[0], units[0] = cash, 0.0
    trades = _simulate(bars.symbol, market, targets, rules, state, (equity, units))
    open_trades = np.empty(int(state[kernel.UNITS] != 0), kernel.TRADE_DTYPE)
    if len(open_trades):
        kernel.mark_open(len(bars) - 1, market.close[-1], state, open_trades)
    for table in (trades, open_trades):
        stamp(table, market.timestamp)
    value = units * market.close
    return BacktestResult(
        timestamp=market.timestamp,
        equity=equity,
        value=value,
        gross_value=np.abs(value),
        trades=trades,
        open_trades=open_trades,
        symbols=(bars.symbol,),
        costs=_costs(
            float(equity[-1]) - cash,
            float(state[kernel.FEES]),
            float(state[kernel.SLIPPAGE]),
            float(state[kernel.TRADED]),
        ),
        fill_convention="open_first",
        bars_per_year=calendar_bars_per_year(market.timestamp),
        bankrupt=(bars.symbol,) if state[kernel.STATUS] == kernel.BANKRUPT else (),
    )


def _simulate(
    symbol: str,
    market: Market,
    targets: FloatArray,
    rules: Rules,
    state: FloatArray,
    curves: tuple[FloatArray, FloatArray],
) -> NDArray[np.void]:
    """Run the kernel to the last bar and return the closed trades."""
    from simengine.backtest import kernel

    n = len(targets)
    # A bar opens at most one trade. Rows that are never written take no memory.
    trades = np.empty(n + kernel.CLOSES_PER_BAR, kernel.TRADE_DTYPE)
    i = kernel.run(1, targets, market, rules, state, trades, *curves)
    if i < n:
        raise DataError(
            f"{symbol}: an order at row {i} is too large for the volume of its bar "
            f"({market.volume[i]:g}): the volume impact leaves no price; use less cash or impact"
        )
    return trades[: int(state[kernel.N_TRADES])]


def _costs(net: float, fees: float, slippage: float, traded: float) -> dict[str, float]:
    return {
        "net": net,
        "fees": fees,
        "slippage": slippage,
        "funding": 0.0,
        "gross": net + fees + slippage,
        "traded": traded,
    }


def _portfolio(sleeves: list[BacktestResult]) -> BacktestResult:
    """Add the sleeves up on the union of their times."""
    union = np.unique(np.concatenate([s.timestamp for s in sleeves]))
    cash = [float(s.equity[0]) for s in sleeves]
    trades = _merge([s.trades for s in sleeves])
    total = {name: math.fsum(s.costs[name] for s in sleeves) for name in sleeves[0].costs}
    return BacktestResult(
        timestamp=union,
        equity=_sum([_held(s.timestamp, s.equity, union, c) for s, c in zip(sleeves, cash, strict=True)]),
        value=_sum([_held(s.timestamp, s.value, union, 0.0) for s in sleeves]),
        gross_value=_sum([_held(s.timestamp, s.gross_value, union, 0.0) for s in sleeves]),
        trades=trades[np.argsort(trades["exit_time"], kind="stable")],
        open_trades=_merge([s.open_trades for s in sleeves]),
        symbols=tuple(s.symbols[0] for s in sleeves),
        costs=_costs(total["net"], total["fees"], total["slippage"], total["traded"]),
        fill_convention=sleeves[0].fill_convention,
        bars_per_year=math.nan,
        bankrupt=tuple(name for s in sleeves for name in s.bankrupt),
        sleeves=tuple(sleeves),
    )


def _sum(arrays: list[FloatArray]) -> FloatArray:
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total


def _held(timestamp: IntArray, values: FloatArray, union: IntArray, before: float) -> FloatArray:
    """Return the values on the union of times: the last known one, ``before`` the first bar."""
    if len(timestamp) == len(union):
        return values
    row = np.searchsorted(timestamp, union, side="right") - 1
    return np.where(row >= 0, values[row], before)


def _merge(parts: list[NDArray[np.void]]) -> NDArray[np.void]:
    merged = np.concatenate(parts)
    merged["symbol"] = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return merged
