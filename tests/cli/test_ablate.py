"""`simengine ablate`: the table, what is refused, and a kill in the middle."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from simengine import api
from simengine.cli import output

CONFIG = """\
name: small
data: {source: {type: csv, path: BARS}}
model: {type: hist_gradient_boosting, lags: 1, max_iter: 4}
inference: {calibrator: null, decision: argmax}
"""
ONLY = ("--only", "9", "--only", "2", "--decision", "prior_matched")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    api.data_make(folder / "bars.csv", symbols=1, bars=2000)
    (folder / "config.yaml").write_text(CONFIG.replace("BARS", str(folder / "bars.csv")))
    return folder / "config.yaml"


def test_the_table_ends_with_a_verdict_for_each_improvement(simengine, path, tmp_path):
    code, out, err = simengine("ablate", path, "--seeds", "2", *ONLY, "--out", tmp_path / "runs", "-q")
    assert (code, err) == (0, "")
    (directory,) = (tmp_path / "runs").iterdir()
    assert directory.name.split("-", 1)[1].startswith("small-ablate-")
    lines = out.splitlines()
    assert lines[:3] == [
        "Ablation: 8 cells, 2 seeds, 1 folds; intervals from blocks of 24 bars",
        "  stage B, all ten: the same as stage A, and no row of its own",
        "",
    ]
    for heading in (
        "Figures on test, means over seeds and folds",
        "Standard deviation of the figures over seeds",
        "Differences to the base, whose decision is argmax",
        "Differences to the base with the same decision: what is added once the decision is there",
    ):
        assert heading in lines, heading
    verdicts = lines[
        lines.index("Verdicts against the base, with decision argmax unless another one is named") :
    ]
    assert [line.split(":")[0] for line in verdicts[1:-3]] == [
        "  base",
        "      with prior_matched",
        "  2 prediction-aware reweighting",
        "      with prior_matched",
        "  9 temperature scaling",
        "      with prior_matched",
        "  stage A",
        "      with prior_matched",
    ]
    assert lines[-1] == f"written to {directory}"

    code, again, err = simengine("ablate", "--resume", directory, "-q")
    assert (code, err) == (0, "")
    assert again == out
    code, text, err = simengine("ablate", "--resume", directory, "--json")
    assert (code, err) == (0, "")
    found = json.loads(text)
    assert list(found) == ["directory", "settings", "block_bars", "replicates", "rows"]
    kept = json.loads((directory / "ablation.json").read_text())
    assert {**kept, "directory": str(directory)} == found


def test_one_seed_has_no_spread_and_the_log_is_on_stderr(simengine, path, tmp_path):
    code, out, err = simengine("ablate", path, "--only", "9", "--seeds", "1", "--out", tmp_path / "runs")
    assert code == 0
    assert "Standard deviation" not in out
    assert "ablation of 6 cells; when killed: simengine ablate --resume " in err
    assert "1 of 1 trainings: base, seed 7, " in err
    assert "trainings" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a CONFIG, or --resume DIR, and not both"),
        (("CONFIG", "--resume", "DIR"), "give a CONFIG, or --resume DIR, and not both"),
        *(
            (
                ("--resume", "DIR", *more),
                "--resume continues the ablation as it was started; only --jobs can be given with it",
            )
            for more in (
                ("--set", "seed=1"),
                ("--seeds", "3"),
                ("--folds", "1"),
                ("--only", "9"),
                ("--decision", "argmax"),
                ("--quick",),
            )
        ),
        (("CONFIG", "--quick", "--folds", "2"), "--quick is one fold; leave out --folds or --quick"),
    ],
)
def test_what_does_not_go_together_is_refused(simengine, path, tmp_path, arguments, message):
    given = [{"CONFIG": path, "DIR": tmp_path}.get(argument, argument) for argument in arguments]
    code, out, err = simengine("ablate", *given, "--out", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ("--only", "12"),
            "simengine: ablate: there is no improvement 12; they are 1 to 10: 1 class-balanced",
        ),
        (("--only", "9", "--decision", "argmx"), "unknown decision 'argmx' (did you mean 'argmax'?)"),
        (
            ("--only", "9", "--folds", "4"),
            "simengine: ablate: 4 folds of a test share of 0.2 leave the first",
        ),
        (
            ("--only", "9", "--folds", "3", "--set", "split.until=0.8"),
            "simengine: ablate: fold 1 of 3: too few bars: ",
        ),
        (
            (),
            "simengine: ablate: 1 class-balanced batches: training.balancer: model 'hist_gradient_boosting'",
        ),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(simengine, path, tmp_path, more, message):
    code, out, err = simengine("ablate", path, *more, "--out", tmp_path / "runs", "-q")
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_no_ablation_is_one_line(simengine, tmp_path):
    code, _, err = simengine("ablate", "--resume", tmp_path)
    assert code == 2
    assert err == f"simengine: {tmp_path}: no ablation (ablate.yaml or plan.json is missing)\n"


def test_the_bar_shows_the_time_that_the_step_tells():
    """The display cannot know it: trainings take minutes and end two at a time."""
    bars = output._bars(logging.StreamHandler(io.StringIO()))
    bars.console.file, bars.console.width = io.StringIO(), 100
    progress = output._BarProgress(bars)
    progress.start("ablate", 4)
    shown = []
    for left in ("", "about 12 min left"):
        progress.advance(1, left=left)
        bars.console.print(bars.make_tasks_table(bars.tasks))
        shown.append(bars.console.file.getvalue().splitlines()[-1])
    assert "1/4" in shown[0]
    assert "-:--:--" in shown[0]
    assert "2/4 about 12 min left" in shown[1]
    assert "-:--:--" not in shown[1]


def figures(directory):
    return sorted(directory.glob("*/cells/*/*/figures.json"))


def wait_for_the_end_of_group(leader, seconds=30):
    """Wait until no process of a group is left, or fail."""
    until = time.monotonic() + seconds
    while True:
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return
        if time.monotonic() > until:
            os.killpg(leader, signal.SIGKILL)
            pytest.fail("processes of the killed ablation went on")
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_one_goes_on_with_what_it_had(simengine, path, tmp_path):
    """Killed without warning; its two workers end with it, and what is left is done in this process."""
    out = tmp_path / "runs"
    command = [
        sys.executable,
        "-m",
        "simengine",
        "ablate",
        path,
        "--only",
        "9",
        "--decision",
        "argmax",
        "--seeds",
        "3",
    ]
    with subprocess.Popen([*command, "--jobs", "2", "--out", out, "-q"], start_new_session=True) as process:
        until = time.monotonic() + 240
        while not figures(out) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        process.kill()
    wait_for_the_end_of_group(process.pid)
    (directory,) = out.iterdir()
    assert not (directory / "DONE").exists()
    finished = {file: file.stat().st_mtime_ns for file in figures(out)}
    assert 0 < len(finished) < 6

    code, text, _ = simengine("ablate", "--resume", directory, "--json")
    assert code == 0
    assert {file: file.stat().st_mtime_ns for file in finished} == finished
    assert len(figures(out)) == 6
    whole = api.ablate(path, seeds=3, improvements=(9,), decisions=("argmax",), out=tmp_path / "whole")
    assert without_seconds(json.loads(text)) == without_seconds(whole.to_dict())


def without_seconds(content):
    content = json.loads(json.dumps(content))
    del content["directory"]
    for row in content["rows"]:
        for part in (
            row["figures"],
            row["spread"],
            *(row[name]["figures"] for name in ("to_base", "to_same") if row[name]),
        ):
            del part["train_seconds"]
    return content
