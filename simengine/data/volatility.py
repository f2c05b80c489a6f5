"""The volatility that labels and thresholds are measured in."""

from __future__ import annotations

import numpy as np

from simengine.types import FloatArray

SPAN = 96
MIN_RETURNS = 48


def ewm_volatility(close: FloatArray) -> FloatArray:
    """Return vol_t, the exponentially weighted standard deviation of one-bar log returns.

    Weights fall by 1 - 2 / (96 + 1) a bar, the sum is normalised over the bars there are and the
    variance is corrected for bias, as ``pandas.Series.ewm(span=96).std()`` does.

    Parameters
    ----------
    close : float64 array, shape (n,)
        Closing prices, all positive.

    Returns
    -------
    float64 array, shape (n,)
        vol_t as a log return per bar, known at the close of bar t; NaN before 48 returns are known.
    """
    import pandas as pd

    returns = np.full(len(close), np.nan)
    returns[1:] = np.diff(np.log(close))
    deviation = pd.Series(returns).ewm(span=SPAN, min_periods=MIN_RETURNS).std()
    return deviation.to_numpy(dtype=np.float64)
