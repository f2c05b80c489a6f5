"""What is in the bars of a symbol, in a few plain figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from simengine.data.gaps import bar_spacing, find_holes
from simengine.types import Bars


def summarise(bars: Bars) -> dict[str, Any]:
    """Return symbol, span, bar spacing, holes, repairs and ignored columns of one symbol.

    Returns
    -------
    dict
        ``symbol, bars, first, last`` (ISO, UTC), ``spacing_seconds`` (the most common), ``holes``
        (distances above it), ``longest_hole_seconds``, ``zero_volume_bars``, ``turnover`` (whether it is
        there), ``repairs``, ``ignored_columns``.
    """
    distance = np.diff(bars.timestamp)
    return {
        "symbol": bars.symbol,
        "bars": len(bars),
        "first": _iso(bars.timestamp[0]),
        "last": _iso(bars.timestamp[-1]),
        "spacing_seconds": bar_spacing(bars.timestamp) / 1e9,
        "holes": find_holes(bars.timestamp, None).short,
        "longest_hole_seconds": float(distance.max()) / 1e9 if len(distance) else 0.0,
        "zero_volume_bars": int(np.count_nonzero(bars.volume == 0)),
        "turnover": bars.turnover is not None,
        "repairs": dict(bars.repairs),
        "ignored_columns": list(bars.ignored_columns),
    }


def _iso(timestamp: np.int64) -> str:
    return f"{np.datetime64(int(timestamp), 'ns').astype('M8[s]')}Z"
