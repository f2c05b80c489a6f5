"""Checks on what a backtest is given, and its translation into arrays for the kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simengine.backtest.costs import FeeSchedule, SlippageModel, Stops
from simengine.errors import ConfigError, DataError, unknown_name
from simengine.types import Bars, FloatArray, Signal

if TYPE_CHECKING:
    import pandas as pd

    from simengine.backtest.kernel import Market, Rules
    from simengine.plugin.kinds import Fees, Slippage

FILL_CONVENTIONS: tuple[str, ...] = ("open_first",)
REBALANCE_MODES: tuple[str, ...] = ("on_change", "every_bar", "band")
BPS = 1e-4

Rebalance: TypeAlias = Literal["on_change", "every_bar"] | Mapping[str, float]
PerSymbol: TypeAlias = ArrayLike | Mapping[str, ArrayLike]


def as_bars(bars: Bars | Mapping[str, Bars] | pd.DataFrame) -> dict[str, Bars]:
    """Return the bars by symbol."""
    if isinstance(bars, Bars):
        return {bars.symbol: bars}
    if isinstance(bars, Mapping):
        if not bars:
            raise DataError("there are no bars to trade: the mapping of symbols is empty")
        return {name: b if b.symbol == name else replace(b, symbol=name) for name, b in bars.items()}
    if hasattr(bars, "columns"):
        from simengine.data.bars import from_frame

        return from_frame(bars, origin="DataFrame")
    raise DataError(f"bars must be Bars, a mapping of them or a DataFrame, received {type(bars).__name__}")


def per_symbol(values: PerSymbol, bars: Mapping[str, Bars], what: str) -> dict[str, ArrayLike]:
    """Return one series per symbol, refusing missing and surplus symbols."""
    if not isinstance(values, Mapping):
        if len(bars) > 1:
            raise DataError(f"{what} must be a mapping of symbol to array for {len(bars)} symbols")
        return dict.fromkeys(bars, values)
    missing = [symbol for symbol in bars if symbol not in values]
    if missing:
        raise DataError(f"{what} are missing for {', '.join(missing)}")
    for symbol in values:
        if symbol not in bars:
            raise DataError(f"{what} given for an {unknown_name('symbol', symbol, bars)}")
    return dict(values)


def _frozen(values: NDArray[Any], dtype: type) -> NDArray[Any]:
    # One memory layout and one writeable flag: otherwise numba compiles once for each kind of input.
    view: NDArray[Any] = np.ascontiguousarray(values, dtype=dtype).view()
    view.flags.writeable = False
    return view


def as_market(bars: Bars, *, needs_volume: bool = False) -> Market:
    """Return checked arrays for the kernel.

    Raises
    ------
    DataError
        Naming symbol, row (counted from 0), value and the fix.
    """
    from simengine.backtest.kernel import Market
    from simengine.backtest.scan import first_bad_bar, first_without_volume

    if len(bars) < 2:
        raise DataError(f"{bars.symbol}: a backtest needs at least 2 bars, received {len(bars)}")
    prices = [_frozen(getattr(bars, name), np.float64) for name in Market._fields[1:]]
    market = Market(_frozen(bars.timestamp, np.int64), *prices)
    lengths = {name: len(column) for name, column in zip(Market._fields, market, strict=True)}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{bars.symbol}: the columns differ in length: {lengths}")
    row, fault = first_bad_bar(market)
    if fault:
        raise DataError(_describe_fault(bars, row, fault))
    row = first_without_volume(market.volume) if needs_volume else -1
    if row >= 0:
        raise DataError(
            f"{bars.symbol}: volume is {bars.volume[row]} at row {row} ({_when(bars, row)}), where a fill "
            "would have no price; drop such bars or use a slippage without volume impact"
        )
    return market


def _when(bars: Bars, row: int) -> str:
    return f"{np.datetime64(int(bars.timestamp[row]), 'ns').astype('M8[s]')}Z"


def _describe_fault(bars: Bars, row: int, fault: int) -> str:
    from simengine.backtest import scan

    place = f"at row {row} ({_when(bars, row)})"
    price = {name: float(getattr(bars, name)[row]) for name in ("open", "high", "low", "close")}
    if fault == scan.TIME_FAULT:
        return f"{bars.symbol}: the time {place} is not after the one before; sort the bars, drop duplicates"
    if fault == scan.PRICE_FAULT:
        name = next(name for name, value in price.items() if not 0 < value < math.inf)
        return f"{bars.symbol}: {name} is {price[name]} {place}; prices must be finite and above 0"
    if fault == scan.RANGE_FAULT:
        return f"{bars.symbol}: high {price['high']} is below low {price['low']} {place}; correct the bar"
    name = next(name for name in ("open", "close") if not price["low"] <= price[name] <= price["high"])
    return (
        f"{bars.symbol}: {name} {price[name]} is outside low {price['low']} to high {price['high']} {place}; "
        "correct the bar"
    )


def as_targets(values: ArrayLike, bars: Bars) -> FloatArray:
    """Return checked exposures, shape (n,)."""
    from simengine.backtest.scan import first_bad_target

    try:
        targets: FloatArray = _frozen(np.asarray(values, dtype=np.float64), np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{bars.symbol}: targets must be numbers in [-1, 1] or NaN") from None
    _check_shape(targets, bars, "targets")
    row = first_bad_target(targets)
    if row >= 0:
        raise DataError(
            f"{bars.symbol}: target is {targets[row]} at row {row} ({_when(bars, row)}); "
            "targets are exposures in [-1, 1], NaN keeps the last one"
        )
    return targets


def signal_targets(values: ArrayLike, bars: Bars, on_hold: str) -> FloatArray:
    """Return the exposures of signals: BUY 1, SELL -1, HOLD and -1 as ``on_hold`` says and NaN."""
    from simengine.backtest.scan import first_bad_signal

    if on_hold not in ("keep", "flat"):
        raise ConfigError(unknown_name("on_hold", on_hold, ("keep", "flat")))
    raw = np.asarray(values)
    if raw.dtype.kind not in "iu":
        raise DataError(
            f"{bars.symbol}: signals must be integers (0 SELL, 1 HOLD, 2 BUY, -1 none), received {raw.dtype}"
        )
    signals = _frozen(raw, np.int64)
    _check_shape(signals, bars, "signals")
    row = first_bad_signal(signals)
    if row >= 0:
        raise DataError(
            f"{bars.symbol}: signal is {signals[row]} at row {row} ({_when(bars, row)}); "
            "signals are 0 (SELL), 1 (HOLD), 2 (BUY) or -1 (none)"
        )
    exposure = np.full(4, np.nan)  # the last entry is reached by the index -1: no signal
    exposure[Signal.SELL], exposure[Signal.BUY] = -1.0, 1.0
    if on_hold == "flat":
        exposure[Signal.HOLD] = 0.0
    targets: FloatArray = exposure[signals]
    return targets


def _check_shape(values: NDArray[Any], bars: Bars, what: str) -> None:
    if values.ndim != 1:
        raise DataError(f"{bars.symbol}: {what} must have one dimension, received the shape {values.shape}")
    if len(values) != len(bars):
        raise DataError(f"{bars.symbol}: {len(values)} {what} for {len(bars)} bars; give one per bar")


def as_fees(fees: Fees | FeeSchedule | None, fee_bps: float) -> FeeSchedule:
    """Return the schedule of ``fees``, or a proportional one of ``fee_bps``."""
    if fees is None:
        return FeeSchedule(((0.0, fee_bps * BPS),))
    if fee_bps:
        raise ConfigError(f"give either fees or fee_bps, received both (fee_bps={fee_bps})")
    return fees if isinstance(fees, FeeSchedule) else fees.schedule()


def as_slippage(slippage: Slippage | SlippageModel | None, slippage_bps: float) -> SlippageModel:
    """Return the model of ``slippage``, or a constant one of ``slippage_bps``."""
    if slippage is None:
        return SlippageModel(slippage_bps * BPS)
    if slippage_bps:
        raise ConfigError(
            f"give either slippage or slippage_bps, received both (slippage_bps={slippage_bps})"
        )
    return slippage if isinstance(slippage, SlippageModel) else slippage.model()


def as_band(rebalance: Rebalance) -> float:
    """Return the band of a rebalancing rule: NaN for ``on_change``, 0 for ``every_bar``."""
    if isinstance(rebalance, str):
        if rebalance == "on_change":
            return math.nan
        if rebalance == "every_bar":
            return 0.0
        if rebalance == "band":
            raise ConfigError("rebalance band needs a width: {band: 0.05}")
        raise ConfigError(unknown_name("rebalance", rebalance, REBALANCE_MODES))
    if not isinstance(rebalance, Mapping) or list(rebalance) != ["band"]:
        raise ConfigError(f"rebalance must be on_change, every_bar or {{band: 0.05}}, received {rebalance!r}")
    band = rebalance["band"]
    if isinstance(band, bool) or not isinstance(band, int | float) or not 0 < band < math.inf:
        raise ConfigError(f"rebalance band is an exposure above 0 (0.05 = 5 % of equity), received {band!r}")
    return float(band)


def as_rules(slippage: SlippageModel, stops: Stops, rebalance: Rebalance) -> Rules:
    """Return the rules for the kernel."""
    from simengine.backtest.kernel import Rules

    return Rules(
        slippage=float(slippage.rate),
        impact=float(slippage.impact),
        stop_loss=math.nan if stops.stop_loss is None else float(stops.stop_loss),
        take_profit=math.nan if stops.take_profit is None else float(stops.take_profit),
        band=as_band(rebalance),
    )
