"""Writing bars to files that the csv and parquet sources read back equal."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

from simengine.errors import DataError
from simengine.rundir import write_bytes_atomic
from simengine.types import Bars


def write_bars(path: Path, bars_by_symbol: Mapping[str, Bars]) -> int:
    """Write the bars of all symbols to one new csv or parquet file and return the number of rows.

    Raises
    ------
    DataError
        When the file exists, or its name ends in neither ``.csv`` nor ``.parquet``.
    RunError
        When it cannot be written there.
    """
    import pandas as pd

    if os.path.lexists(path):  # Path.exists raises where a folder may not be looked into
        raise DataError(f"{path}: exists already; choose another name, nothing is overwritten")
    frames = [bars.to_frame().assign(symbol=symbol).reset_index() for symbol, bars in bars_by_symbol.items()]
    table = pd.concat(frames, ignore_index=True)
    buffer = io.BytesIO()
    if path.suffix == ".parquet":
        table.to_parquet(buffer, index=False)
    elif path.suffix == ".csv":
        # 17 significant digits: a float64 comes back to the last bit.
        table.to_csv(
            buffer,
            index=False,
            float_format="%.17g",
            date_format="%Y-%m-%dT%H:%M:%S.%fZ",
            lineterminator="\n",
        )
    else:
        raise DataError(f"{path}: expected a name that ends in .csv or .parquet")
    write_bytes_atomic(path, buffer.getvalue())
    return len(table)
