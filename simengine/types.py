"""The words that every layer shares: signals, bars and the contexts handed to components."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]
LabelArray = NDArray[np.int8]


class Signal(IntEnum):
    """The three classes, in this order everywhere."""

    SELL = 0
    HOLD = 1
    BUY = 2


CLASS_NAMES: tuple[str, str, str] = ("sell", "hold", "buy")
N_CLASSES = 3
UNDEFINED = -1
"""The label or signal of a bar that has none (warm-up, end of the data)."""


class PerClass(NamedTuple):
    """One number per class; written in YAML as ``{sell: , hold: , buy: }`` or a list in that order."""

    sell: float
    hold: float
    buy: float


@dataclass(frozen=True, slots=True)
class Bars:
    """The OHLCV bars of one symbol, as parallel arrays sorted by time.

    Parameters
    ----------
    symbol : str
        Name of the instrument.
    timestamp : int64 array, shape (n,)
        Bar OPEN times, nanoseconds since the epoch, UTC, strictly increasing.
    open, high, low, close, volume : float64 arrays, shape (n,)
        Prices in quote currency, volume in units of the instrument.
    turnover : float64 array, shape (n,), optional
        Traded value in quote currency.
    repairs : mapping of str to int
        How often each documented repair was applied while loading; empty when none was.
    ignored_columns : tuple of str
        Columns of the file that the bars came from which have no meaning here.
    """

    symbol: str
    timestamp: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    turnover: FloatArray | None = None
    repairs: Mapping[str, int] = field(default_factory=dict)
    ignored_columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.timestamp)

    def slice(self, start: int, stop: int) -> Bars:
        """Return bars ``start`` to ``stop`` (exclusive) as views."""
        cut: dict[str, Any] = {name: column[start:stop] for name, column in self.columns()}
        return replace(self, timestamp=self.timestamp[start:stop], **cut)

    def columns(self) -> Iterator[tuple[str, FloatArray]]:
        """Yield ``(name, values)`` of every float column that is present."""
        for name in ("open", "high", "low", "close", "volume", "turnover"):
            values = getattr(self, name)
            if values is not None:
                yield name, values

    def to_frame(self) -> pd.DataFrame:
        """Return the bars as a DataFrame indexed by UTC open time."""
        import pandas as pd

        index = pd.DatetimeIndex(self.timestamp.view("M8[ns]"), tz="UTC", name="timestamp")
        return pd.DataFrame(dict(self.columns()), index=index)


@dataclass(frozen=True, slots=True)
class StrategyContext:
    """What a strategy may look at: one symbol, everything up to the end of the traded span.

    Row t of every array is known at the close of bar t. Bars before the traded span are included, so
    that indicators can warm up; their ``proba`` is NaN and their ``signals`` are ``UNDEFINED``.

    Parameters
    ----------
    bars : Bars
        n bars of the symbol.
    proba : float64 array, shape (n, 3)
        Calibrated probabilities of SELL, HOLD, BUY; NaN where the model gives none.
    signals : int8 array, shape (n,)
        Decided signals; ``UNDEFINED`` (-1) where there is none.
    symbol : str
        Same as ``bars.symbol``.
    """

    bars: Bars
    proba: FloatArray
    signals: LabelArray
    symbol: str


@dataclass(frozen=True, slots=True, eq=False)
class DecisionMarket:
    """The market behind the rows that a decision rule is fitted on: what trading on them would earn.

    Parameters
    ----------
    bars : mapping of str to Bars
        The bars of the validation span of every symbol that can be traded, two or more each.
    symbols : tuple of str
        Names of the groups: rows with ``groups == i`` belong to ``symbols[i]``. One without bars here
        cannot be traded.
    groups : integer array, shape (n,)
        Symbol index of each row.
    rows : int64 array, shape (n,)
        Bar of each row, counted from the first of ``bars`` of its symbol.
    options : mapping of str to object
        Keyword options of `simengine.backtest.sweep` that stand for the configured account: cash, fees,
        slippage, sizes, conventions.
    stops : mapping of str to float, int or None
        ``stop_loss, take_profit, trailing_stop`` (fractions) and ``max_bars``; None is off.
    on_hold : {"keep", "flat"} or None
        What HOLD does to a position, where the strategy says so.
    """

    bars: Mapping[str, Bars]
    symbols: tuple[str, ...]
    groups: IntArray
    rows: IntArray
    options: Mapping[str, Any] = field(default_factory=dict)
    stops: Mapping[str, float | int | None] = field(default_factory=dict)
    on_hold: str | None = None

    def by_bar(self, values: FloatArray) -> dict[str, FloatArray]:
        """Return values (n, k) of the rows at the bars of each symbol, (n_bars, k); NaN elsewhere."""
        spread = {}
        for symbol, bars in self.bars.items():
            mine = np.asarray(self.groups) == self.symbols.index(symbol)
            spread[symbol] = np.full((len(bars), values.shape[1]), np.nan)
            spread[symbol][self.rows[mine]] = values[mine]
        return spread


@dataclass(frozen=True, slots=True, eq=False)
class DecisionContext:
    """What a decision rule may know besides the scores and labels that it is fitted on.

    Parameters
    ----------
    train_share : float64 array, shape (3,)
        Label shares of the train rows.
    horizon_bars : int
        Label horizon H; labels of neighbouring bars overlap by H - 1 bars.
    groups : integer array, shape (n,), optional
        Symbol index of each row.
    timestamp : int64 array, shape (n,), optional
        Open time of the bar of each row, ns UTC.
    market : DecisionMarket, optional
        Bars and costs of the rows. None where a rule is fitted on scores alone; one that needs what is
        missing raises a `ConfigError`.
    """

    train_share: FloatArray
    horizon_bars: int
    groups: IntArray | None = None
    timestamp: IntArray | None = None
    market: DecisionMarket | None = None


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one epoch of training did, measured on the whole validation segment.

    Parameters
    ----------
    epoch : int
        Counted from 1.
    train_loss : float
        Mean loss over the rows of the epoch, as optimised (weights included).
    learning_rate : float
        At the end of the epoch.
    class_weights : tuple of float, length 3
        Per-class weights that the reweighter gave for this epoch.
    val_nll, val_ece, val_macro_f1 : float
        Of the raw, uncalibrated probabilities and their argmax.
    val_argmax_share : tuple of float, length 3
        Share of SELL, HOLD, BUY in the argmax.
    best : bool
        Whether this epoch has the lowest ``val_nll`` so far.
    collapse : {"decision", "model"} or None
        Whether a class is said far more or less often than it is true, and what would cure it, see
        `simengine.train.collapse`.
    """

    epoch: int
    train_loss: float
    learning_rate: float
    class_weights: tuple[float, float, float]
    val_nll: float
    val_ece: float
    val_macro_f1: float
    val_argmax_share: tuple[float, float, float]
    best: bool
    collapse: Literal["decision", "model"] | None = None
