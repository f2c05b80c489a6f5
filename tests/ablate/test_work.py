"""Trainings that are real ones: boosted trees on a short market."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from simengine import pipeline
from simengine.ablate import work
from simengine.ablate.measure import Spans, measure
from simengine.ablate.plan import plan
from simengine.ablate.units import FIGURES, cell_folder, is_done, run_folder, units_of
from simengine.ablate.work import OUTCOME, read_figures, read_outcome, run_unit, train_seconds
from simengine.config.load import load_config
from simengine.errors import RunError
from simengine.log import NoProgress
from simengine.plugin.check import check_config
from simengine.rundir import RunDir
from simengine.steps import thresholds

SMALL = {
    "data": {"source": {"type": "oracle_market", "market": "realistic", "symbols": 1, "bars": 2500}},
    "model": {"type": "hist_gradient_boosting", "lags": 1, "max_iter": 10},
    "inference": {"calibrator": None, "decision": "argmax"},
}


def units_with(registry, improvements, seeds=(7,), decisions=("prior_matched",)):
    base = check_config(load_config(SMALL), registry)
    cells = plan(base, registry, improvements=improvements, decisions=decisions)
    return units_of(base, registry, cells, seeds, [base.split.model_dump()])


@pytest.fixture(scope="module")
def done(simengine_registry, tmp_path_factory):
    """The units of three improvements, all of them run."""
    folder = tmp_path_factory.mktemp("ablation")
    units = units_with(simengine_registry, (6, 8, 9))
    for unit in units:
        run_unit(unit, simengine_registry, folder, NoProgress())
    return folder, units


@pytest.fixture
def copied(done, tmp_path):
    """A copy of them that may be damaged: the folder and the unit of the base."""
    folder, units = done
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy", units[0]


@pytest.fixture
def forbidden(monkeypatch):
    """Return a function that makes a call an error."""

    def forbid(where, name):
        def refuse(*args, **options):
            raise AssertionError(f"{name} was called")

        monkeypatch.setattr(where, name, refuse)

    return forbid


def cell_of(units, name):
    return next((unit, cell) for unit in units for cell in unit.cells if cell.name == name)


def test_cells_that_differ_after_training_share_one(simengine_registry):
    units = units_with(simengine_registry, (2, 6, 8, 9), seeds=(7, 8))
    assert [unit.stratum for unit in units] == [(7, 0)] * 4 + [(8, 0)] * 4
    for of_seed in (units[:4], units[4:]):
        assert [list(dict.fromkeys(cell.group for cell in unit.cells)) for unit in of_seed] == [
            ["base", "8 balanced test-time augmentation", "9 temperature scaling"],
            ["2 prediction-aware reweighting", "stage A"],
            ["6 label-threshold search"],
            ["all ten"],
        ]
    assert len({unit.key for unit in units}) == 8
    assert [unit.config.seed for unit in units] == [7] * 4 + [8] * 4
    assert [unit.title for unit in (units[0], replace(units[5], fold=1))] == [
        "base, seed 7",
        "2 prediction-aware reweighting, seed 8, fold 2",
    ]


def test_a_cell_has_its_own_config_whichever_cell_trains(simengine_registry):
    base = check_config(load_config(SMALL), simengine_registry)
    cells = plan(base, simengine_registry, improvements=(8, 9), decisions=())
    views, temperature = cells[1:3]
    (unit,) = units_of(base, simengine_registry, [views, temperature], [7], [base.split.model_dump()])
    assert len(unit.config.inference.tta) == 4
    assert unit.config.inference.calibrator is None
    own = unit.configs[temperature.name].inference
    assert [view.type for view in own.tta] == ["identity"]
    assert own.calibrator.type == "temperature"
    assert cell_folder(work.Path(), unit, views) != cell_folder(work.Path(), unit, temperature)


@pytest.mark.parametrize(
    "name",
    [
        "base",
        "8 balanced test-time augmentation",
        "9 temperature scaling + prior_matched",
        "6 label-threshold search + prior_matched",
    ],
)
def test_a_cell_has_the_figures_of_a_run_of_its_config(done, simengine_registry, tmp_path, name):
    folder, units = done
    unit, cell = cell_of(units, name)
    found = pipeline.run(unit.configs[name], simengine_registry, out=tmp_path).metrics
    kept = read_figures(folder, unit, cell)["metrics"]
    assert kept["classification"] == found["classification"]
    assert kept["backtest"]["net_return"] == found["backtest"]["net_return"]

    outcome = read_outcome(folder, unit, cell)
    means = measure([unit.stratum], [(outcome, 1.0)], Spans(24, 10, 0)).means()
    test = found["classification"]["test"]
    assert means["net_return"] == pytest.approx(found["backtest"]["net_return"], rel=1e-9)
    assert means["gross_return"] == pytest.approx(found["backtest"]["gross_return"], rel=1e-9)
    for metric in ("nll", "ece", "ace", "skill", "macro_f1"):
        assert means[metric] == pytest.approx(test[metric], rel=1e-9), metric
    assert [means[k] for k in ("sell", "hold", "buy")] == pytest.approx(test["decided_share"])
    assert [means[k] for k in ("raw_sell", "raw_hold", "raw_buy")] == pytest.approx(test["raw_argmax_share"])


def test_searched_labels_are_those_of_the_run_and_are_not_searched_again(done, simengine_registry, forbidden):
    folder, units = done
    unit, cell = cell_of(units, "6 label-threshold search")
    (run,) = run_folder(folder, unit).iterdir()
    best = thresholds.kept_search(RunDir(run))["best"]
    labeler = unit.config.labels.labeler.options
    assert any(best[name] != labeler[name] for name in best)

    before = read_outcome(folder, unit, cell)
    shutil.rmtree(cell_folder(folder, unit, cell))
    forbidden(thresholds, "optimise_labels")
    run_unit(unit, simengine_registry, folder, NoProgress())
    after = read_outcome(folder, unit, cell)
    for array in ("labels", "row_time", "log_proba", "net"):
        np.testing.assert_array_equal(getattr(before, array), getattr(after, array))
    base_unit, base = cell_of(units, "base")
    assert not np.array_equal(after.labels, read_outcome(folder, base_unit, base).labels)


def test_what_is_finished_is_not_done_again(copied, simengine_registry, forbidden):
    folder, unit = copied
    forbidden(work.pipeline, "run")
    lost = unit.cells[3]
    path = cell_folder(folder, unit, lost) / OUTCOME
    before = path.read_bytes()
    (path.parent / FIGURES).unlink()
    path.unlink()
    times = {cell.name: (cell_folder(folder, unit, cell) / OUTCOME) for cell in unit.cells if cell != lost}
    times = {name: kept.stat().st_mtime_ns for name, kept in times.items()}
    assert not is_done(folder, unit, lost)
    run_unit(unit, simengine_registry, folder, NoProgress())
    assert path.read_bytes() == before
    for cell in unit.cells:
        assert is_done(folder, unit, cell)
        if cell != lost:
            assert (cell_folder(folder, unit, cell) / OUTCOME).stat().st_mtime_ns == times[cell.name]
    forbidden(work, "_opened")
    run_unit(unit, simengine_registry, folder, NoProgress())


def test_cells_with_the_same_views_are_scored_once(copied, simengine_registry, monkeypatch):
    folder, unit = copied
    shutil.rmtree(folder / "cells" / unit.key)
    scored, real = [], work.infer.score_windows

    def counted(*arguments):
        scored.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(work.infer, "score_windows", counted)
    run_unit(unit, simengine_registry, folder, NoProgress())
    assert len(unit.cells) == 6
    assert len(scored) == 2 * 2  # val and test, with one view and with four


def test_damaged_files_are_one_line(copied):
    folder, unit = copied
    cell = unit.cells[0]
    where = cell_folder(folder, unit, cell)
    whole = (where / OUTCOME).read_bytes()
    flipped = whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 255]) + whole[len(whole) // 2 + 1 :]
    for damaged in (whole[:-100], whole[:100], b"", b"\0" * 500, flipped):
        (where / OUTCOME).write_bytes(damaged)
        with pytest.raises(RunError) as caught:
            read_outcome(folder, unit, cell)
        assert str(caught.value).startswith(f"{where / OUTCOME}: cannot be read (")
        assert str(caught.value).endswith("); delete its folder to compute it again")
        assert "\n" not in str(caught.value)
    (where / FIGURES).write_text('{"horizon_bars": 12, "train_seconds": 1}')
    with pytest.raises(
        RunError, match=r"figures\.json: data_sha256 missing; delete its folder to compute it"
    ):
        read_figures(folder, unit, cell)
    (where / FIGURES).write_text("{")
    with pytest.raises(RunError, match=r"no valid JSON .*; delete its folder to compute it again"):
        read_figures(folder, unit, cell)


def test_a_changed_run_is_not_used(copied, simengine_registry):
    folder, unit = copied
    shutil.rmtree(folder / "cells" / unit.key)
    (run,) = run_folder(folder, unit).iterdir()
    model = run / "model" / "model.json"
    model.write_bytes(model.read_bytes() + b" ")
    with pytest.raises(RunError) as caught:
        run_unit(unit, simengine_registry, folder, NoProgress())
    changed = "changed since the run was finished; restore it or run again"
    assert str(caught.value) == f"{model}: {changed}; delete {run} to train it again"


def test_changed_bars_are_noticed(copied, simengine_registry, monkeypatch):
    folder, unit = copied
    shutil.rmtree(folder / "cells" / unit.key)
    monkeypatch.setattr(work, "data_sha256", lambda bars: "other")
    with pytest.raises(RunError, match=r": the bars changed since it was trained; start a new ablation$"):
        run_unit(unit, simengine_registry, folder, NoProgress())


def stages(*rows):
    return "".join(
        json.dumps({"event": "stage", "stage": name, "seconds": seconds}) + "\n" for name, seconds in rows
    )


@pytest.mark.parametrize(
    ("log", "seconds"),
    [
        (stages(("prepare", 1.0), ("train", 30.0), ("predict", 2.0)), 30.0),
        # Killed after its training: the resumed run only loads the weights.
        (stages(("prepare", 1.0), ("train", 30.0), ("prepare", 1.0), ("train", 0.1)), 30.0),
        # Killed in its training: neither part is the time of the whole.
        (stages(("prepare", 1.0), ("prepare", 1.0), ("train", 12.0)), None),
        (stages(("prepare", 1.0)) + '{"event": "sta' + stages(("prepare", 1.0), ("train", 9.0)), 9.0),
    ],
)
def test_training_time_is_that_of_a_whole_training(tmp_path, log, seconds):
    (tmp_path / "log.jsonl").write_text(log)
    assert train_seconds(RunDir(tmp_path)) == seconds
