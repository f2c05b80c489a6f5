"""A whole run of the shipped config leaves everything that it promises."""

import json

import pandas as pd
import pytest

from simengine import api
from simengine.rundir import sha256_file

FILES = (
    "DONE",
    "calibration.json",
    "config.resolved.yaml",
    "decision.json",
    "equity.parquet",
    "history.json",
    "log.jsonl",
    "manifest.json",
    "metrics.json",
    "model/model.json",
    "predictions.parquet",
    "report.html",
    "scaler.json",
    "thresholds.json",
    "trades.csv",
)
CLASSIFICATION = {
    *(
        "n",
        "label_share",
        "raw_argmax_share",
        "raw_nll",
        "raw_ece",
        "argmax_share",
        "nll",
        "ece",
        "ace",
        "brier",
    ),
    *("skill", "decided_share", "macro_f1", "balanced_accuracy", "per_class", "argmax_macro_f1", "sign_auc"),
    "hold_auc",
}
BACKTEST = {
    *(
        "net_return",
        "gross_return",
        "cagr",
        "sharpe",
        "probabilistic_sharpe",
        "sortino",
        "calmar",
        "volatility",
    ),
    *("max_drawdown", "trades", "win_rate", "profit_factor", "expectancy", "exposure", "turnover", "fees"),
    *("slippage_cost", "funding", "borrow", "gross_t", "buy_and_hold_return", "random_percentile"),
    "fill_convention",
    "sensitivity",
}


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_a_run_directory_is_there(small_run, name):
    assert (small_run.run_dir / name).is_file()


def test_no_temporary_file_is_left_behind(small_run):
    assert not list(small_run.run_dir.rglob("*.tmp"))


def test_metrics_have_the_documented_names(small_run):
    metrics = small_run.metrics
    for segment in ("val", "test"):
        assert set(metrics["classification"][segment]) >= CLASSIFICATION
    assert set(metrics["oracle"]["test"]) >= CLASSIFICATION | {"skill_ratio", "skill_ratio_full", "kl"}
    assert set(metrics["backtest"]) >= BACKTEST
    assert set(metrics["baselines"]) == {"buy_and_hold", "reversal"}


def test_metrics_returned_are_those_written(small_run, read):
    assert small_run.metrics == read("metrics.json")


def test_decided_shares_match_the_labels_of_val(small_run):
    val = small_run.metrics["classification"]["val"]
    assert val["decided_share"] == pytest.approx(val["label_share"], abs=2 / val["n"])


def test_manifest_hashes_are_those_of_the_files(small_run, read):
    artefacts = read("manifest.json")["artefacts"]
    assert {"model/model.npz", "predictions.parquet", "trades.csv", "metrics.json", "report.html"} <= set(
        artefacts
    )
    for name, digest in artefacts.items():
        assert sha256_file(small_run.run_dir / name) == digest, name


def test_test_signals_come_after_train_and_val(small_run, read):
    table = pd.read_parquet(small_run.run_dir / "predictions.parquet")
    times = {name: part["timestamp"] for name, part in table.groupby("segment")}
    val_end = pd.Timestamp(read("manifest.json")["split"]["val_end"], tz="UTC")
    assert times["val"].max() < val_end <= times["test"].min()


def test_log_is_one_json_object_a_line(small_run):
    lines = (small_run.run_dir / "log.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line).get("event") for line in lines]
    assert events.count("epoch") == 1
    assert events.count("stage") == 6


@pytest.mark.slow
def test_the_same_config_and_seed_give_the_same_bytes(small_run, small, root, tmp_path):
    again = api.run(root / "config.yaml", overrides=small, out=tmp_path)
    for name in ("model/model.npz", "predictions.parquet", "trades.csv", "metrics.json", "decision.json"):
        assert sha256_file(again.run_dir / name) == sha256_file(small_run.run_dir / name), name


def test_a_run_directory_is_never_reused(small_run):
    with pytest.raises(api.RunError, match="this run is finished; start a new one"):
        api.run(resume=small_run.run_dir)
