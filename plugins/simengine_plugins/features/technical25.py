"""Twenty-five causal, scale-free features from OHLCV bars."""

from __future__ import annotations

import numpy as np

from simengine import Component, hookimpl
from simengine.data.rolling import (
    contrast,
    lagged,
    ratio,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_sum,
)
from simengine.types import Bars, Float32Array, FloatArray

DAY_NS = 86_400_000_000_000
LONG = 192
RETURN_LAGS = (1, 2, 4, 8, 16, 32)


class Technical25:
    """Returns, volatility, candle shape, volume, position in the range and time of day: 25 numbers a bar.

    All are ratios, so a price in cents gives the features of the price in dollars. Nothing is clipped and
    nothing runs away: every numerator is measured by a scale that contains it. Each row depends on its
    own bar and the 192 before it, nothing earlier.

    ``return_k`` is the k-bar log return over (realised volatility x sqrt(k)), the volatility being the
    root mean square of the last 48 one-bar log returns (96 for ``return_96``). A contrast of a and b is
    (a - b) / (a + b). Where a ratio is 0 / 0 (a flat bar, a span without any move or without volume) it
    is 0, the neutral value.

    =======================  ==========================================================================
    return_1 .. return_96    momentum over 1, 2, 4, 8, 16, 32 and 96 bars
    gap                      open against the close before, over the true range of the bar
    volatility_8_48          contrast of realised volatility over 8 and 48 bars
    volatility_24_192        the same over 24 and 192 bars
    range_ratio              contrast of the bar's log range and its mean over 48 bars
    wick_ratio               contrast of the bar's total wick and its mean over 48 bars
    wick_8_192               contrast of the mean total wick over 8 and 192 bars
    body                     (close - open) / (high - low), in logs
    close_location           (2 close - high - low) / (high - low), in logs
    lower_wick               lower wick / both wicks - 1/2; order that was bought back within the bar
    lower_wick_8, _32        its means over 8 and 32 bars
    volume_ratio             log1p(volume / mean of 48 bars) - log 2
    volume_8_192             log1p(mean of 8 bars / mean of 192 bars) - log 2
    money_flow_16            sum(close_location x volume) / sum(volume) over 16 bars (Chaikin)
    range_position           close within the range of 48 bars, -1 at the low, 1 at the high
    vwap_distance            log(close / volume-weighted average price of 48 bars) over that range
    time_of_day_sin, _cos    open time on the circle of a UTC day
    =======================  ==========================================================================

    The average price weighs turnover by volume when the bars have turnover, otherwise the typical price
    (high + low + close) / 3; without any volume it is the mean typical price.
    """

    names: tuple[str, ...] = (
        *(f"return_{lag}" for lag in RETURN_LAGS),
        "return_96",
        "gap",
        "volatility_8_48",
        "volatility_24_192",
        "range_ratio",
        "wick_ratio",
        "wick_8_192",
        "body",
        "close_location",
        "lower_wick",
        "lower_wick_8",
        "lower_wick_32",
        "volume_ratio",
        "volume_8_192",
        "money_flow_16",
        "range_position",
        "vwap_distance",
        "time_of_day_sin",
        "time_of_day_cos",
    )
    warmup: int = LONG

    def compute(self, bars: Bars) -> Float32Array:
        """Return the features, float32 of shape (n, 25); the first 192 rows are NaN."""
        columns: dict[str, FloatArray] = {}
        columns |= _returns(bars)
        columns |= _candles(bars)
        columns |= _volume(bars)
        columns |= _position(bars)
        columns |= _time_of_day(bars)
        matrix = np.empty((len(bars), len(self.names)), dtype=np.float32)
        for index, name in enumerate(self.names):
            matrix[:, index] = columns[name]
        matrix[: self.warmup] = np.nan
        return matrix


def _returns(bars: Bars) -> dict[str, FloatArray]:
    log_close = np.log(bars.close)
    before = lagged(log_close, 1)
    squared = (log_close - before) ** 2
    volatility = {window: np.sqrt(rolling_mean(squared, window)) for window in (8, 24, 48, 96, LONG)}
    columns = {
        f"return_{lag}": ratio(log_close - lagged(log_close, lag), volatility[48] * np.sqrt(lag))
        for lag in RETURN_LAGS
    }
    columns["return_96"] = ratio(log_close - lagged(log_close, 96), volatility[96] * np.sqrt(96))
    columns["volatility_8_48"] = contrast(volatility[8], volatility[48])
    columns["volatility_24_192"] = contrast(volatility[24], volatility[LONG])
    true_range = np.maximum(np.log(bars.high), before) - np.minimum(np.log(bars.low), before)
    columns["gap"] = ratio(np.log(bars.open) - before, true_range)
    return columns


def _candles(bars: Bars) -> dict[str, FloatArray]:
    open_, high, low, close = (np.log(values) for values in (bars.open, bars.high, bars.low, bars.close))
    span = high - low
    lower = np.minimum(open_, close) - low
    wicks = lower + high - np.maximum(open_, close)
    lower_wick = np.where(wicks > 0, ratio(lower, wicks) - 0.5, 0.0)
    return {
        "range_ratio": contrast(span, rolling_mean(span, 48)),
        "wick_ratio": contrast(wicks, rolling_mean(wicks, 48)),
        "wick_8_192": contrast(rolling_mean(wicks, 8), rolling_mean(wicks, LONG)),
        "body": ratio(close - open_, span),
        "close_location": ratio((close - low) - (high - close), span),
        "lower_wick": lower_wick,
        "lower_wick_8": rolling_mean(lower_wick, 8),
        "lower_wick_32": rolling_mean(lower_wick, 32),
    }


def _volume(bars: Bars) -> dict[str, FloatArray]:
    volume = bars.volume
    mean = {window: rolling_mean(volume, window) for window in (8, 48, LONG)}
    location = ratio((bars.close - bars.low) - (bars.high - bars.close), bars.high - bars.low)
    return {
        "volume_ratio": _log_ratio(volume, mean[48]),
        "volume_8_192": _log_ratio(mean[8], mean[LONG]),
        "money_flow_16": ratio(rolling_sum(location * volume, 16), rolling_sum(volume, 16)),
    }


def _log_ratio(volume: FloatArray, usual: FloatArray) -> FloatArray:
    # log1p keeps a bar without volume finite; no volume at all is as usual as can be, hence 1.
    logs: FloatArray = np.log1p(np.where(usual == 0, 1.0, ratio(volume, usual))) - np.log(2.0)
    return logs


def _position(bars: Bars) -> dict[str, FloatArray]:
    log_close = np.log(bars.close)
    low = np.log(rolling_min(bars.low, 48))
    high = np.log(rolling_max(bars.high, 48))
    typical = (bars.high + bars.low + bars.close) / 3
    value = typical * bars.volume if bars.turnover is None else bars.turnover
    volume = rolling_sum(bars.volume, 48)
    average = np.where(volume > 0, ratio(rolling_sum(value, 48), volume), rolling_mean(typical, 48))
    # Turnover of 0 beside a volume is a rounded value: the price itself is then the best average known.
    distance = log_close - np.log(np.where(average > 0, average, bars.close))
    return {
        "range_position": ratio((log_close - low) - (high - log_close), high - low),
        "vwap_distance": ratio(distance, high - low),
    }


def _time_of_day(bars: Bars) -> dict[str, FloatArray]:
    angle = 2 * np.pi * (bars.timestamp % DAY_NS) / DAY_NS
    return {"time_of_day_sin": np.sin(angle), "time_of_day_cos": np.cos(angle)}


@hookimpl
def simengine_register_features() -> list[Component]:
    """Register the component."""
    return [Component("technical25", Technical25)]
