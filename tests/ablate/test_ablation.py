"""Whole ablations of boosted trees on a short market: interrupted, resumed, damaged."""

import json
import shutil

import pytest

from simengine import api
from simengine.ablate import ablation, schedule, store, work
from simengine.errors import ConfigError, DataError, RunError
from simengine.rundir import RunDir

ORACLE = {"type": "oracle_market", "symbols": 1, "bars": 2000}
SMALL = {
    "name": "small",
    "data": {"source": ORACLE},
    "model": {"type": "hist_gradient_boosting", "lags": 1, "max_iter": 4},
    "inference": {"calibrator": None, "decision": "argmax"},
}
ASKED = {"seeds": 3, "improvements": (9,), "decisions": ()}
FILES = [
    "DONE",
    "ablate.yaml",
    "ablation.csv",
    "ablation.html",
    "ablation.json",
    "cells",
    "plan.json",
    "runs",
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The config on a file of bars, which knows no exact classifier to wait for."""
    path = tmp_path_factory.mktemp("bars") / "bars.csv"
    api.data_make(path, symbols=1, bars=2000)
    return {**SMALL, "data": {"source": {"type": "csv", "path": str(path)}}}


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    """An ablation that nothing interrupted."""
    return api.ablate(base, **ASKED, out=tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copied(whole, tmp_path):
    """A copy of its directory without the marker of the end."""
    folder = tmp_path / whole.directory.name
    shutil.copytree(whole.directory, folder)
    (folder / "DONE").unlink()
    return folder


def table(directory):
    """The table without the seconds of trainings, which are never the same twice."""
    content = json.loads((directory / store.RESULT).read_text())
    for row in content["rows"]:
        for part in ("figures", "spread"):
            del row[part]["train_seconds"]
        for other in ("to_base", "to_same"):
            if row[other] is not None:
                del row[other]["figures"]["train_seconds"]
    return content


class Interruptions:
    """Ends the process, as Ctrl-C does, at the n-th call of a function; counts the calls."""

    def __init__(self, monkeypatch, where, name, at):
        self.calls, self.at, real = 0, at, getattr(where, name)

        def call(*args, **options):
            self.calls += 1
            if self.calls == self.at:
                raise KeyboardInterrupt
            return real(*args, **options)

        monkeypatch.setattr(where, name, call)


def test_what_an_ablation_leaves(whole):
    assert sorted(path.name for path in whole.directory.iterdir()) == FILES
    assert [row.cell.name for row in whole.rows] == ["base", "9 temperature scaling"]
    assert whole.rows[0].cell.also == ()
    assert whole.rows[1].cell.also == ("stage A", "stage B", "all ten")
    assert whole.block == 24
    runs = list((whole.directory / "runs").glob("*/*"))
    assert len(runs) == 3  # base and temperature share a training
    assert all((run / "DONE").is_file() and (run / "report.html").is_file() for run in runs)
    assert len(list((whole.directory / "cells").glob("*/*/figures.json"))) == 3 * 2
    assert "directory" not in json.loads((whole.directory / store.RESULT).read_text())
    assert whole.to_dict()["directory"] == str(whole.directory)


def test_a_finished_one_is_read(whole, monkeypatch):
    times = {path: path.stat().st_mtime_ns for path in whole.directory.rglob("*")}
    for name in ("plan", "units_of", "table_of"):
        monkeypatch.setattr(ablation, name, None)
    again = api.ablate(resume=whole.directory)
    assert json.dumps(again.to_dict()) == json.dumps(whole.to_dict())
    assert {path: path.stat().st_mtime_ns for path in whole.directory.rglob("*")} == times


def test_views_that_were_deleted_are_written_again(whole, tmp_path):
    folder = tmp_path / whole.directory.name
    shutil.copytree(whole.directory, folder)
    for name in (store.SHEET, store.PAGE):
        (folder / name).unlink()
    api.ablate(resume=folder)
    for name in (store.SHEET, store.PAGE):
        assert (folder / name).read_bytes() == (whole.directory / name).read_bytes()


@pytest.mark.parametrize(
    ("where", "name", "at", "left"),
    [
        (work.pipeline, "run", 3, 1),  # before the third training
        (work, "write_npz", 4, 2),  # between the cells of the second one
        (work.pipeline.judge, "judge_trading", 2, 2),  # in the second run, after its training
    ],
)
def test_an_interrupted_one_ends_in_the_same_bytes(base, whole, tmp_path, monkeypatch, where, name, at, left):
    with monkeypatch.context() as patch:
        Interruptions(patch, where, name, at)
        with pytest.raises(KeyboardInterrupt):
            api.ablate(base, **ASKED, out=tmp_path)
    (directory,) = tmp_path.iterdir()
    assert not (directory / "DONE").exists()
    cells = {path: path.stat().st_mtime_ns for path in directory.glob("cells/*/*/figures.json")}
    trained = {path: path.stat().st_mtime_ns for path in directory.glob("runs/*/*/model/model.json")}
    units = Interruptions(monkeypatch, schedule, "run_unit", None)
    api.ablate(resume=directory)
    assert units.calls == left
    assert len(list(directory.glob("runs/*/*"))) == 3
    for path, when in {**cells, **trained}.items():
        assert path.stat().st_mtime_ns == when, path
    assert table(directory) == table(whole.directory)
    assert sorted(path.name for path in directory.iterdir()) == FILES


def test_killed_while_it_wrote_its_table(whole, copied, monkeypatch):
    for name in (store.RESULT, store.SHEET, store.PAGE):
        (copied / name).unlink()
    (copied / f".{store.RESULT}.123.tmp").write_text("half a tab")
    monkeypatch.setattr(schedule, "run_unit", None)
    api.ablate(resume=copied)
    assert sorted(path.name for path in copied.iterdir()) == FILES
    for name in (store.RESULT, store.SHEET, store.PAGE):
        assert (copied / name).read_bytes() == (whole.directory / name).read_bytes(), name


def test_a_damaged_cell_is_one_line(copied):
    outcome = next(copied.glob("cells/*/*/outcome.npz"))
    outcome.write_bytes(outcome.read_bytes()[:500])
    with pytest.raises(
        RunError, match=r"outcome\.npz: cannot be read \(.*\); delete its folder to compute it"
    ):
        api.ablate(resume=copied)
    shutil.rmtree(outcome.parent)
    api.ablate(resume=copied)


def test_cells_of_other_bars_are_not_mixed(copied):
    figures = next(copied.glob("cells/*/*/figures.json"))
    content = json.loads(figures.read_text())
    figures.write_text(json.dumps({**content, "data_sha256": "another"}))
    with pytest.raises(RunError, match=r"the bars changed between its trainings; start a new ablation$"):
        api.ablate(resume=copied)


def test_a_damaged_directory_is_one_line(whole, copied):
    plan = copied / store.PLAN
    content = json.loads(plan.read_text())
    del content["splits"]
    plan.write_text(json.dumps(content))
    with pytest.raises(RunError) as caught:
        api.ablate(resume=copied)
    assert str(caught.value) == f"{plan}: made by another version of simengine, or damaged ('splits')"
    plan.unlink()
    with pytest.raises(RunError, match=r": no ablation \(ablate\.yaml or plan\.json is missing\)$"):
        api.ablate(resume=copied)
    shutil.copy(whole.directory / store.PLAN, plan)
    (copied / "DONE").touch()
    (copied / store.RESULT).write_text('{"rows": [{}]}')
    with pytest.raises(RunError, match=r"ablation\.json: damaged \('cell'\); delete it and DONE, and resume"):
        api.ablate(resume=copied)


def test_a_changed_config_is_noticed(copied):
    path = copied / store.CONFIG
    path.write_text(path.read_text().replace("max_iter: 4", "max_iter: 5"))
    with pytest.raises(RunError) as caught:
        api.ablate(resume=copied)
    assert str(caught.value) == (
        f"{copied}: ablate.yaml changed since the ablation was started; start a new one"
    )


def test_an_ablation_is_no_run(whole):
    with pytest.raises(RunError, match=r": no run directory \(config\.resolved\.yaml is missing\)$"):
        api.run(resume=whole.directory)


PLUGIN = """\
from simengine import Component, hookimpl


class Sharpen:
    def fit(self, log_proba, labels):
        return self

    def transform(self, log_proba):
        return 2.0 * log_proba


@hookimpl
def simengine_register_calibrators():
    return [Component("sharpen", Sharpen)]
"""


def test_a_changed_plugin_is_noticed(base, tmp_path):
    (tmp_path / "own.py").write_text(PLUGIN)
    text = json.dumps({**base, "plugins": ["own.py"], "inference": {"calibrator": "sharpen"}})
    (tmp_path / "base.yaml").write_text(text)
    found = api.ablate(
        tmp_path / "base.yaml", seeds=1, improvements=(9,), decisions=(), out=tmp_path / "runs"
    )
    assert [row.cell.name for row in found.rows] == ["base", "9 temperature scaling"]
    (found.directory / "DONE").unlink()
    api.ablate(resume=found.directory)
    (found.directory / "DONE").unlink()
    (tmp_path / "own.py").write_text(PLUGIN.replace("2.0", "3.0"))
    with pytest.raises(RunError) as caught:
        api.ablate(resume=found.directory)
    assert str(caught.value) == (
        f"{found.directory}: own.py changed since the ablation was started; start a new one"
    )
    (tmp_path / "own.py").unlink()
    with pytest.raises(RunError, match=r": a plugin of the ablation cannot be read: .*own\.py"):
        api.ablate(resume=found.directory)


@pytest.mark.parametrize(
    "more", [{"config": SMALL}, {"overrides": ["seed=1"]}, {"seeds": 3}, {"decisions": ()}, {"quick": True}]
)
def test_resume_takes_no_settings(whole, more):
    with pytest.raises(ConfigError, match=r"^resume: the ablation goes on as it was started; give no config"):
        api.ablate(resume=whole.directory, **more)


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"folds": 0}, {"jobs": 0}])
def test_numbers_below_1_are_refused(tmp_path, wrong):
    with pytest.raises(ConfigError, match=r"^ablate: seeds, folds and jobs must be 1 or more$"):
        api.ablate(SMALL, improvements=(9,), out=tmp_path, **wrong)


def test_what_a_model_cannot_do_is_said_before_anything_is_trained(tmp_path):
    with pytest.raises(ConfigError) as caught:
        api.ablate(SMALL, out=tmp_path / "runs")
    assert str(caught.value) == (
        "ablate: 1 class-balanced batches: training.balancer: model 'hist_gradient_boosting' does not use a "
        "balancer, received 'class_quota'; set it to natural or choose another model; or choose improvements "
        "with --only"
    )
    few = {**SMALL, "data": {"source": {**ORACLE, "bars": 400}}}
    with pytest.raises(DataError, match=r"^ablate: too few bars: "):
        api.ablate(few, improvements=(9,), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_failed_training_is_named(tmp_path, monkeypatch):
    def fail(*arguments):
        raise DataError("no bars today")

    monkeypatch.setattr(schedule, "run_unit", fail)
    with pytest.raises(RunError, match=r"^ablate: base, seed 7: no bars today$"):
        api.ablate(SMALL, **ASKED, out=tmp_path)


def test_temporary_files_of_a_kill_are_swept(copied):
    left = RunDir(copied) / ".x.1.tmp"
    left.write_text("")
    api.ablate(resume=copied)
    assert not left.exists()
