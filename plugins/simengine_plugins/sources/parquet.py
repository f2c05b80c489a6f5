"""Bars from Parquet files."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field

from simengine import Component, hookimpl
from simengine.data.files import read_files, read_parquet
from simengine.types import Bars


class ParquetSource:
    """Bars from Parquet files.

    Columns, in any case: ``timestamp`` (or ``time, date, datetime, open_time``, or the index), ``open,
    high, low, close, volume``, optionally ``turnover`` and ``symbol``; others are ignored. Times are bar
    open times: datetimes (UTC when they have no zone), epoch numbers in s, ms, us or ns, or ISO 8601.
    """

    def __init__(
        self,
        *,
        path: Annotated[
            str | tuple[str, ...],
            Field(min_length=1, description="file or list of files, relative to the current directory"),
        ],
        symbol: Annotated[
            str | None,
            Field(description="name of the instrument (default: file name); picks one of a symbol column"),
        ] = None,
    ) -> None:
        self.path = path
        self.symbol = symbol

    @property
    def files(self) -> tuple[str, ...]:
        """The files that `load` reads, for the manifest of a run."""
        return (self.path,) if isinstance(self.path, str) else self.path

    def load(self) -> dict[str, Bars]:
        """Return validated bars by symbol."""
        return read_files(self.path, partial(read_parquet, symbol=self.symbol))


@hookimpl
def simengine_register_sources() -> list[Component]:
    """Register the component."""
    return [Component("parquet", ParquetSource)]
