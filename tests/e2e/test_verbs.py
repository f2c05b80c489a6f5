"""Every verb on a finished run: what people and programs read on stdout."""

import json
import shutil

import pytest


@pytest.fixture
def run(small_run, tmp_path):
    """A copy of the small run, for verbs that write into it."""
    return shutil.copytree(small_run.run_dir, tmp_path / "run")


def test_backtest_names_the_span_and_the_baselines(simengine, run):
    code, out, _ = simengine("backtest", run, "-q")
    assert code == 0
    assert out.startswith("Backtest on the test span of ORACLE1, ORACLE2, 2020-01-12T")
    for part in (
        "net return",
        "gross return",
        "buy & hold",
        "4-bar reversal",
        "random shifts",
        "other fills",
    ):
        assert part in out


def test_backtest_of_a_file_says_in_sample_in_its_heading(simengine, run, tmp_path):
    path = tmp_path / "own.parquet"
    assert simengine("data", "make", path, "--bars", "4000")[0] == 0
    code, out, _ = simengine("backtest", run, "--data", path, "-q")
    assert code == 0
    assert "Signals on bars" in out
    assert "Backtest on all bars of ORACLE1, ORACLE2, 2020-01-01T" in out
    assert ", IN-SAMPLE (open_first fills)" in out


def test_compare_prints_two_tables(simengine, run):
    code, out, _ = simengine("compare", run, "--strategy", "follow_signal", "--strategy", "sma_cross", "-q")
    assert code == 0
    lines = [line.split()[0] for line in out.splitlines() if line]
    assert lines.count("follow_signal") == lines.count("sma_cross") == 2
    assert "Comparison(" not in out


def test_explain_prints_features_and_bars(simengine, run):
    code, out, _ = simengine("explain", run, "--samples", "1", "--background", "1", "-q")
    assert code == 0
    assert "feature, top 10 of 25" in out
    assert "bars before the decision, top 10 of 60" in out
    assert "Explanation(" not in out
    assert (run / "explain.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (("backtest", "RUN"), {"run_dir", "segment", "span", "symbols", "in_sample", "metrics"}),
        (
            ("compare", "RUN", "--strategy", "follow_signal", "--strategy", "reversal"),
            {"span", "rows", "notes"},
        ),
        (("report", "RUN"), {"report"}),
    ],
)
def test_json_is_one_object_and_nothing_else(simengine, run, arguments, keys):
    code, out, err = simengine(*[run if a == "RUN" else a for a in arguments], "--json")
    assert (code, err) == (0, "")
    assert set(json.loads(out)) == keys


@pytest.mark.parametrize("name", ["metrics.json", "predictions.parquet", "model/model.npz", "decision.json"])
def test_a_file_changed_after_the_run_is_refused(simengine, run, name):
    (run / name).write_bytes(b"{}")
    code, out, err = simengine("backtest", run, "-q")
    assert (code, out) == (2, "")
    assert err == f"simengine: {run / name}: changed since the run was finished; restore it or run again\n"


def test_a_file_missing_from_the_run_is_named(simengine, run):
    (run / "scaler.json").unlink()
    code, _, err = simengine("report", run, "-q")
    assert code == 2
    assert err.startswith(f"simengine: {run / 'scaler.json'}: missing")


def test_what_a_plugin_prints_stays_off_stdout(simengine, tmp_path):
    plugin = tmp_path / "loud.py"
    plugin.write_text(
        "from simengine import Component, hookimpl\n"
        "print('hello')\n"
        "@hookimpl\n"
        "def simengine_register_fees():\n"
        "    return []\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text("plugins: [loud.py]\ndata: {source: {type: oracle_market, symbols: 1, bars: 3000}}\n")
    code, out, err = simengine("check", config, "--json")
    assert code == 0
    assert json.loads(out)["ok"] is True
    assert "hello" in err
