"""Nothing known at bar t depends on a bar after t: change the future, run again, compare bytes."""

import numpy as np
import pandas as pd
import pytest

from simengine import api
from simengine.rundir import sha256_file

OVERRIDES = (
    "data.source.type=parquet",
    "model={type: hist_gradient_boosting, max_iter: 20}",
    "backtest.stop_loss=0.01",
)
FITTED = ("model/model.json", "scaler.json", "thresholds.json", "calibration.json", "decision.json")


def _scaled(values, later):
    """A future that is half as high again."""
    return np.where(later, 1.5 * values, values)


def _spike_and_flat(values, later):
    """A future that jumps and then stands still."""
    changed = values.copy()
    changed[later] = 3.0 * values[later][0]
    return changed


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """One symbol of the oracle market as a file."""
    path = tmp_path_factory.mktemp("bars") / "bars.parquet"
    api.data_make(path, market="easy", symbols=1, bars=6000)
    return path


@pytest.fixture(scope="module")
def honest(bars, root, tmp_path_factory):
    """The run on the unchanged bars."""
    return _run(bars, root, tmp_path_factory.mktemp("runs"))


def _run(path, root, out):
    overrides = (*OVERRIDES, f"data.source.path={path}")
    return api.run(root / "config.yaml", overrides=overrides, out=out).run_dir


@pytest.mark.slow
@pytest.mark.parametrize("change", [_scaled, _spike_and_flat])
@pytest.mark.parametrize("cut", [5000, 5900])
def test_the_future_changes_nothing_before_it(bars, honest, root, tmp_path, change, cut):
    table = pd.read_parquet(bars)
    later = np.arange(len(table)) > cut
    for column in ("open", "high", "low", "close", "volume"):
        table[column] = change(table[column].to_numpy(), later)
    changed_path = tmp_path / "bars.parquet"
    table.to_parquet(changed_path, index=False)
    changed = _run(changed_path, root, tmp_path / "runs")
    now = table["timestamp"].iloc[cut]

    for name in FITTED:
        assert sha256_file(changed / name) == sha256_file(honest / name), name
    scores = [_until(run / "predictions.parquet", now) for run in (honest, changed)]
    columns = ["timestamp", "signal", "raw_sell", "raw_hold", "raw_buy", "p_sell", "p_hold", "p_buy"]
    pd.testing.assert_frame_equal(scores[0][columns], scores[1][columns], check_exact=True)
    equity = [_until(run / "equity.parquet", now) for run in (honest, changed)]
    pd.testing.assert_frame_equal(*equity, check_exact=True)
    trades = [pd.read_csv(run / "trades.csv", parse_dates=["exit_time"]) for run in (honest, changed)]
    closed = [part[part["exit_time"] <= now].reset_index(drop=True) for part in trades]
    assert len(closed[0]) >= 5
    pd.testing.assert_frame_equal(*closed, check_exact=True)


def _until(path, now):
    table = pd.read_parquet(path)
    return table[table["timestamp"] <= now].reset_index(drop=True)
