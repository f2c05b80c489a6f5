"""Reading bars from CSV and Parquet files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.data.bars import from_frame
from simengine.data.place import Place
from simengine.errors import DataError, did_you_mean
from simengine.log import event, get_logger
from simengine.types import Bars

if TYPE_CHECKING:
    import pandas as pd

_log = get_logger(__name__)
Reader = Callable[[Path], dict[str, Bars]]


def read_files(paths: str | Sequence[str], read: Reader) -> dict[str, Bars]:
    """Read one or several files, whose symbols must differ.

    Parameters
    ----------
    paths : str or sequence of str
        Relative to the current directory.
    read : callable
        Reads one existing file.

    Raises
    ------
    DataError
        A file does not exist or cannot be read, or a symbol is in two files.
    """
    found: dict[str, Bars] = {}
    home: dict[str, str] = {}
    for name in [paths] if isinstance(paths, str) else paths:
        for symbol, bars in read(_existing(name)).items():
            if symbol in found:
                raise DataError(
                    f"{name}: symbol {symbol!r} is in {home[symbol]} too; put a symbol's bars into one file"
                )
            found[symbol], home[symbol] = bars, name
    return found


def _existing(name: str) -> Path:
    path = Path(name)
    if os.path.isfile(path):  # Path.is_file raises where a folder may not be looked into
        return path
    if os.path.isdir(path):
        raise DataError(f"{name}: this is a folder; name a file in it")
    folder = path.parent
    if not os.path.isdir(folder):
        raise DataError(f"{name}: no such file, nor the folder {folder} (looked in {Path.cwd()})")
    hint = did_you_mean(path.name, [entry.name for entry in folder.iterdir() if entry.is_file()])
    raise DataError(f"{name}: no such file{hint} (looked in {folder.resolve()})")


def read_csv(
    path: Path, *, symbol: str | None = None, time_format: str | None = None, delimiter: str = ","
) -> dict[str, Bars]:
    """Return the bars of a CSV file with a header line; see `from_frame` for columns and repairs.

    Prices are read to the last bit, so a CSV that was written with full precision gives the very bars of
    the Parquet file it came from. Empty lines are skipped and counted (``empty_lines`` in
    ``Bars.repairs``, for the symbol of the row above); errors give the line as an editor counts it.

    Raises
    ------
    DataError
        With file, line, column, value and the fix.
    """
    import pandas as pd

    # Without these na settings a symbol called NA and a price written null would both become NaN.
    form: dict[str, Any] = {
        "sep": delimiter,
        "encoding": "utf-8-sig",
        "keep_default_na": False,
        "na_values": [""],
    }
    try:
        header = pd.read_csv(path, nrows=0, skip_blank_lines=False, **form)
        text = {name: str for name in header.columns if str(name).strip().lower() == "symbol"}
        frame = pd.read_csv(path, dtype=text, skip_blank_lines=False, low_memory=False, **form)
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: the file is empty; expected a header line and bars") from None
    except pd.errors.ParserError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{path}: not a table: {reason}; correct the line or set delimiter") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text at byte {error.start}; save the file as UTF-8") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{path}: the rows have more fields than the header; line 1 must name every column")
    lines = np.arange(2, len(frame) + 2, dtype=np.int64)
    filled = ~frame.isna().all(axis=1).to_numpy()
    row_above = np.maximum(np.cumsum(filled)[~filled] - 1, 0)
    if len(row_above):
        message = f"{path}: {len(row_above)} empty lines skipped"
        event(_log, "lines_skipped", message, path=str(path), lines=len(row_above))
    return from_frame(
        frame[filled].reset_index(drop=True),
        origin=str(path),
        symbol=symbol,
        time_format=time_format,
        place=Place(str(path), lines[filled], "line"),
        empty_lines=np.bincount(row_above, minlength=int(filled.sum())),
    )


def read_parquet(path: Path, *, symbol: str | None = None) -> dict[str, Bars]:
    """Return the bars of a Parquet file; see `from_frame` for columns and repairs.

    Raises
    ------
    DataError
        With file, row (1 is the first), column, value and the fix.
    """
    return from_frame(_parquet_frame(path), origin=str(path), symbol=symbol)


def _parquet_frame(path: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow

    try:
        return pd.read_parquet(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: not a readable Parquet file: {reason}") from None
