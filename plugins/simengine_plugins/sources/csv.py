"""Bars from CSV files."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field

from simengine import Component, hookimpl
from simengine.data.files import read_csv, read_files
from simengine.types import Bars
from simengine_plugins.sources.options import Paths, ReadsFiles, SymbolName


class CsvSource(ReadsFiles):
    """Bars from CSV files with a header line.

    Columns, in any case: ``timestamp`` (or ``time, date, datetime, open_time``), ``open, high, low,
    close, volume``, optionally ``turnover`` and ``symbol``; others are ignored. Times are bar open
    times, in UTC unless they carry an offset: ISO 8601, epoch numbers in s, ms, us or ns, or what
    ``time_format`` says.
    """

    def __init__(
        self,
        *,
        path: Paths,
        symbol: SymbolName = None,
        time_format: Annotated[
            str | None, Field(description="strftime pattern of the times, for example %d.%m.%Y %H:%M")
        ] = None,
        delimiter: Annotated[
            str, Field(min_length=1, max_length=1, description="character between the fields")
        ] = ",",
    ) -> None:
        self.path = path
        self.symbol = symbol
        self.time_format = time_format
        self.delimiter = delimiter

    def load(self) -> dict[str, Bars]:
        """Return validated bars by symbol."""
        read = partial(read_csv, symbol=self.symbol, time_format=self.time_format, delimiter=self.delimiter)
        return read_files(self.path, read)


@hookimpl
def simengine_register_sources() -> list[Component]:
    """Register the component."""
    return [Component("csv", CsvSource)]
