"""Checks on what a backtest is given, and its translation into arrays for the kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simengine.backtest.costs import FeeSchedule, SlippageModel, is_number, said
from simengine.errors import ConfigError, DataError, unknown_name
from simengine.types import Bars, FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from simengine.backtest.kernel.layout import Market
    from simengine.plugin.kinds import Fees, Slippage
    from simengine.plugin.registry import Registry

FILL_CONVENTIONS: tuple[str, ...] = ("open_first", "stop_first_drop", "open_first_skip_entry")
"""In the order of the kernel's constants."""
SIZE_UNITS: tuple[str, ...] = ("fraction", "cash", "units")
REBALANCE_MODES: tuple[str, ...] = ("on_change", "every_bar", "band")
BPS = 1e-4

Rebalance: TypeAlias = Literal["on_change", "every_bar"] | Mapping[str, float]
PerSymbol: TypeAlias = ArrayLike | Mapping[str, ArrayLike]
InYaml: TypeAlias = Mapping[str, Any] | str
"""A component as YAML writes it: its name, or a mapping with its type and options."""


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


def frozen(values: NDArray[Any], dtype: type) -> NDArray[Any]:
    """Return a contiguous read-only view (or copy) of an array."""
    # One memory layout and one writeable flag: otherwise numba compiles once for each kind of input.
    view: NDArray[Any] = np.ascontiguousarray(values, dtype=dtype).view()
    view.flags.writeable = False
    return view


def as_market(bars: Bars, funding: FloatArray | None = None) -> Market:
    """Return the arrays of one symbol for the kernel, which checks them as it trades.

    Raises
    ------
    DataError
        Fewer than two bars, or columns of different lengths.
    """
    from simengine.backtest.kernel.layout import Market

    if len(bars) < 2:
        raise DataError(f"{bars.symbol}: a backtest needs at least 2 bars, received {len(bars)}")
    columns = [frozen(bars.timestamp, np.int64)]
    columns += [frozen(getattr(bars, name), np.float64) for name in Market._fields[1:6]]
    lengths = {name: len(column) for name, column in zip(Market._fields[:6], columns, strict=True)}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{bars.symbol}: the columns differ in length: {lengths}")
    rates = np.empty(0) if funding is None else funding
    return Market._make([*columns, frozen(rates, np.float64)])


def _when(bars: Bars, row: int) -> str:
    return f"{np.datetime64(int(bars.timestamp[row]), 'ns').astype('M8[s]')}Z"


def check_tick(bars: Bars, tick: float) -> None:
    """Refuse a tick that is larger than a price, which would be rounded to 0.

    Raises
    ------
    ConfigError
        Such a tick, with the lowest price.
    """
    if tick <= 0:
        return
    # A low that is no price is refused by the kernel, with its own message.
    row = int(np.argmin(np.where(bars.low > 0, bars.low, math.inf)))
    low = float(bars.low[row])
    if tick > low > 0:
        raise ConfigError(
            f"{bars.symbol}: tick_size {tick:g} is above the low {low:g} at row {row} ({_when(bars, row)}); "
            "a tick is a small part of a price"
        )


def fault_error(bars: Bars, targets: FloatArray, most: float, row: int, fault: int) -> DataError:
    """Return the error that names a row the kernel could not trade: symbol, row, value and the fix."""
    from simengine.backtest.kernel import checks

    place = f"at row {row} ({_when(bars, row)})"
    if fault == checks.TARGET_FAULT:
        return DataError(
            f"{bars.symbol}: target is {targets[row]} {place}; "
            f"targets are exposures in [-{most:g}, {most:g}], NaN keeps the last one"
        )
    if fault == checks.VOLUME_FAULT:
        volume = float(bars.volume[row])
        if volume == 0:
            fix = "where a fill would have no price; drop such bars, cap the participation or take no impact"
        else:
            fix = "and the slippage depends on it; volumes must be finite and 0 or more"
        return DataError(f"{bars.symbol}: volume is {volume} {place}, {fix}")
    return DataError(f"{bars.symbol}: {_describe_fault(bars, row, fault, place)}")


def _describe_fault(bars: Bars, row: int, fault: int, place: str) -> str:
    from simengine.backtest.kernel import checks

    price = {name: float(getattr(bars, name)[row]) for name in ("open", "high", "low", "close")}
    if fault == checks.TIME_FAULT:
        return f"the time {place} is not after the one before; sort the bars, drop duplicates"
    if fault == checks.PRICE_FAULT:
        name = next(name for name, value in price.items() if not 0 < value < math.inf)
        return f"{name} is {price[name]} {place}; prices must be finite and above 0"
    if fault == checks.RANGE_FAULT:
        return f"high {price['high']} is below low {price['low']} {place}; correct the bar"
    name = next(name for name in ("open", "close") if not price["low"] <= price[name] <= price["high"])
    return (
        f"{name} {price[name]} is outside low {price['low']} to high {price['high']} {place}; correct the bar"
    )


def as_targets(values: ArrayLike, bars: Bars) -> FloatArray:
    """Return targets as an array of shape (n,); the kernel checks their size."""
    check_index(values, bars, "targets")
    try:
        targets: FloatArray = frozen(_as_numbers(values), np.float64)
    except TypeError as error:
        raise DataError(f"{bars.symbol}: targets must be numbers or NaN{error}") from None
    _check_shape(targets, bars, "targets")
    return targets


def signal_targets(values: ArrayLike, bars: Bars, on_hold: str) -> FloatArray:
    """Return the targets of signals: BUY 1, SELL -1, HOLD as ``on_hold`` says."""
    from simengine.backtest.kernel.checks import targets_of

    if on_hold not in ("keep", "flat"):
        raise ConfigError(unknown_name("on_hold", on_hold, ("keep", "flat")))
    check_index(values, bars, "signals")
    raw = np.asarray(values)
    if raw.dtype.kind not in "iu":
        raise DataError(
            f"{bars.symbol}: signals must be integers (0 SELL, 1 HOLD, 2 BUY), received {raw.dtype}"
        )
    _check_shape(raw, bars, "signals")
    # Clipped to the nearest number outside 0..2 that int8 holds, so that none becomes valid by wrapping.
    small = raw if raw.dtype == np.int8 else np.clip(raw, -1 if raw.dtype.kind == "i" else 0, 3)
    targets = np.empty(len(raw))
    row = targets_of(frozen(small, np.int8), math.nan if on_hold == "keep" else 0.0, targets)
    if row >= 0:
        raise DataError(
            f"{bars.symbol}: signal is {raw[row]} at row {row} ({_when(bars, row)}); "
            "signals are 0 (SELL), 1 (HOLD) and 2 (BUY); say HOLD where there is none"
        )
    return frozen(targets, np.float64)


_NO_NUMBERS = {"b": "booleans", "c": "complex numbers", "M": "times", "m": "durations"}


def _as_numbers(values: ArrayLike) -> NDArray[Any]:
    """Return an array of real numbers.

    Raises
    ------
    TypeError
        Something else; its text is empty, or says what was received.
    """
    try:
        raw = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise TypeError from None
    if raw.dtype.kind == "O" and all(map(is_number, raw.flat)):
        raw = raw.astype(np.float64)
    if raw.dtype.kind not in "iuf":
        received = _NO_NUMBERS.get(raw.dtype.kind)
        raise TypeError(f", received {received}" if received else "")
    return raw


def check_index(values: object, bars: Bars, what: str) -> None:
    """Refuse a labelled series whose labels are neither the positions nor the times of the bars.

    Raises
    ------
    DataError
        Such a series: taken by position, its values could be those of other bars.
    """
    index = getattr(values, "index", None)
    kind = getattr(getattr(index, "dtype", None), "kind", None)
    if kind is None or len(index) != len(bars):  # type: ignore[arg-type]
        return  # no labels; or another length, which is refused as such
    if kind == "M":
        fits = np.array_equal(np.asarray(index, dtype="M8[ns]").astype(np.int64), bars.timestamp)
    else:
        labels = np.asarray(index)
        known = (np.arange(len(bars)), bars.timestamp)
        fits = kind in "iuf" and any(np.array_equal(labels, rows) for rows in known)
    if not fits:
        raise DataError(
            f"{bars.symbol}: the index of the {what} is neither 0 to {len(bars) - 1} nor the times of the "
            "bars, so that positions could be shifted; reindex it to the bars, or give .to_numpy() "
            "when the order is right"
        )


def _check_shape(values: NDArray[Any], bars: Bars, what: str) -> None:
    if values.ndim != 1:
        raise DataError(f"{bars.symbol}: {what} must have one dimension, received the shape {values.shape}")
    if len(values) != len(bars):
        raise DataError(f"{bars.symbol}: {len(values)} {what} for {len(bars)} bars; give one per bar")


@cache
def _built_in() -> Registry:
    from simengine.plugin.manager import build_registry

    return build_registry(discover=False)


def from_bps(name: str, value: float) -> float:
    """Return basis points as a fraction."""
    if not (is_number(value) and 0 <= value < 1 / BPS):
        raise ConfigError(
            f"{name} is in basis points (10 = 0.1 %), 0 or more and below 10000, received {said(value)}"
        )
    return value * BPS


def as_fees(fees: Fees | FeeSchedule | InYaml | None, fee_bps: float) -> FeeSchedule:
    """Return the schedule of ``fees``, or a proportional one of ``fee_bps``."""
    if fees is None:
        return FeeSchedule(((0.0, from_bps("fee_bps", fee_bps)),))
    if fee_bps:
        raise ConfigError(f"give either fees or fee_bps, received both (fee_bps={fee_bps})")
    if isinstance(fees, FeeSchedule):
        return fees
    if isinstance(fees, Mapping | str):
        component: Fees = _built_in().create("fees", fees, "fees")
        return component.schedule()
    if not hasattr(fees, "schedule"):
        raise ConfigError(
            "fees are a component, its YAML mapping ({'type': 'proportional', 'fee_bps': 10}) "
            f"or a FeeSchedule, received {said(fees)}"
        )
    return fees.schedule()


def as_slippage(slippage: Slippage | SlippageModel | InYaml | None, slippage_bps: float) -> SlippageModel:
    """Return the model of ``slippage``, or a constant one of ``slippage_bps``."""
    if slippage is None:
        return SlippageModel(from_bps("slippage_bps", slippage_bps))
    if slippage_bps:
        raise ConfigError(
            f"give either slippage or slippage_bps, received both (slippage_bps={slippage_bps})"
        )
    if isinstance(slippage, SlippageModel):
        return slippage
    if isinstance(slippage, Mapping | str):
        component: Slippage = _built_in().create("slippage", slippage, "slippage")
        return component.model()
    if not hasattr(slippage, "model"):
        raise ConfigError(
            "slippage is a component, its YAML mapping ({'type': 'bps', 'slippage_bps': 5}) "
            f"or a SlippageModel, received {said(slippage)}"
        )
    return slippage.model()


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
