"""From a table of any common form to validated `Bars`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from simengine.data.checks import REQUIRED, check_values
from simengine.data.place import Place
from simengine.data.timestamps import parse_times
from simengine.errors import DataError, did_you_mean, unknown_name
from simengine.log import event, get_logger
from simengine.types import Bars, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

TIME_COLUMNS = ("timestamp", "time", "date", "datetime", "open_time")
"""Accepted names of the time column, in any case; ``timestamp`` wins over the others."""

_OPTIONAL = ("turnover", "symbol")
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Table:
    """A frame as plain arrays, in the order of the file."""

    time: IntArray
    values: dict[str, FloatArray]
    symbol: np.ndarray[tuple[int], np.dtype[np.object_]] | None
    place: Place
    ignored: tuple[str, ...] = ()
    empty_lines: IntArray | None = None


def from_frame(
    frame: pd.DataFrame,
    *,
    origin: str,
    symbol: str | None = None,
    time_format: str | None = None,
    place: Place | None = None,
    empty_lines: IntArray | None = None,
) -> dict[str, Bars]:
    """Return the bars of a table by symbol, sorted by time and validated.

    Columns are ``timestamp, open, high, low, close, volume`` and optionally ``turnover, symbol``, in any
    case; the time may also be called ``time, date, datetime, open_time`` or be the index. Other columns
    are ignored; the log and ``Bars.ignored_columns`` say which. Naive times are read as UTC.

    Repairs are counted in ``Bars.repairs``: ``empty_lines`` (skipped by whoever read the file),
    ``sorted`` (rows that stood after a later one), ``duplicate_rows`` (exact copies, dropped),
    ``rounding`` (high or low widened to an open or close that lies beyond it by less than 1e-9 of the
    price).

    Parameters
    ----------
    frame : DataFrame
        One row a bar.
    origin : str
        Named in errors, for example the path.
    symbol : str, optional
        Name of the instrument when the table has no ``symbol`` column (default: stem of ``origin``);
        otherwise the only symbol to read.
    time_format : str, optional
        ``strftime`` pattern of a time column of strings.
    place : Place, optional
        Row numbers for errors; default: 1 is the first row of data.
    empty_lines : int64 array, shape (n,), optional
        How many empty lines of the file were skipped at each row; they count for the row's symbol.

    Raises
    ------
    DataError
        With file, row, column, value and the fix.
    """
    place = place or Place.rows(origin, len(frame))
    frame, ignored = _named_columns(frame, origin)
    if len(frame) == 0:
        raise DataError(f"{origin}: there are no bars; the file has a header but no rows")
    table = replace(_read(frame, place, time_format), ignored=ignored, empty_lines=empty_lines)
    check_values(table.values, place)
    if table.symbol is None:
        name = symbol or _stem(origin)
        return {name: _one_symbol(name, table, np.arange(len(frame)))}
    names = sorted(set(table.symbol))
    if symbol is not None:
        if symbol not in names:
            raise DataError(f"{origin}: {unknown_name('symbol', symbol, names)}")
        names = [symbol]
    return {name: _one_symbol(name, table, np.flatnonzero(table.symbol == name)) for name in names}


def _stem(origin: str) -> str:
    name = re.split(r"[\\/]", origin)[-1]
    return re.sub(r"\.(csv|txt|parquet|pq)(\.\w+)?$", "", name, flags=re.IGNORECASE)


def _named_columns(frame: pd.DataFrame, origin: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the frame with canonical names only, and the names of the other columns.

    Canonical are ``timestamp``, the five values and the optional two.
    """
    import pandas as pd

    index = frame.index
    names = {str(name).strip().lower() for name in frame.columns}
    if (
        isinstance(index, pd.MultiIndex)
        or str(index.name).strip().lower() in {*TIME_COLUMNS, "symbol"} - names
    ):
        frame = frame.reset_index()
    elif isinstance(index, pd.DatetimeIndex) and not names & set(TIME_COLUMNS):
        frame = frame.reset_index(names="timestamp")
    sources: dict[str, list[object]] = {}
    for column in frame.columns:
        key = re.sub(r"\s+", "_", str(column).strip().lower())
        sources.setdefault(_undo_mangling(key), []).append(column)
    for key in (*TIME_COLUMNS, *REQUIRED, *_OPTIONAL):
        if len(sources.get(key, [])) > 1:
            written = ", ".join(repr(str(name)) for name in sources[key])
            raise DataError(f"{origin}: more than one column {key!r}: {written}; keep one")
    time = _time_column(sources, origin)
    wanted = {time: "timestamp"} | {sources[key][0]: key for key in REQUIRED + _OPTIONAL if key in sources}
    ignored = [str(name) for name in frame.columns if name not in wanted]
    if ignored:
        event(_log, "columns_ignored", f"{origin}: columns ignored: {', '.join(ignored)}", columns=ignored)
    missing = [key for key in REQUIRED if key not in sources]
    if missing:
        raise DataError(_missing_column(missing[0], [str(name) for name in frame.columns], origin))
    return frame[list(wanted)].set_axis(list(wanted.values()), axis=1), tuple(ignored)


def _undo_mangling(key: str) -> str:
    # pandas renames the second of two columns called close to close.1
    match = re.fullmatch(r"(\w+)\.\d+", key)
    return match[1] if match and match[1] in {*TIME_COLUMNS, *REQUIRED, *_OPTIONAL} else key


def _time_column(sources: dict[str, list[object]], origin: str) -> object:
    found = [key for key in TIME_COLUMNS if key in sources]
    if not found:
        written = [str(name) for columns in sources.values() for name in columns]
        raise DataError(_missing_column("timestamp", written, origin))
    if len(found) > 1 and found[0] != "timestamp":
        names = ", ".join(repr(str(sources[key][0])) for key in found)
        raise DataError(f"{origin}: more than one time column: {names}; rename the right one to 'timestamp'")
    return sources[found[0]][0]


def _missing_column(name: str, written: list[str], origin: str) -> str:
    by_lower = {column.lower(): column for column in written}
    hint = did_you_mean(name, [key for key in by_lower if key not in {*REQUIRED, *_OPTIONAL}])
    text = f"{origin}: column {name!r} is missing{hint}; found: {', '.join(written) or 'no columns'}"
    if len(written) == 1 and re.search(r"[;\t|]", written[0]):
        text += "; the file looks delimited by another character: set delimiter"
    elif name == "volume":
        text += "; add a column of zeros where the market has no volume"
    return text


def _read(frame: pd.DataFrame, place: Place, time_format: str | None) -> _Table:
    time = parse_times(frame["timestamp"], place, time_format)
    values = {name: _numbers(frame[name], place) for name in (*REQUIRED, "turnover") if name in frame.columns}
    symbol = None
    if "symbol" in frame.columns:
        missing = frame["symbol"].isna().to_numpy()
        if missing.any():
            raise DataError(
                f"{place.at(int(np.argmax(missing)), 'symbol')} the symbol is missing; fill it in"
            )
        symbol = frame["symbol"].astype(str).to_numpy(dtype=object)
    return _Table(time, values, symbol, place)


def _numbers(column: pd.Series, place: Place) -> FloatArray:
    import pandas as pd

    fix = "correct or remove the row"
    missing = column.isna().to_numpy()
    if missing.any():
        raise DataError(f"{place.at(int(np.argmax(missing)), column.name)} the value is missing (NaN); {fix}")
    if pd.api.types.is_bool_dtype(column.dtype):
        raise DataError(f"{place.at(0, column.name)} received {column.iloc[0]}: not a number; {fix}")
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna().to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{place.at(row, column.name)} received {column.iloc[row]!r}: not a number; {fix}")
    return np.array(numbers, dtype=np.float64)


def _one_symbol(name: str, table: _Table, rows: IntArray) -> Bars:
    time = table.time[rows]
    values = {key: column[rows] for key, column in table.values.items()}
    place = table.place.take(rows)
    repairs: dict[str, int] = {}
    empty = int(table.empty_lines[rows].sum()) if table.empty_lines is not None else 0
    if empty:
        repairs["empty_lines"] = empty
    late = int(np.count_nonzero(time < np.maximum.accumulate(time)))
    if late:
        repairs["sorted"] = late
        order = np.argsort(time, kind="stable")
        time, place = time[order], place.take(order)
        values = {key: column[order] for key, column in values.items()}
    keep = _without_copies(time, values, place, name)
    if not keep.all():
        repairs["duplicate_rows"] = int(np.count_nonzero(~keep))
        time, values = time[keep], {key: column[keep] for key, column in values.items()}
    widened = _widen(values)
    if widened:
        repairs["rounding"] = widened
    return Bars(symbol=name, timestamp=time, **values, repairs=repairs, ignored_columns=table.ignored)


def _without_copies(
    time: IntArray, values: dict[str, FloatArray], place: Place, name: str
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    same_time = np.concatenate([[False], time[1:] == time[:-1]])
    for key, column in values.items():
        differs = same_time & np.concatenate([[False], column[1:] != column[:-1]])
        if differs.any():
            row = int(np.argmax(differs))
            when = np.datetime_as_string(time[row : row + 1].view("M8[ns]"), unit="s")[0]
            raise DataError(
                f"{place.at(row, key)} received {column[row]}, but {place.where(row - 1)} has "
                f"{column[row - 1]} for the same time {when}Z of {name}; keep one of the two rows"
            )
    return ~same_time


def _widen(values: dict[str, FloatArray]) -> int:
    high = np.maximum.reduce([values["high"], values["open"], values["close"]])
    low = np.minimum.reduce([values["low"], values["open"], values["close"]])
    widened = int(np.count_nonzero((high != values["high"]) | (low != values["low"])))
    values["high"], values["low"] = high, low
    return widened
