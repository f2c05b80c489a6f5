"""`simengine check`: configs, right and wrong."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = "data: {source: {type: oracle_market, symbols: 1, bars: 3000}}\n"


def test_a_good_config_is_ok(simengine, config):
    code, out, _ = simengine("check", config(SMALL), "--quiet")
    assert code == 0
    assert "config.yaml: ok" in out


def test_json_is_one_object_and_nothing_else(simengine, config):
    code, out, err = simengine("check", config(SMALL), "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["ok"] is True
    assert [row["segment"] for row in report["segments"]] == ["train", "val", "test"]


@pytest.mark.parametrize("name", ["config.yaml", "examples/collapsed.yaml", "examples/user_thresholds.yaml"])
def test_shipped_configs_resolve_and_read_back_equal(simengine, config, name):
    code, out, _ = simengine("check", ROOT / name, "--resolved")
    assert code == 0
    again = config(out, "again.yaml")
    assert simengine("check", again, "--resolved") == (0, out, "")


def test_a_misspelled_loss_is_one_line_with_the_nearest(simengine, config):
    path = config("training:\n  epochs: 2\n  loss: focl\n")
    code, out, err = simengine("check", path, "--quiet")
    assert (code, out) == (2, "")
    assert err == (
        f"simengine: {path}:3: training.loss: unknown loss 'focl' (did you mean 'focal'?); "
        "known: asymmetric_focal, cross_entropy, focal, logit_adjusted\n"
    )


def test_an_unknown_option_of_a_component_names_its_line(simengine, config):
    path = config("inference:\n  calibrator:\n    type: temperature\n    objectve: nll\n")
    code, _, err = simengine("check", path, "--quiet")
    assert code == 2
    assert err.startswith(f"simengine: {path}:4: inference.calibrator: unknown option 'objectve'")
    assert "did you mean 'objective'?" in err
    assert err.count("\n") == 1


def test_a_rare_class_is_a_failed_check(simengine, config):
    path = config(
        "data: {source: {type: oracle_market, market: realistic, symbols: 1, bars: 3000}}\n"
        "labels:\n"
        "  labeler: {type: adaptive_threshold, horizon_bars: 12, adaptive: false, price_change: 0.2}\n"
    )
    code, _, err = simengine("check", path, "--quiet")
    assert code == 1
    assert "cannot be learnt" in err


def test_thirty_bars_say_how_many_are_needed(simengine, config):
    code, _, err = simengine("check", config(SMALL.replace("3000", "30")), "--quiet")
    assert code == 2
    assert err.startswith("simengine: too few bars: ORACLE1 has 30 bars; train needs ")
    assert err.count("\n") == 1


def test_a_missing_config(simengine, tmp_path):
    (tmp_path / "config.yaml").write_text("{}\n")
    code, _, err = simengine("check", tmp_path / "confg.yaml")
    assert code == 2
    assert err == f"simengine: {tmp_path / 'confg.yaml'}: no such config file (did you mean 'config.yaml'?)\n"


def test_a_plugin_that_ends_the_program_is_one_line(simengine, config, tmp_path):
    (tmp_path / "leave.py").write_text("import sys\nsys.exit(0)\n")
    path = config("plugins: [leave.py]\n")
    assert simengine("check", path) == (
        2,
        "",
        f"simengine: {path}:1: plugins.0: plugin 'leave.py': import failed: SystemExit: 0 "
        f"({tmp_path}/leave.py:2)\n",
    )


def test_a_component_that_ends_the_program_is_a_bug_not_a_success(simengine, monkeypatch):
    def leave(*_args, **_kwargs):
        raise SystemExit(0)

    monkeypatch.setattr("simengine.api.check", leave)
    code, _, err = simengine("check", "config.yaml", "--quiet")
    assert code == 3
    assert err.endswith("internal error; the traceback above is a bug in simengine or in a plugin\n")


@pytest.mark.parametrize("option", [(), ("--resolved",), ("--json",)])
def test_only_the_schema_goes_without_a_config(simengine, option):
    code, out, err = simengine("check", *option)
    assert (code, out) == (2, "")
    assert err == (
        "simengine: Invalid value: give a CONFIG, for example config.yaml; only --schema works without one "
        "(see: simengine check --help)\n"
    )
    assert simengine("check", "--schema") == simengine("check", ROOT / "config.yaml", "--schema")


def test_a_warmup_of_the_whole_training_is_refused(simengine, config):
    path = config("training:\n  warmup: 1.0\n")
    _, _, err = simengine("check", path, "--quiet")
    assert err == f"simengine: {path}:2: training.warmup: must be < 1, received 1.0\n"


def test_the_schema_accepts_the_shipped_config(simengine):
    code, out, _ = simengine("check", ROOT / "config.yaml", "--schema")
    assert code == 0
    assert json.loads(out)["properties"]["training"]


def test_costs_that_do_not_fit_the_bars_are_found_before_training(simengine, config, tmp_path):
    path = tmp_path / "bars.csv"
    assert simengine("data", "make", path, "--symbols", "1", "--bars", "3000")[0] == 0
    lines = path.read_text().splitlines()
    *fields, symbol = lines[2900].split(",")
    lines[2900] = ",".join([*fields[:-1], "0", symbol])
    path.write_text("\n".join(lines) + "\n")
    text = f"data: {{source: {{type: csv, path: {path}}}}}\nbacktest: {{slippage: volume_impact}}\n"
    code, _, err = simengine("check", config(text), "--quiet")
    assert code == 2
    assert "volume" in err
    assert err.count("\n") == 1
