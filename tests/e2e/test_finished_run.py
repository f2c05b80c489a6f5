"""What can be done with a finished run, without training it again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simengine import api
from simengine.errors import ConfigError, RunError


@pytest.fixture(scope="session")
def own_bars(small_run, tmp_path_factory):
    """The bars of the small run, as a file."""
    path = tmp_path_factory.mktemp("bars") / "own.parquet"
    api.data_make(path, market="realistic", symbols=2, bars=4000)
    return path


@pytest.fixture
def copy(small_run, tmp_path):
    """A copy of the small run that a test may write into."""
    return Path(shutil.copytree(small_run.run_dir, tmp_path / "copy"))


@pytest.fixture
def unsigned(copy):
    """A copy whose manifest no longer holds the hashes of the files, so that they may be changed."""
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    (copy / "manifest.json").write_text(json.dumps({**manifest, "artefacts": {}}), encoding="utf-8")
    return copy


def test_backtest_repeats_the_figures_of_the_run(small_run):
    again = api.backtest(small_run.run_dir)
    assert not again.in_sample
    for name, value in small_run.metrics["backtest"].items():
        assert again.to_dict()["metrics"]["backtest"][name] == pytest.approx(value, nan_ok=True), name


def test_backtest_with_other_costs_changes_net_but_not_gross(small_run):
    free = api.backtest(small_run.run_dir, overrides=["backtest.fees=null", "backtest.slippage=null"])
    money = free.metrics["backtest"]
    assert money["fees"] == money["slippage_cost"] == 0
    assert money["net_return"] == pytest.approx(money["gross_return"], abs=1e-12)
    assert money["gross_return"] == pytest.approx(small_run.metrics["backtest"]["gross_return"], abs=1e-12)


def test_backtest_refuses_to_change_what_was_trained(small_run):
    with pytest.raises(ConfigError, match=r"^window: a trained run cannot change it without retraining"):
        api.backtest(small_run.run_dir, overrides=["window.length=30"])


def test_backtest_on_the_bars_it_was_trained_on_is_marked_in_sample(small_run, own_bars, tmp_path, caplog):
    result = api.backtest(small_run.run_dir, data=own_bars, out=tmp_path / "out")
    assert result.in_sample
    assert "overlap the train or validation span" in caplog.text
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["in_sample"] is True
    assert result.metrics["classification"]["bars"]["n"] > 6000
    with pytest.raises(RunError, match="exists already"):
        api.backtest(small_run.run_dir, out=tmp_path / "out")


@pytest.mark.parametrize(("days_from_test", "in_sample"), [(-1, True), (0, False)])
def test_bars_of_the_validation_span_are_in_sample_and_those_of_the_test_span_are_not(
    small_run, read, own_bars, tmp_path, days_from_test, in_sample
):
    split = {name: pd.Timestamp(time, tz="UTC") for name, time in read("manifest.json")["split"].items()}
    start = split["val_end"] + pd.Timedelta(days=days_from_test)
    assert start > split["train_end"]
    bars = pd.read_parquet(own_bars)
    path = tmp_path / "late.parquet"
    bars[bars["timestamp"] >= start].to_parquet(path, index=False)
    assert api.backtest(small_run.run_dir, data=path).in_sample is in_sample


def test_signals_on_a_file_of_the_same_bars_are_those_of_the_run(small_run, own_bars, tmp_path):
    bars = pd.read_parquet(own_bars)
    later = bars.rename(columns=str.upper).rename(columns={"TIMESTAMP": "Timestamp"})
    path = tmp_path / "same.csv"
    later.to_csv(path, index=False, float_format="%.17g")
    table = pd.read_parquet(small_run.run_dir / "predictions.parquet")
    test = table[table["segment"] == "test"]
    again = api.backtest(small_run.run_dir, data=path)
    positions = again.trading.targets
    held = test[test["symbol"] == "ORACLE1"]["signal"].to_numpy()
    expected = np.where(held == 1, np.nan, held - 1.0)
    np.testing.assert_array_equal(positions["ORACLE1"][-len(held) :], expected)


def test_compare_strategies_of_one_run(small_run):
    table = api.compare(small_run.run_dir, strategies=["follow_signal", "buy_and_hold"]).to_dict()
    rows = {row["label"]: row for row in table["rows"]}
    assert rows["follow_signal"]["classification"]["nll"] == rows["buy_and_hold"]["classification"]["nll"]
    money = {label: row["backtest"]["net_return"] for label, row in rows.items()}
    assert money["follow_signal"] == pytest.approx(small_run.metrics["backtest"]["net_return"])
    assert money["buy_and_hold"] == pytest.approx(small_run.metrics["backtest"]["buy_and_hold_return"])


def test_compare_needs_two_runs(small_run):
    with pytest.raises(RunError, match="compare needs two runs or more, or one run and --strategy"):
        api.compare([small_run.run_dir])


def test_explain_adds_up_and_names_features(copy):
    explanation = api.explain(copy, samples=2, background=2)
    assert explanation.completeness_error < 1e-5
    assert explanation.feature_values.shape == (2, 25, 3)
    assert explanation.time_values.shape == (2, 60, 3)
    assert (copy / "explain.json").is_file()


def test_report_can_be_written_again(copy):
    (copy / "report.html").unlink()
    assert api.report(copy) == copy / "report.html"
    assert "<html" in (copy / "report.html").read_text(encoding="utf-8")


def test_a_raw_probability_of_zero_is_no_obstacle(unsigned):
    table = pd.read_parquet(unsigned / "predictions.parquet")
    table[["raw_sell", "raw_hold", "raw_buy"]] = [0.0, 0.0, 1.0]
    table.to_parquet(unsigned / "predictions.parquet", index=False)
    assert api.backtest(unsigned).metrics["backtest"]["trades"] > 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "cannot be read ("),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "cannot be read ("),
        (
            lambda path: pd.read_parquet(path).drop(columns="p_buy").to_parquet(path),
            "column 'p_buy' is missing; found: symbol, timestamp, ",
        ),
        (
            lambda path: pd.read_parquet(path).iloc[:-1].to_parquet(path),
            "its test rows do not match the bars; run it again",
        ),
    ],
)
def test_backtest_of_missing_or_damaged_predictions(unsigned, damage, message):
    damage(unsigned / "predictions.parquet")
    with pytest.raises(RunError) as caught:
        api.backtest(unsigned)
    assert str(caught.value).startswith(f"{unsigned / 'predictions.parquet'}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["manifest.json", "origin.json"])
def test_damaged_json_is_one_line(unsigned, name):
    (unsigned / name).write_text("{")
    with pytest.raises(RunError) as caught:
        api.backtest(unsigned)
    assert str(caught.value) == (
        f"{unsigned / name}: no valid JSON (Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)); restore the file or run again"
    )


def test_an_origin_without_its_folder(unsigned):
    (unsigned / "origin.json").write_text("{}")
    with pytest.raises(RunError) as caught:
        api.backtest(unsigned)
    assert str(caught.value) == (
        f"{unsigned / 'origin.json'}: base_dir: expected a str, received nothing; "
        "restore the file or run again"
    )


def test_results_into_what_is_no_folder(small_run, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError) as caught:
        api.backtest(small_run.run_dir, out=tmp_path / "file" / "x")
    assert str(caught.value) == (
        f"{tmp_path / 'file' / 'x' / 'trades.csv'}: cannot be written (Not a directory); "
        "choose a folder that can be written to"
    )
