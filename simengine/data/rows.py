"""Features and labels of all symbols, one symbol after another, before scaling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simengine.data.gaps import BoolArray, Holes, find_holes
from simengine.errors import DataError, PluginError
from simengine.types import N_CLASSES, UNDEFINED, Bars, Float32Array, IntArray, LabelArray

if TYPE_CHECKING:
    from simengine.plugin.kinds import Features, Labeler


@dataclass(frozen=True, slots=True)
class Rows:
    """The bars of all symbols as rows; the arrays are those of `simengine.data.dataset.Dataset`.

    Parameters
    ----------
    offsets : int64 array, shape (S + 1,)
        First row of each symbol; the last entry is the number of rows.
    matrix : float32 array, shape (n_bars, F)
        Unscaled features.
    labels : int8 array, shape (n_bars,)
        -1 where a bar has no label.
    full : bool array, shape (n_bars,)
        Whether a full window ends here.
    counts : mapping of str to int
        Holes found and the windows and labels lost to long ones.
    """

    offsets: IntArray
    matrix: Float32Array
    labels: LabelArray
    full: BoolArray
    counts: Mapping[str, int]


def join_symbols(
    bars_by_symbol: Mapping[str, Bars],
    features: Features,
    labeler: Labeler,
    *,
    window: int,
    max_gap_ns: int | None,
) -> Rows:
    """Compute features and labels symbol by symbol and find the rows that end a full window.

    Raises
    ------
    DataError
        A feature is NaN or infinite after its warm-up.
    PluginError
        The features or the labeler break their contract.
    """
    lengths = [len(bars) for bars in bars_by_symbol.values()]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = int(offsets[-1])
    matrix = np.empty((n, len(features.names)), dtype=np.float32)
    labels = np.empty(n, dtype=np.int8)
    full = np.zeros(n, dtype=np.bool_)
    counts = {"holes": 0, "long_holes": 0, "windows_lost_to_holes": 0, "labels_lost_to_holes": 0}
    for first, bars in zip(offsets[:-1].tolist(), bars_by_symbol.values(), strict=True):
        part = slice(first, first + len(bars))
        matrix[part] = features_of(bars, features)
        raw = _labels_of(bars, labeler)
        holes = _holes_of(bars, max_gap_ns)
        labels[part] = np.where(holes.same_side(labeler.horizon_bars), raw, UNDEFINED)
        whole = holes.unbroken(window)
        warm = np.arange(len(bars)) >= features.warmup + window - 1
        full[part] = warm & whole
        counts["holes"] += holes.short + holes.long
        counts["long_holes"] += holes.long
        counts["windows_lost_to_holes"] += int(np.count_nonzero(warm & ~whole))
        counts["labels_lost_to_holes"] += int(np.count_nonzero((raw >= 0) & (labels[part] < 0)))
    return Rows(offsets, matrix, labels, full, counts)


def _holes_of(bars: Bars, max_gap_ns: int | None) -> Holes:
    try:
        return find_holes(bars.timestamp, max_gap_ns)
    except DataError as error:
        raise DataError(f"{bars.symbol}: {error}") from None


def features_of(bars: Bars, features: Features) -> Float32Array:
    """Return the unscaled features (n, F) of one symbol after checking them.

    Raises
    ------
    DataError
        A feature is NaN or infinite after its warm-up.
    PluginError
        The features break their contract.
    """
    values = features.compute(bars)
    expected = (len(bars), len(features.names))
    if values.shape != expected or values.dtype != np.float32:
        raise PluginError(
            f"features: {type(features).__name__}.compute must return float32 of shape {expected}; "
            f"received {values.dtype} of shape {values.shape}"
        )
    bad = ~np.isfinite(values[features.warmup :])
    if bad.any():
        row, column = (int(index) for index in np.argwhere(bad)[0])
        row += features.warmup
        when = np.datetime_as_string(bars.timestamp[row : row + 1].view("M8[ns]"), unit="s")[0]
        raise DataError(
            f"features: {features.names[column]} of {bars.symbol} is {values[row, column]} at {when}Z "
            f"(bar {row + 1}), after the warm-up of {features.warmup} bars; correct the bars there, or the "
            "feature"
        )
    return values


def _labels_of(bars: Bars, labeler: Labeler) -> LabelArray:
    labels = labeler.label(bars)
    if labels.shape != (len(bars),) or labels.dtype != np.int8:
        raise PluginError(
            f"labeler: {type(labeler).__name__}.label must return int8 of shape ({len(bars)},); "
            f"received {labels.dtype} of shape {labels.shape}"
        )
    if len(labels) and not (labels.min() >= UNDEFINED and labels.max() < N_CLASSES):
        raise PluginError(
            f"labeler: {type(labeler).__name__}.label must return -1, 0, 1 or 2; "
            f"received {labels.min()} to {labels.max()}"
        )
    return labels
