"""Reading a time column, whatever its form, as nanoseconds since the epoch, UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simengine.data.place import Place
from simengine.errors import DataError
from simengine.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

_UNITS: tuple[tuple[str, float, float, int], ...] = (
    ("s", 1e8, 1e10, 10**9),
    ("ms", 1e11, 1e13, 10**6),
    ("us", 1e14, 1e16, 10**3),
    ("ns", 1e17, 9.2e18, 1),
)
"""Name, smallest and largest value, nanoseconds per unit. The ranges are disjoint: s covers 1973 to 2286."""

_ADVICE = "write ISO 8601 (2024-01-31T13:00:00Z), an epoch number in s, ms, us or ns, or set time_format"


def parse_times(values: pd.Series, place: Place, time_format: str | None = None) -> IntArray:
    """Return a time column as int64 nanoseconds since the epoch, UTC.

    Parameters
    ----------
    values : Series, shape (n,)
        tz-aware datetimes, naive datetimes (read as UTC), ISO 8601 strings (read as UTC unless they
        carry an offset), or epoch numbers in s, ms, us or ns, one unit for the whole column.
    place : Place
        Names the rows in errors.
    time_format : str, optional
        ``strftime`` pattern of the strings, for example ``"%d.%m.%Y %H:%M"``.

    Raises
    ------
    DataError
        A value is missing or cannot be read, or the column mixes epoch units or kinds of time.
    """
    import pandas as pd

    missing = values.isna().to_numpy()
    if missing.any():
        row = int(np.argmax(missing))
        raise DataError(f"{place.at(row, values.name)} the time is missing; fill it in or remove the row")
    if isinstance(values.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(values.dtype):
        return _to_ns(pd.to_datetime(values, utc=True), place)
    if pd.api.types.is_bool_dtype(values.dtype):
        raise DataError(f"{place.at(0, values.name)} {values.iloc[0]} is not a time; {_ADVICE}")
    if time_format is None and pd.api.types.is_numeric_dtype(values.dtype):
        return _epochs(values, place)
    return _strings(values.map(str), place, time_format)


def _to_ns(moments: pd.Series, place: Place) -> IntArray:
    import pandas as pd

    try:
        return np.asarray(moments.dt.as_unit("ns").astype("int64"), dtype=np.int64)
    except pd.errors.OutOfBoundsDatetime:
        years = moments.dt.year
        row = int(np.argmax(((years < 1678) | (years > 2261)).to_numpy()))
        raise DataError(
            f"{place.at(row, moments.name)} {moments.iloc[row]} is outside the years 1678 to 2261"
        ) from None


def _epochs(values: pd.Series, place: Place) -> IntArray:
    numbers: FloatArray = values.to_numpy(dtype=np.float64)
    unit = np.full(len(numbers), -1)
    for index, (_, low, high, _) in enumerate(_UNITS):
        unit[(numbers >= low) & (numbers < high)] = index
    if (unit < 0).any():
        row = int(np.argmax(unit < 0))
        raise DataError(
            f"{place.at(row, values.name)} {values.iloc[row]} is no epoch time in s, ms, us or ns "
            f"between 1973 and 2286; {_ADVICE}"
        )
    if (unit != unit[0]).any():
        row = int(np.argmax(unit != unit[0]))
        raise DataError(
            f"{place.at(row, values.name)} {values.iloc[row]} is an epoch time in {_UNITS[unit[row]][0]}, "
            f"but {place.where(0)} is in {_UNITS[unit[0]][0]}; use one unit in the whole file"
        )
    per_unit = _UNITS[unit[0]][3]
    if np.issubdtype(np.asarray(values).dtype, np.integer):
        return np.asarray(values.to_numpy(dtype=np.int64) * per_unit, dtype=np.int64)
    whole = np.floor(numbers)
    # A float64 holds today's epoch in seconds to a quarter of a microsecond: finer digits are noise.
    micros = np.rint((numbers - whole) * (per_unit / 1e3)).astype(np.int64)
    return np.asarray(whole.astype(np.int64) * per_unit + micros * 1000, dtype=np.int64)


def _strings(texts: pd.Series, place: Place, time_format: str | None) -> IntArray:
    import pandas as pd

    if time_format is None:
        numeric = texts.str.fullmatch(r"\s*[+-]?\d+(\.\d*)?\s*").to_numpy(dtype=bool)
        if numeric.all():
            return _epochs(pd.to_numeric(texts), place)
        if numeric.any():
            row = int(np.argmax(numeric != numeric[0]))
            raise DataError(
                f"{place.at(row, texts.name)} {texts.iloc[row]!r} is another kind of time than "
                f"{texts.iloc[0]!r} at {place.where(0)}; use one kind in the whole file"
            )
    try:
        moments = pd.to_datetime(texts, format=time_format or "ISO8601", utc=True, errors="coerce")
    except ValueError as error:
        raise DataError(
            f"{place.origin}: time_format {time_format!r} is not a valid pattern: {error}"
        ) from None
    bad = moments.isna().to_numpy()
    if bad.any():
        row = int(np.argmax(bad))
        how = f"does not match time_format {time_format!r}" if time_format else f"is not a time; {_ADVICE}"
        raise DataError(f"{place.at(row, texts.name)} {texts.iloc[row]!r} {how}")
    return _to_ns(moments, place)
