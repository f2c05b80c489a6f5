"""Forward returns and the classes that thresholds cut them into."""

from __future__ import annotations

from typing import Literal

import numpy as np

from simengine.errors import CheckFailedError
from simengine.types import CLASS_NAMES, N_CLASSES, UNDEFINED, Bars, FloatArray, LabelArray, Signal

Entry = Literal["close", "next_open"]
"""Where the forward return starts: at the close of t, or at the open of t + 1 where orders fill."""

MIN_SHARE = 0.01


def forward_log_return(bars: Bars, horizon_bars: int, entry: Entry = "close") -> FloatArray:
    """Return the log return that the label of each bar looks at.

    ``log(close[t + H] / close[t])`` for ``entry="close"``, ``log(close[t + H] / open[t + 1])`` for
    ``entry="next_open"``.

    Returns
    -------
    float64 array, shape (n,)
        NaN in the last H rows.
    """
    n = len(bars)
    forward = np.full(n, np.nan)
    known = n - horizon_bars
    if known > 0:
        start = bars.close[:known] if entry == "close" else bars.open[1 : known + 1]
        forward[:known] = np.log(bars.close[horizon_bars:] / start)
    return forward


def classify(forward: FloatArray, lower: FloatArray, upper: FloatArray) -> LabelArray:
    """Return SELL below ``lower``, BUY above ``upper``, HOLD between and at them, -1 where any is NaN.

    Parameters
    ----------
    forward, lower, upper : float64 arrays, shape (n,)
        Log returns.

    Returns
    -------
    int8 array, shape (n,)
    """
    labels = np.full(len(forward), int(Signal.HOLD), dtype=np.int8)
    labels[forward < lower] = Signal.SELL
    labels[forward > upper] = Signal.BUY
    labels[np.isnan(forward) | np.isnan(lower) | np.isnan(upper)] = UNDEFINED
    return labels


def known_before(bars: Bars, horizon_bars: int, end: int) -> int:
    """Return how many rows from the start have a label made only of bars opened before ``end`` (ns UTC)."""
    return max(0, int(np.searchsorted(bars.timestamp, end, side="left")) - horizon_bars)


def label_shares(labels: LabelArray) -> FloatArray:
    """Return the (3,) shares of SELL, HOLD, BUY among the defined labels."""
    counts = np.bincount(labels[labels >= 0], minlength=N_CLASSES).astype(np.float64)
    return counts / max(1.0, float(counts.sum()))


def check_label_shares(labels: LabelArray) -> None:
    """Refuse train labels of which a class has less than 1 %.

    Raises
    ------
    CheckFailedError
        Names the class, all shares and what to change.
    """
    shares = label_shares(labels)
    rarest = int(np.argmin(shares))
    if shares[rarest] >= MIN_SHARE:
        return
    listed = ", ".join(f"{name.upper()} {share:.1%}" for name, share in zip(CLASS_NAMES, shares, strict=True))
    defined = int(np.count_nonzero(labels >= 0))
    raise CheckFailedError(
        f"labels: {CLASS_NAMES[rarest].upper()} has {shares[rarest]:.2%} of the {defined:,} train labels "
        f"({listed}), and a class under {MIN_SHARE:.0%} cannot be learnt: change the thresholds or the "
        "horizon_bars of labels.labeler"
    )
