"""The tables of a run: predictions, trades and equity."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from simengine.rundir import write_bytes_atomic, write_text_atomic

if TYPE_CHECKING:
    import pandas as pd

    from simengine.steps.trade import Trading

TRADES = "trades.csv"
EQUITY = "equity.parquet"


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table atomically; equal tables give equal bytes."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_bytes_atomic(path, buffer.getvalue())


def write_trading(folder: Path, trading: Trading) -> None:
    """Write ``trades.csv`` and ``equity.parquet``."""
    write_text_atomic(folder / TRADES, trading.net.trades_frame().to_csv(index=False, lineterminator="\n"))
    write_parquet(folder / EQUITY, equity_table(trading))


def equity_table(trading: Trading) -> pd.DataFrame:
    """Return equity net and gross of costs beside buy & hold, and the net exposure, a row per bar."""
    import pandas as pd

    net = trading.net
    return pd.DataFrame(
        {
            "timestamp": pd.DatetimeIndex(net.timestamp.view("M8[ns]"), tz="UTC"),
            "equity": net.equity,
            "gross_equity": trading.gross.equity,
            "buy_and_hold": trading.baselines["buy_and_hold"].equity,
            "exposure": net.exposure,
        }
    )
