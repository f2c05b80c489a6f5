"""`simengine sweep`: chosen on val, reported on test, and resumable."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from simengine import api, hookimpl
from simengine.backtest import backtest
from simengine.backtest.chunk import COLUMNS, threshold_targets
from simengine.errors import RunError
from simengine.log import NoProgress

CONFIG = """
name: small
data: {source: {type: oracle_market, market: easy, symbols: 2, bars: 3000}}
model: {type: hist_gradient_boosting, lags: 1, max_iter: 10}
backtest: {stop_loss: 0.05}
"""
SWEEP = "sweep: {thresholds: [0.34, 0.36, 0.38, 0.40, 0.42], take_profits: [null, 0.02]}\n"
MANY = "sweep.thresholds=[0.30, 0.31, 0.32, 0.33, 0.34, 0.35, 0.36, 0.37, 0.38, 0.39, 0.40, 0.41, 0.42]"
STOPS = "sweep.stop_losses=[null, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09]"  # 260: 5 chunks


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A config that was trained and swept."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "config.yaml").write_text(CONFIG + SWEEP)
    return api.sweep(folder / "config.yaml", out=folder / "runs")


@pytest.fixture
def run(swept, tmp_path):
    """A copy of the run, for verbs that write into it."""
    return shutil.copytree(swept.run_dir, tmp_path / "run")


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_config_is_trained_and_swept(swept):
    assert swept.directory == swept.run_dir / "sweep"
    assert (swept.run_dir / "DONE").is_file()
    assert not (swept.run_dir / "trades.csv").exists()
    assert files(swept.directory) == {
        *("sweep.yaml", "result.json", "DONE", "val/sweep.json", "val/chunks/00000.npz"),
        *("val/table.csv", "val/overfitting.json", "val/DONE"),
    }
    assert len(swept.val) == 10
    assert swept.chosen == swept.val.best()


def test_what_is_not_swept_is_as_in_backtest(swept):
    assert {variant["stop_loss"] for variant in swept.val.variants} == {0.05}
    assert [variant["take_profit"] for variant in swept.val.variants][:2] == [None, 0.02]


def test_the_chosen_variant_is_tried_on_test_alone_with_the_calibrated_probabilities(swept):
    """Rebuilt from the files of the run: the test figures are one plain backtest."""
    table = pd.read_parquet(swept.run_dir / "predictions.parquet")
    table = table[table["segment"] == "test"]
    config = json.loads(json.dumps(api.resolved(swept.run_dir / "config.resolved.yaml")[1]))
    from simengine.plugin.manager import build_registry

    source = build_registry().create("source", config["data"]["source"])
    bars, targets = {}, {}
    first, last = (np.datetime64(text.removesuffix("Z"), "ns") for text in swept.test["span"])
    for symbol, whole in source.load().items():
        times = whole.timestamp.view("M8[ns]")
        start, stop = np.searchsorted(times, first), np.searchsorted(times, last, side="right")
        bars[symbol] = whole.slice(start, stop)
        mine = table[table["symbol"] == symbol]
        proba = pd.DataFrame(np.nan, index=times[start:stop], columns=["p_sell", "p_hold", "p_buy"])
        proba.loc[mine["timestamp"].dt.tz_convert(None).to_numpy()] = mine[list(proba)].to_numpy()
        targets[symbol] = threshold_targets(proba.to_numpy(), swept.chosen["threshold"])
    stops = {name: swept.chosen[name] for name in ("stop_loss", "take_profit")}
    found = backtest(bars, targets=targets, **stops, fee_bps=10, slippage_bps=5)
    for name in COLUMNS:
        assert swept.test[name] == pytest.approx(found.stats[name], rel=1e-9, nan_ok=True), name


def test_the_choice_is_made_on_val_before_test(swept):
    assert swept.val.times[1] < swept.test["span"][0]
    assert swept.to_dict()["chosen_on"] == "val"


def test_the_summary_says_what_is_in_sample(simengine, run):
    code, out, err = simengine("sweep", run, "--quiet")
    assert (code, err) == (0, "")
    assert out.startswith("Sweep of 10 variants of ORACLE1, ORACLE2 (open_first fills)\n")
    for part in (
        "Top 5 by Sharpe ratio on val, 2020-01-",
        "chosen on, IN-SAMPLE",
        "deflated Sharpe ratio, 10 trials",
        "effective",
        "probability of overfitting (PBO)",
        "minimum track record",
        "val (chosen on)",
        "this one variant only",
    ):
        assert part in out, part


def test_a_second_sweep_has_a_folder_of_its_own_and_counts_the_looks(simengine, run):
    before = {name: (run / "sweep" / name).read_bytes() for name in files(run / "sweep")}
    code, out, _ = simengine("sweep", run, "--quiet", "--set", "sweep.thresholds=[0.35, 0.37]", "--jobs", "2")
    assert code == 0
    assert "Sweep of 4 variants" in out
    assert "the test span of this run was looked at once before" in out
    assert f"written to {run / 'sweep.1'}" in out
    assert before == {name: (run / "sweep" / name).read_bytes() for name in files(run / "sweep")}
    assert "looked at 2 times before" in simengine("sweep", run, "--quiet")[1]


def test_json_is_one_object_and_nothing_else(simengine, run):
    code, out, err = simengine("sweep", run, "--json", "--set", "backtest.cash=5000")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert set(found) == {"run_dir", "directory", "earlier_sweeps", "chosen_on", "chosen", "test", "val"}
    assert len(found["val"]["table"]["sharpe"]) == len(found["val"]["variants"]) == 10
    assert found["val"]["overfitting"]["trials"] == 10
    assert found["chosen"]["final_equity"] == found["val"]["table"]["final_equity"][found["chosen"]["row"]]
    assert found["chosen"]["final_equity"] < 10_000


class PowerCut(NoProgress):
    """Ends the sweep when its first chunk is done."""

    def advance(self, steps=1, **info):
        raise KeyboardInterrupt


def test_a_killed_sweep_is_resumed_with_the_same_bytes(simengine, run):
    with pytest.raises(KeyboardInterrupt):
        api.sweep(run, overrides=[MANY, STOPS], progress=PowerCut())
    cut = run / "sweep.1"
    assert files(cut) == {"sweep.yaml", "val/sweep.json", "val/chunks/00000.npz"}
    code, out, _ = simengine("sweep", "--resume", cut, "--quiet", "--jobs", "2")
    assert code == 0
    assert "Sweep of 260 variants" in out
    assert simengine("sweep", run, "--quiet", "--set", MANY, "--set", STOPS)[0] == 0
    for name in ("table.csv", "overfitting.json", "sweep.json"):
        assert (cut / "val" / name).read_bytes() == (run / "sweep.2" / "val" / name).read_bytes()


def test_a_sweep_killed_before_its_first_file_is_resumed(simengine, run):
    (run / "sweep.1").mkdir()
    shutil.copy(run / "sweep" / "sweep.yaml", run / "sweep.1")
    assert simengine("sweep", "--resume", run / "sweep.1", "--quiet")[0] == 0
    assert (run / "sweep.1/val/table.csv").read_bytes() == (run / "sweep/val/table.csv").read_bytes()


def test_a_finished_sweep_is_shown_again(simengine, run):
    (run / "sweep" / "val" / "chunks" / "00000.npz").touch()
    code, out, _ = simengine("sweep", "--resume", run / "sweep", "--quiet")
    assert code == 0
    assert "Sweep of 10 variants" in out


class Blackout:
    """A plugin that ends the run after the first epoch."""

    @hookimpl
    def simengine_epoch_end(self, run_dir):
        self.run_dir = run_dir
        raise KeyboardInterrupt


def test_a_sweep_killed_in_training_is_resumed_by_its_run(swept, tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG + SWEEP)
    cut = Blackout()
    with pytest.raises(KeyboardInterrupt):
        api.sweep(tmp_path / "config.yaml", out=tmp_path / "runs", plugins=[cut])
    resumed = api.sweep(resume=cut.run_dir)
    assert resumed.val.to_csv() == swept.val.to_csv()
    assert resumed.test == swept.test
    with pytest.raises(RunError) as caught:
        api.sweep(resume=cut.run_dir)
    assert str(caught.value) == (
        f"{cut.run_dir}: this run is finished; sweep it with: simengine sweep {cut.run_dir}"
    )


def test_nothing_to_sweep_is_said_before_anything_is_trained(simengine, config, tmp_path):
    path = config(CONFIG)
    code, out, err = simengine("sweep", path, "--out", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert err == (
        f"simengine: {path}: sweep: there is nothing to sweep; add for example sweep: {{thresholds: [0.4, "
        "0.45, 0.5]} to the config, or give --set 'sweep.thresholds=[0.4, 0.45, 0.5]'\n"
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "{thresholds: [0.4, 0.4]}",
            "sweep: thresholds holds 0.4 twice; every variant counts as a trial, so give each value once",
        ),
        ("{thresholds: [1.5]}", "sweep.thresholds.0: must be < 1, received 1.5"),
        ("{thresholds: []}", None),
        ("{stop_losses: [0.1]}", None),
        ("{thresholds: [0.4], stop_loss: [0.1]}", None),
        ("{thresholds: [0.4], max_bars: [2.0]}", None),
    ],
)
def test_a_section_that_is_not_valid_names_its_line(simengine, config, tmp_path, section, message):
    path = config(f"{CONFIG}sweep: {section}\n")
    code, _, err = simengine("sweep", path, "--out", tmp_path / "runs", "-q")
    assert code == 2
    assert err.startswith(f"simengine: {path}:6: sweep")
    assert err.count("\n") == 1
    if message:
        assert err == f"simengine: {path}:6: {message}\n"


def test_check_finds_it_too(simengine, config):
    code, _, err = simengine("check", config(f"{CONFIG}sweep: {{thresholds: [0.4, 0.4]}}\n"), "-q")
    assert code == 2
    assert "sweep: thresholds holds 0.4 twice" in err


def test_what_was_trained_cannot_be_changed(simengine, run):
    code, _, err = simengine("sweep", run, "--set", "window.length=30", "-q")
    assert code == 2
    assert err == (
        "simengine: window: a trained run cannot change it without retraining; sweep may change sweep, "
        "backtest\n"
    )


@pytest.mark.parametrize("arguments", [(), ("config.yaml", "--resume", "runs/x")])
def test_one_of_config_and_resume(simengine, arguments):
    code, _, err = simengine("sweep", *arguments)
    assert code == 2
    assert "give a CONFIG or a RUN, or --resume SWEEP, and not both" in err


def test_resume_takes_no_set(simengine, run):
    code, _, err = simengine("sweep", "--resume", run / "sweep", "--set", "backtest.cash=1")
    assert code == 2
    assert "--resume continues the sweep as it was configured" in err


def test_resume_of_nothing_is_one_line(simengine, tmp_path):
    code, _, err = simengine("sweep", "--resume", tmp_path, "-q")
    assert (code, err.count("\n")) == (2, 1)
    assert str(tmp_path) in err
