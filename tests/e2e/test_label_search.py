"""`labels.optimizer` alone switches the search on, and a finished run is never searched again."""

import json

import pytest

from simengine import api
from simengine.rundir import RunDir

CONFIG = {
    "name": "searched",
    "data": {"source": {"type": "oracle_market", "market": "easy", "symbols": 2, "bars": 3000}},
    "labels": {
        "labeler": {"type": "adaptive_threshold", "adaptive_min": 0.0005},
        "optimizer": {"type": "grid", "space": {"horizon_bars": [7, 9], "multiplier": [0.3, 0.4, 0.5]}},
    },
    "model": {"type": "hist_gradient_boosting", "lags": 1, "max_iter": 10},
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A run that searched."""
    return api.run(CONFIG, out=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def no_search(monkeypatch):
    """Make every further search fail."""

    def search(*arguments):
        raise AssertionError("searched again")

    monkeypatch.setattr("simengine_plugins.threshold_optimizers.grid.GridSearch.search", search)


def read(run, name):
    return json.loads((run.run_dir / name).read_text())


def test_the_run_has_the_labels_that_were_found(searched):
    search = read(searched, "thresholds.json")["search"]
    assert search["labeler"] == "adaptive_threshold"
    assert search["best"]["horizon_bars"] in (7, 9)
    assert read(searched, "manifest.json")["horizon_bars"] == search["best"]["horizon_bars"]
    share = read(searched, "manifest.json")["train_share"]
    assert share == pytest.approx(list(search["shares"].values()), abs=0.02)
    log = (searched.run_dir / "log.jsonl").read_text()
    assert '"event": "labels_optimised"' in log


def test_the_same_options_without_an_optimizer_give_the_same_run(searched, tmp_path):
    best = read(searched, "thresholds.json")["search"]["best"]
    labels = {"labeler": {**CONFIG["labels"]["labeler"], **best}}
    plain = api.run({**CONFIG, "labels": labels}, out=tmp_path)
    assert read(plain, "metrics.json") == read(searched, "metrics.json")
    assert "search" not in read(plain, "thresholds.json")


def test_a_finished_run_is_traded_again_with_its_labels(searched, no_search, tmp_path):
    again = api.backtest(searched.run_dir)
    for name in ("net_return", "trades"):
        assert again.metrics["backtest"][name] == searched.metrics["backtest"][name]
    api.data_make(tmp_path / "other.csv", market="easy", symbols=1, bars=1500, seed=3)
    other = api.backtest(searched.run_dir, data=tmp_path / "other.csv")
    assert other.metrics["classification"]["bars"]["n"] > 0
    assert api.compare(searched.run_dir, strategies=["follow_signal", "buy_and_hold"])
    assert api.load_model(searched.run_dir).warmup > 0
    changes = ["sweep.thresholds=[0.3, 0.35]"]
    assert len(api.sweep(searched.run_dir, overrides=changes).val) == 2


def test_a_killed_run_is_resumed_without_a_search(searched, no_search, tmp_path):
    import shutil

    copy = shutil.copytree(searched.run_dir, tmp_path / "run")
    for name in ("DONE", "manifest.json", "metrics.json", "report.html"):
        (copy / name).unlink()
    resumed = api.run(resume=copy)
    assert resumed.metrics == searched.metrics
    assert RunDir.open(copy).read_json("thresholds.json") == read(searched, "thresholds.json")
