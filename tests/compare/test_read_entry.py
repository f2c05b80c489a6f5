"""An entry read from a run directory."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from simengine.compare import compare_entries, read_entry
from simengine.errors import RunError

CONFIG = """
name: demo
seed: 7
labels: {labeler: {type: volatility_quantile, horizon_bars: 2}}
backtest: {cash: 1000, fees: {type: proportional, fee_bps: 10}}
"""


@pytest.fixture
def run(tmp_path: Path, make_entry) -> Path:
    path = tmp_path / "run-1"
    path.mkdir()
    entry = make_entry()
    (path / "config.resolved.yaml").write_text(CONFIG)
    (path / "manifest.json").write_text(
        json.dumps({"data_sha256": "ab", "horizon_bars": 2, "train_share": [0.3, 0.3, 0.4]})
    )
    entry.predictions.to_parquet(path / "predictions.parquet")
    entry.equity.to_parquet(path / "equity.parquet")
    trades = entry.trades.assign(
        side="long", slippage=0.0, financing=0.0, pnl=17.0, mae=0.0, mfe=0.1, bars_held=3
    )
    trades["return"] = 0.085
    trades["exit_reason"] = "signal"
    trades.to_csv(path / "trades.csv", index=False)
    (path / "DONE").touch()
    return path


def test_a_run_read_from_disk_equals_the_one_in_memory(run, make_entry):
    entry = read_entry(run)
    assert entry.label == "run-1"
    assert (entry.horizon_bars, entry.seed, entry.data_sha256) == (2, 7, "ab")
    assert entry.backtest == {"cash": 1000, "fees": {"type": "proportional", "fee_bps": 10}}
    first, second = compare_entries([entry, make_entry(backtest=entry.backtest)]).rows
    assert first["classification"] == second["classification"]
    assert first["backtest"] == second["backtest"]


def test_a_run_can_be_labelled(run):
    assert read_entry(run, "plain base").label == "plain base"


def test_an_unfinished_run_is_refused(run):
    (run / "DONE").unlink()
    with pytest.raises(RunError) as error:
        read_entry(run)
    assert str(error.value) == (
        f"{run}: this run is not finished; continue it with: simengine run --resume {run}"
    )


def test_a_run_without_data_hash_is_refused(run):
    (run / "manifest.json").write_text("{}")
    with pytest.raises(RunError) as error:
        read_entry(run)
    assert str(error.value) == (
        f"{run / 'manifest.json'}: data_sha256 is missing, so the data cannot be compared"
    )


def test_empty_equity_is_refused(run):
    pd.read_parquet(run / "equity.parquet").head(0).to_parquet(run / "equity.parquet")
    with pytest.raises(RunError) as error:
        read_entry(run)
    assert str(error.value) == (
        f"{run / 'equity.parquet'}: holds no rows; run the backtest again: simengine backtest {run}"
    )
