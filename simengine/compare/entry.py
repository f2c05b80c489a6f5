"""What one row of a comparison is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simengine.errors import RunError
from simengine.report.files import (
    check_probabilities,
    dig,
    read_config,
    read_equity,
    read_predictions,
    read_trades,
)
from simengine.rundir import RunDir

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Entry:
    """One row of a comparison: a run, or another strategy on a run's predictions.

    Parameters
    ----------
    label : str
        Name of the row, unique within a comparison.
    predictions : DataFrame
        Columns ``symbol, timestamp, segment, label, signal, raw_*, p_*, forward_return``.
    equity : DataFrame
        Columns ``timestamp, equity, gross_equity, buy_and_hold, exposure``: the portfolio.
    trades : DataFrame
        Closed trades as in ``trades.csv``.
    data_sha256 : object
        What identifies the bars: equal for equal data.
    backtest : mapping
        The ``backtest`` section of the resolved config.
    horizon_bars : int
        Label horizon H; intervals allow for correlation over ``max(48, 2 H)`` bars.
    train_share : sequence of float, length 3, optional
        Label shares of the train rows; ``skill`` is None without them.
    seed : int
        Root seed of the bootstrap intervals.
    """

    label: str
    predictions: pd.DataFrame
    equity: pd.DataFrame
    trades: pd.DataFrame
    data_sha256: object
    backtest: Mapping[str, Any]
    horizon_bars: int
    train_share: Sequence[float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_probabilities(self.predictions, self.label)

    def with_strategy(self, label: str, equity: pd.DataFrame, trades: pd.DataFrame) -> Entry:
        """Return the same predictions traded by another strategy."""
        return replace(self, label=label, equity=equity, trades=trades)


def read_entry(run_dir: Path | str, label: str | None = None) -> Entry:
    """Return the entry of a finished run; its label is the directory's name unless given.

    Raises
    ------
    RunError
        When the directory is no finished run, or a file is missing or cannot be read.
    """
    run = RunDir.open(run_dir)
    config, manifest = read_config(run.path), run.read_json("manifest.json")
    if dig(manifest, "data_sha256") is None:
        raise RunError(f"{run / 'manifest.json'}: data_sha256 is missing, so the data cannot be compared")
    if dig(manifest, "horizon_bars") is None:
        raise RunError(f"{run / 'manifest.json'}: horizon_bars is missing, so no interval can be computed")
    return Entry(
        label=label or run.path.name,
        predictions=read_predictions(run.path),
        equity=read_equity(run.path),
        trades=read_trades(run.path),
        data_sha256=manifest["data_sha256"],
        backtest=config.get("backtest") or {},
        horizon_bars=int(manifest["horizon_bars"]),
        train_share=manifest.get("train_share"),
        seed=int(config.get("seed") or 0),
    )
