"""What the report is built from: the files of a run directory, read once and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simengine.config.strict_yaml import parse
from simengine.errors import RunError
from simengine.rundir import CONFIG, RunDir

if TYPE_CHECKING:
    import pandas as pd

RAW = ["raw_sell", "raw_hold", "raw_buy"]
CALIBRATED = ["p_sell", "p_hold", "p_buy"]
PREDICTIONS = ["symbol", "timestamp", "segment", "label", "signal", *RAW, *CALIBRATED, "forward_return"]
EQUITY = ["timestamp", "equity", "gross_equity", "buy_and_hold", "exposure"]
TRADES = [
    "symbol", "side", "entry_time", "exit_time", "units", "entry_price", "exit_price", "fees", "slippage",
    "financing", "pnl", "return", "mae", "mfe", "bars_held", "exit_reason",
]  # fmt: skip

SUM_TOLERANCE = 1e-3
"""How far three float32 probabilities may be from summing to one before the file is refused."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The readable content of a run directory.

    Parameters
    ----------
    path : Path
        The run directory.
    config_text : str
        ``config.resolved.yaml`` as it is.
    config, manifest, metrics : dict
        Parsed ``config.resolved.yaml``, ``manifest.json`` and ``metrics.json``.
    history : list of dict
        One `simengine.types.EpochRecord` per trained epoch; empty for models that have none.
    predictions, equity, trades : DataFrame
        Columns `PREDICTIONS`, `EQUITY` and `TRADES`; ``timestamp`` is UTC.
    """

    path: Path
    config_text: str
    config: dict[str, Any]
    manifest: dict[str, Any]
    metrics: dict[str, Any]
    history: list[dict[str, Any]]
    predictions: pd.DataFrame
    equity: pd.DataFrame
    trades: pd.DataFrame

    def setting(self, *keys: str) -> Any:  # noqa: ANN401 - a setting can be anything
        """Return ``config[keys[0]][keys[1]]...``, or None where a level is missing."""
        return dig(self.config, *keys)

    def metric(self, *keys: str) -> Any:  # noqa: ANN401 - numbers, lists of three and per-class tables
        """Return ``metrics[keys[0]][keys[1]]...``, or None where a level is missing."""
        return dig(self.metrics, *keys)


def dig(tree: Any, *keys: str) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """Walk down nested mappings; None where a level is missing or is no mapping."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def read_run(run_dir: Path | str) -> RunFiles:
    """Read a run directory; the ``DONE`` marker is not asked for, since the report is written before it.

    Raises
    ------
    RunError
        When the directory or one of its files is missing, unreadable or lacks a column.
    """
    run = RunDir.open(run_dir, finished=False)
    return RunFiles(
        path=run.path,
        config_text=_config_text(run / CONFIG),
        config=read_config(run.path),
        manifest=run.read_json("manifest.json"),
        metrics=run.read_json("metrics.json"),
        history=run.read_json("history.json", list),
        predictions=read_predictions(run.path),
        equity=read_equity(run.path),
        trades=read_trades(run.path),
    )


def read_config(run_dir: Path) -> dict[str, Any]:
    """Return ``config.resolved.yaml`` as plain mappings, without validating it again."""
    path = run_dir / CONFIG
    config = parse(_config_text(path), str(path)).value
    if not isinstance(config, dict):
        raise RunError(f"{path}: expected a mapping, received {type(config).__name__}")
    return config


def _config_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read ({_first_line(error)})") from error


def read_predictions(run_dir: Path) -> pd.DataFrame:
    """Return ``predictions.parquet`` with probabilities checked to sum to one."""
    path = run_dir / "predictions.parquet"
    frame = _read_parquet(path, PREDICTIONS)
    check_probabilities(frame, str(path))
    return frame


def check_probabilities(frame: pd.DataFrame, origin: str) -> None:
    """Refuse rows whose three raw or calibrated probabilities do not sum to one (log-probabilities, say).

    Raises
    ------
    RunError
        Naming the first such row.
    """
    for columns in (RAW, CALIBRATED):
        total = frame[columns].to_numpy(dtype=float).sum(axis=1)
        bad = ~(abs(total - 1.0) <= SUM_TOLERANCE)
        if bad.any():
            row = int(bad.argmax())
            raise RunError(
                f"{origin}: row {row}: {' + '.join(columns)} = {total[row]:.4g}, expected probabilities "
                "that sum to 1; the file was not written by this version of simengine"
            )


def read_equity(run_dir: Path) -> pd.DataFrame:
    """Return ``equity.parquet``; at least one row."""
    path = run_dir / "equity.parquet"
    frame = _read_parquet(path, EQUITY)
    if frame.empty:
        raise RunError(f"{path}: holds no rows; run the backtest again: simengine backtest {run_dir}")
    return frame


def read_trades(run_dir: Path) -> pd.DataFrame:
    """Return ``trades.csv``; no rows when nothing was traded."""
    import pandas as pd

    path = run_dir / "trades.csv"
    words = {"symbol": "str", "side": "str", "exit_reason": "str"}
    try:
        # A symbol may be called NA or null: only an empty cell means "nothing".
        frame = pd.read_csv(path, dtype=words, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({_first_line(error)})") from error
    return _with_columns(frame, TRADES, path)


def _read_parquet(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise RunError(f"{path}: cannot be read ({_first_line(error)})") from error
    return _with_columns(frame, columns, path)


def _with_columns(frame: pd.DataFrame, columns: Sequence[str], path: Path) -> pd.DataFrame:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise RunError(
            f"{path}: column {missing[0]!r} is missing; found: {', '.join(map(str, frame.columns))}"
        )
    return frame[list(columns)]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
