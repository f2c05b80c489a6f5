"""The search of a labeler's options: what is asked, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simengine.log import NoProgress, Progress
from simengine.types import CLASS_NAMES, Bars, FloatArray

if TYPE_CHECKING:
    from simengine.plugin.kinds import Labeler


SHARES: tuple[str, ...] = tuple(f"{name}_share" for name in CLASS_NAMES)
"""Columns of the table that hold the label shares."""


@dataclass(frozen=True, slots=True)
class LabelSearch:
    """What a threshold optimizer is given.

    Parameters
    ----------
    labeler : str
        Name of the labeler, for example ``"adaptive_threshold"``.
    options : mapping
        All of its options as configured.
    create : callable
        ``create(changed)`` returns an unfitted labeler with the options of the config, some of them changed.
    bars : mapping of str to Bars
        Bars by symbol, all of them before the end of train.
    train_end : int
        End of train, ns UTC, exclusive.
    window : int
        Bars of a window: what the inner split has to purge beside the horizon.
    seed : int
        Of everything random in it.
    max_gap_ns : int, optional
        Labels that span a longer hole are not counted; None allows any.
    progress : Progress
        Told about every step.
    fee_bps, slippage_bps : float
        Costs of trading on notional, for a search that looks at money.
    """

    labeler: str
    options: Mapping[str, Any]
    create: Callable[[Mapping[str, Any]], Labeler]
    bars: Mapping[str, Bars]
    train_end: int
    window: int
    seed: int
    max_gap_ns: int | None = None
    progress: Progress = field(default_factory=NoProgress)
    fee_bps: float = 10.0
    slippage_bps: float = 5.0


@dataclass(frozen=True, slots=True)
class LabelSearchResult:
    """What a threshold optimizer found.

    Parameters
    ----------
    best : mapping
        Options to change in the config.
    table : mapping of str to list
        One column each for the options tried, the label shares ``sell_share``, ``hold_share``,
        ``buy_share``, the parts of the objective, and ``objective``; one row per trial, in the order of the
        trials, None where a figure is not known.
    objective : float
        Of the best.
    shares : float64 array, shape (3,)
        Shares of SELL, HOLD and BUY among the labels of all bars given, with the best options.
    notes : tuple of str
        What a reader of the table should know, one line each.
    """

    best: Mapping[str, Any]
    table: Mapping[str, list[Any]]
    objective: float
    shares: FloatArray
    notes: tuple[str, ...] = ()
