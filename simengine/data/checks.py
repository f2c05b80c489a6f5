"""What bars must satisfy: each violation is one line with the place, the value and the fix."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simengine.data.place import Place
from simengine.errors import DataError
from simengine.types import Bars, FloatArray

PRICES = ("open", "high", "low", "close")
REQUIRED = (*PRICES, "volume")
ROUNDING = 1e-9
"""An open or close beyond high or low by less than this share of the price is rounding, not an error."""


def check_values(columns: Mapping[str, FloatArray], place: Place) -> None:
    """Refuse values that no bar can have.

    Parameters
    ----------
    columns : mapping of str to float64 array, shape (n,)
        ``open, high, low, close, volume`` and optionally ``turnover``.
    place : Place
        Names the rows in errors.

    Raises
    ------
    DataError
        A value is NaN or infinite, a price is not positive, a volume or turnover is negative, high is
        below low, open or close lie outside [low, high] by more than ``ROUNDING``, or turnover and
        volume are not in the units of the price.
    """
    for name, values in columns.items():
        _refuse(
            ~np.isfinite(values), columns, name, place, "must be a finite number; correct or remove the row"
        )
        if name in PRICES:
            _refuse(values <= 0, columns, name, place, "a price must be above 0; correct or remove the row")
        else:
            _refuse(
                values < 0, columns, name, place, f"{name} must not be negative; correct or remove the row"
            )
    high, low = columns["high"], columns["low"]
    _refuse(high < low, columns, "high", place, "high is below low {low}; swap the two or correct the row")
    for name in ("open", "close"):
        values = columns[name]
        outside = (values > high * (1 + ROUNDING)) | (values < low * (1 - ROUNDING))
        _refuse(
            outside,
            columns,
            name,
            place,
            f"{name} lies outside low {{low}} to high {{high}}; correct the row",
        )
    if "turnover" in columns:
        _check_turnover(columns, place)


def _refuse(
    bad: np.ndarray[tuple[int], np.dtype[np.bool_]],
    columns: Mapping[str, FloatArray],
    name: str,
    place: Place,
    text: str,
) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        text = text.format(high=columns["high"][row], low=columns["low"][row])
        raise DataError(f"{place.at(row, name)} received {columns[name][row]}: {text}")


def _check_turnover(columns: Mapping[str, FloatArray], place: Place) -> None:
    traded = columns["volume"] > 0
    if not traded.any():
        return
    ratio = columns["turnover"][traded] / columns["volume"][traded] / columns["close"][traded]
    typical = float(np.median(ratio))
    if not 0.5 <= typical <= 2.0:
        raise DataError(
            f"{place.origin}: column 'turnover': turnover / volume is {typical:.4g} times the price; "
            "volume must be in units of the instrument and turnover in quote currency: convert them, or "
            "drop turnover"
        )


def validate(bars_by_symbol: Mapping[str, Bars], origin: str) -> None:
    """Check bars that did not come through `simengine.data.bars.from_frame`, for example a plugin's.

    Parameters
    ----------
    bars_by_symbol : mapping of str to Bars
        What a source returned.
    origin : str
        Named in errors, for example the source's name.

    Raises
    ------
    DataError
        There are no bars, arrays differ in length or dtype, times do not increase, or a value is one
        that `check_values` refuses.
    """
    if not bars_by_symbol:
        raise DataError(f"{origin}: there are no bars; expected at least one symbol")
    for symbol, bars in bars_by_symbol.items():
        name = f"{origin}: {symbol}"
        if bars.symbol != symbol:
            raise DataError(f"{name}: the bars call themselves {bars.symbol!r}; use one name for both")
        if len(bars) == 0:
            raise DataError(f"{name}: there are no bars; expected at least one")
        _check_arrays(bars, name)
        place = Place.rows(name, len(bars))
        late = np.diff(bars.timestamp) <= 0
        if late.any():
            row = int(np.argmax(late)) + 1
            raise DataError(
                f"{place.at(row, 'timestamp')} received {bars.timestamp[row]}: "
                "times must increase from row to row"
            )
        check_values(dict(bars.columns()), place)


def _check_arrays(bars: Bars, name: str) -> None:
    if bars.timestamp.dtype != np.int64:
        raise DataError(f"{name}: timestamp must be int64 nanoseconds; received {bars.timestamp.dtype}")
    for column, values in bars.columns():
        if values.shape != (len(bars),) or values.dtype != np.float64:
            raise DataError(
                f"{name}: column {column!r}: expected float64 of shape ({len(bars)},); "
                f"received {values.dtype} of shape {values.shape}"
            )
