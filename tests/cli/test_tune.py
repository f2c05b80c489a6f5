"""`simengine tune`: the best options, the table, and the config file."""

import json

import pytest

from simengine import api
from simengine.errors import ConfigError

CONFIG = """\
name: small
data: {source: {type: oracle_market, market: realistic, symbols: 2, bars: 3000}}
labels:
  labeler:
    type: adaptive_threshold   # follows volatility
    horizon_bars: 12

    # of the log return
    adaptive_min: 0.0005
  optimizer: {type: grid, space: {multiplier: [0.3, 0.6], horizon_bars: [6, 12]}}
model: {type: prior}
"""


def only(folder):
    (found,) = folder.iterdir()
    return found


def test_the_best_is_printed_and_the_table_kept(simengine, config, tmp_path):
    path = config(CONFIG)
    code, out, err = simengine("tune", path, "--out", tmp_path / "runs", "-q")
    assert (code, err) == (0, "")
    assert path.read_text() == CONFIG
    directory = only(tmp_path / "runs")
    assert directory.name.split("-", 1)[1].startswith("small-tune-")
    assert sorted(file.name for file in directory.iterdir()) == ["DONE", "thresholds.json", "tune.yaml"]
    search = json.loads((directory / "thresholds.json").read_text())["search"]
    assert len(search["table"]["objective"]) == 2 * 2 * 8 * 12 - search_left_out(search)
    best = search["table"]["objective"].index(max(search["table"]["objective"]))
    assert search["objective"] >= search["table"]["objective"][best] - 0.001
    assert out.startswith("Labels of adaptive_threshold on train: 372 sets of options, by grid\n")
    for part in (
        "  multiplier    ",
        "labels     SELL ",
        "Top 10, each labeling once",
        "note: 12 of 384 combinations left out: ",
        "balance alone is no reason to choose labels",
        f"written to {directory}",
    ):
        assert part in out, part


def search_left_out(search):
    return int(search["notes"][0].split(" of ")[0])


def test_the_best_options_go_into_the_file_which_keeps_its_comments(simengine, config, tmp_path):
    path = config(CONFIG)
    code, out, _ = simengine("tune", path, "--out", tmp_path / "runs", "--write", "-q")
    assert code == 0
    best = json.loads((only(tmp_path / "runs") / "thresholds.json").read_text())["search"]["best"]
    text = path.read_text()
    for line in (
        "    type: adaptive_threshold   # follows volatility",
        "    # of the log return",
        "model: {type: prior}",
    ):
        assert line in text.splitlines()
    labeler = api.resolved(path)[1]["labels"]["labeler"]
    assert {name: labeler[name] for name in best} == best
    assert f"{path}: labels.labeler has these options now" in out
    assert list(path.parent.glob(".*")) == []
    # Options that are there already are found again, and the file stays as it is.
    again = api.tune(path, out=tmp_path / "runs", write=True)
    assert again.search["best"] == best
    assert again.written == path
    assert path.read_text() == text


def test_two_searches_never_share_a_folder(config, tmp_path):
    path = config(CONFIG)
    first, second = (api.tune(path, out=tmp_path / "runs") for _ in range(2))
    assert first.directory != second.directory
    kept = [(found.directory / "thresholds.json").read_bytes() for found in (first, second)]
    assert kept[0] == kept[1]


def test_json_is_one_object_and_nothing_else(simengine, config, tmp_path):
    code, out, err = simengine("tune", config(CONFIG), "--out", tmp_path / "runs", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert list(found) == [
        *("directory", "usable", "written", "optimizer", "labeler", "configured", "best", "objective"),
        *("shares", "notes", "table"),
    ]
    assert found["usable"] is True
    assert found["written"] is None


def test_the_log_is_on_stderr(simengine, config, tmp_path):
    code, out, err = simengine("tune", config(CONFIG), "--out", tmp_path / "runs")
    assert code == 0
    assert "labels: multiplier" in err
    assert "labels: multiplier" not in out


def test_bayesian_by_set(simengine, config, tmp_path):
    arguments = ("--set", "labels.optimizer={type: bayesian, n_trials: 12}", "-q", "--out", tmp_path / "runs")
    code, out, _ = simengine("tune", config(CONFIG), *arguments)
    assert code == 0
    assert out.startswith("Labels of adaptive_threshold on train: 12 sets of options, by bayesian\n")


def test_skill_and_pnl_are_columns(simengine, config, tmp_path):
    optimizer = "{type: grid, skill_weight: 10, pnl_weight: 0.5, finalists: 3}"
    code, out, _ = simengine(
        "tune", config(CONFIG), "--set", f"labels.optimizer={optimizer}", "-q", "--out", tmp_path / "runs"
    )
    assert code == 0
    assert "  skill" in out
    assert "  net" in out
    assert "Top 3, each labeling once" in out
    assert "balance alone" not in out


def test_null_says_what_to_set(simengine, config, tmp_path):
    path = config("name: x\nlabels: {optimizer: null}\n")
    code, out, err = simengine("tune", path, "--out", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert err == (
        f"simengine: {path}:2: labels.optimizer: null: say what to search with, for example "
        "labels.optimizer: grid, or --set labels.optimizer=grid\n"
    )
    assert not (tmp_path / "runs").exists()


def test_labels_that_cannot_be_learnt_end_with_1_and_are_not_written(simengine, config, tmp_path):
    text = CONFIG.replace(
        "optimizer: {type: grid, space: {multiplier: [0.3, 0.6], horizon_bars: [6, 12]}}", "optimizer: null"
    )
    path = config(text)
    space = "{type: grid, space: {multiplier: [0.5], adaptive_min: [0.5], adaptive_max: [0.9]}}"
    code, out, err = simengine(
        "tune", path, "--set", f"labels.optimizer={space}", "--write", "-q", "--out", tmp_path / "runs"
    )
    assert code == 1
    assert "HOLD 100.0" in out
    assert err == (
        "simengine: labels: with the best options a class has under 1 % of the train labels and cannot be "
        "learnt: search other values with the option space of labels.optimizer; the config file is as it "
        "was\n"
    )
    assert path.read_text() == text


def test_a_labeler_changed_by_set_is_not_written(simengine, config, tmp_path):
    path = config(CONFIG)
    code, _, err = simengine(
        "tune", path, "--set", "labels.labeler.entry=next_open", "--write", "-q", "--out", tmp_path / "runs"
    )
    assert code == 2
    assert err == (
        f"simengine: labels.labeler: --set made it another than that of {path}, so that --write cannot put "
        "the best options there; write the change into the file first\n"
    )
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_read_only_is_refused_before_the_search(simengine, config, tmp_path):
    path = config(CONFIG)
    path.chmod(0o444)
    code, _, err = simengine("tune", path, "--write", "-q", "--out", tmp_path / "runs")
    assert (code, err) == (
        2, f"simengine: {path}: is read-only; make it writable, or leave --write out\n",
    )  # fmt: skip
    assert path.read_text() == CONFIG
    assert not (tmp_path / "runs").exists()


def test_a_search_that_cannot_be_written_into_the_file_says_where_it_is(simengine, config, tmp_path):
    text = (
        CONFIG.replace("horizon_bars: 12\n", "horizon_bars: &h 12\n").replace("optimizer:", "optimizer:")
        + "sweep: {thresholds: [0.4], max_bars: [*h]}\n"
    )
    path = config(text)
    code, _, err = simengine(
        "tune", path, "--set", "labels.optimizer.space={horizon_bars: [6]}", "--write", "-q", "--out",
        tmp_path / "runs",
    )  # fmt: skip
    assert code == 2
    assert err.endswith(f"; the search is in {only(tmp_path / 'runs')}\n")
    assert path.read_text() == text


def test_a_folder_that_cannot_be_made_is_known_before_the_search(simengine, config, tmp_path):
    (tmp_path / "file").write_text("mine")
    code, out, err = simengine("tune", config(CONFIG), "-q", "--out", tmp_path / "file")
    assert (code, out) == (2, "")
    assert str(tmp_path / "file") in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("kind", ["grid", "bayesian"])
def test_text_among_the_values_is_one_line(simengine, config, tmp_path, kind):
    optimizer = f"{{type: {kind}, space: {{multiplier: ['0.3', '0.6']}}}}"
    code, _, err = simengine(
        "tune", config(CONFIG), "--set", f"labels.optimizer={optimizer}", "-q", "--out", tmp_path / "runs"
    )
    assert code == 2
    assert "multiplier" in err
    assert "expected a number, received '0.3'" in err or "received '0.6'" in err
    assert err.count("\n") == 1


def test_a_mapping_cannot_be_written_into():
    with pytest.raises(ConfigError) as caught:
        api.tune({"labels": {"optimizer": "grid"}}, write=True)
    assert str(caught.value) == "write: the config is a mapping; give the path of a file to write into"


def test_too_few_bars_for_the_horizon_that_was_found(simengine, config, tmp_path):
    path = config(CONFIG.replace("[6, 12]", "[1200]"))
    code, _, err = simengine("tune", path, "-q", "--out", tmp_path / "runs")
    assert code == 2
    assert err.startswith("simengine: too few bars: ORACLE1, the longest symbol, has 3,000 bars; ")
    assert "1259 purged" in err
    assert not (tmp_path / "runs").exists()


def test_check_searches_too(simengine, config):
    code, out, _ = simengine("check", config(CONFIG), "-q")
    assert code == 0
    assert "optimised labels" in out
