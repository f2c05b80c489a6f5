"""`backtest`: simulate signals or target exposures on bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from simengine.backtest import inputs
from simengine.backtest.costs import (
    FeeSchedule,
    Margin,
    SlippageModel,
    Stops,
    is_number,
    rounding_by_symbol,
    said,
)
from simengine.backtest.financing import Financing, Funding
from simengine.backtest.result import BacktestResult
from simengine.backtest.simulation import Simulation
from simengine.backtest.terms import Terms
from simengine.errors import ConfigError
from simengine.types import Bars, FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from simengine.backtest.onbar import OnBar
    from simengine.plugin.kinds import Fees, Slippage


def backtest(
    bars: Bars | Mapping[str, Bars] | pd.DataFrame,
    signals: inputs.PerSymbol | None = None,
    targets: inputs.PerSymbol | None = None,
    *,
    size: float = 1.0,
    size_unit: str = "fraction",
    cash: float = 100_000.0,
    fee_bps: float = 0.0,
    slippage_bps: float = 0.0,
    fees: Fees | FeeSchedule | inputs.InYaml | None = None,
    slippage: Slippage | SlippageModel | inputs.InYaml | None = None,
    stop_loss: float | None = None,
    take_profit: float | None = None,
    trailing_stop: float | None = None,
    max_bars: int | None = None,
    leverage: float = 1.0,
    initial_margin: float | None = None,
    maintenance_margin: float = 0.0,
    liquidation_fee_bps: float = 0.0,
    funding: Funding | None = None,
    borrow_rate: float = 0.0,
    limit_offset: float | None = None,
    limit_bars: int = 1,
    tick_size: float | Mapping[str, float] = 0.0,
    lot_size: float | Mapping[str, float] = 0.0,
    min_notional: float | Mapping[str, float] = 0.0,
    rebalance: inputs.Rebalance = "on_change",
    capital: str = "sleeves",
    fill_convention: str = "open_first",
    on_hold: str = "keep",
    on_bar: OnBar | None = None,
    bars_per_year: float | None = None,
) -> BacktestResult:
    """Simulate signals or targets and return what happened.

    The decision of bar t fills at the open of bar t + 1. Several symbols trade a sleeve of cash / n
    each (or share one account, see ``capital``); the portfolio is the sum of the sleeves on the union of
    their times, where a sleeve is constant between its own bars, before the first and after the last. A
    position that is open after the last bar stays open, marked at the last close.

    Parameters
    ----------
    bars : Bars, mapping of symbol to Bars, or DataFrame
        OHLCV of one or several symbols.
    signals : integer array, shape (n,), or mapping of symbol to such
        `Signal` values: BUY is a target of 1, SELL of -1, HOLD follows ``on_hold``. Give either
        ``signals`` or ``targets``.
    targets : float array, shape (n,), or mapping of symbol to such
        Signed; ``target x size`` is what is to be held. At most ``leverage`` in size as a fraction of
        equity; NaN keeps the last one.
    size : float
        What a target of 1 is.
    size_unit : "fraction", "cash" or "units"
        Of ``size``: a fraction of equity, an amount of quote currency, or units of the symbol.
    cash : float
        Starting cash of the whole account, quote currency.
    fee_bps, slippage_bps : float
        Proportional fee on notional, and adverse move of every fill price, in basis points.
    fees, slippage : component, its YAML mapping, FeeSchedule or SlippageModel
        Instead of ``fee_bps`` and ``slippage_bps``; ``{"type": "tiered", "tiers": [[0, 10], [1e6, 8]]}``.
    stop_loss, take_profit : float, optional
        Exit levels as fractions of the (average) entry fill price.
    trailing_stop : float, optional
        Exit level as a fraction of the best price since the entry.
    max_bars : int, optional
        A position is closed at the open of the bar that many bars after its entry bar.
    leverage, initial_margin, maintenance_margin, liquidation_fee_bps
        As in `simengine.backtest.costs.Margin`; a position is liquidated where equity is the maintenance
        margin, with the defaults where it is 0.
    funding : mapping, array of shape (n,), or mapping of symbol to either, optional
        ``{"rate": 0.0001, "every": "8h"}``, or the rate due at each bar (fractions of notional below 1 in
        size; 0: none falls due); for several symbols ``{"A": rates_a, "B": rates_b}``, None: none. As in
        `simengine.backtest.financing.Financing`.
    borrow_rate : float
        Interest on what is borrowed, a fraction a year.
    limit_offset : float, optional
        Positions are opened and increased by limit orders this fraction below (a buy) or above (a sale)
        the close of the decision; None: at the market.
    limit_bars : int
        For how many bars such an order stands.
    tick_size, lot_size, min_notional : float or mapping of symbol to float
        As in `simengine.backtest.costs.Rounding`.
    rebalance : "on_change", "every_bar" or {"band": width}
        When a target is an order: when it differs from the last one stated; on every bar; or when the
        exposure at the open is further than ``width`` from it, or has to become 0. A stop clears the
        target, so that ``every_bar`` and ``band`` wait for the next one that is stated, and
        ``on_change`` for one that differs.
    capital : "sleeves" or "shared"
        Whether each of n symbols trades an account of cash / n, or all of them one account.
    fill_convention : str
        ``open_first``: orders fill at the open, then stops act on the range of the bar, the entry bar
        included. ``open_first_skip_entry``: not in the entry bar. ``stop_first_drop``: stops of a
        position held from before act first, and when one fires the order of that bar is dropped.
    on_hold : "keep" or "flat"
        What the signal HOLD does to a position.
    on_bar : OnBar, optional
        A rule on the state of the account; as in `simengine.backtest.onbar`.
    bars_per_year : float, optional
        For annualisation; by default (bars - 1) / calendar years spanned.

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
    by_symbol = inputs.as_bars(bars)
    if bars_per_year is not None and not (is_number(bars_per_year) and 0 < bars_per_year < math.inf):
        raise ConfigError(f"bars_per_year must be finite and above 0, received {said(bars_per_year)}")
    terms = Terms(
        size=size,
        size_unit=size_unit,
        cash=cash,
        fees=inputs.as_fees(fees, fee_bps),
        slippage=inputs.as_slippage(slippage, slippage_bps),
        stops=Stops(stop_loss, take_profit, trailing_stop, max_bars),
        margin=Margin(
            leverage,
            initial_margin,
            maintenance_margin,
            inputs.from_bps("liquidation_fee_bps", liquidation_fee_bps),
        ),
        financing=Financing(funding, borrow_rate).of(by_symbol),
        rounding=rounding_by_symbol(tuple(by_symbol), tick_size, lot_size, min_notional),
        limit_offset=limit_offset,
        limit_bars=limit_bars,
        rebalance=rebalance,
        capital=capital,
        fill_convention=fill_convention,
        on_bar=on_bar,
    )
    wanted = _targets(by_symbol, signals, targets, on_hold)
    return Simulation(by_symbol, wanted, terms, bars_per_year).run()


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
