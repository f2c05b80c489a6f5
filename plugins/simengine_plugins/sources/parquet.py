"""Bars from Parquet files."""

from __future__ import annotations

from functools import partial

from simengine import Component, hookimpl
from simengine.data.files import read_files, read_parquet
from simengine.types import Bars
from simengine_plugins.sources.options import Paths, ReadsFiles, SymbolName


class ParquetSource(ReadsFiles):
    """Bars from Parquet files.

    Columns, in any case: ``timestamp`` (or ``time, date, datetime, open_time``, or the index), ``open,
    high, low, close, volume``, optionally ``turnover`` and ``symbol``; others are ignored. Times are bar
    open times: datetimes (UTC when they have no zone), epoch numbers in s, ms, us or ns, or ISO 8601.
    """

    def __init__(
        self,
        *,
        path: Paths,
        symbol: SymbolName = None,
    ) -> None:
        self.path = path
        self.symbol = symbol

    def load(self) -> dict[str, Bars]:
        """Return validated bars by symbol."""
        return read_files(self.path, partial(read_parquet, symbol=self.symbol))


@hookimpl
def simengine_register_sources() -> list[Component]:
    """Register the component."""
    return [Component("parquet", ParquetSource)]
