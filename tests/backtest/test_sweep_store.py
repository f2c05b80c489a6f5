"""Sweeps survive: killed, damaged or resumed, the table has the same bytes."""

import importlib
import json
import logging
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from simengine.backtest.sweep_store import SweepStore
from simengine.backtest.sweeping import sweep
from simengine.errors import RunError

GRID = {"thresholds": np.arange(40) / 100 + 0.3, "stop_losses": [None, 0.02, 0.05, 0.1, 0.2]}  # 200: 4 chunks
OPTIONS = {"fee_bps": 5.0, "cash": 10_000.0}
FILES = ("sweep.json", "table.csv", "overfitting.json")

SCRIPT = """
import os, signal, sys
import numpy as np
from simengine.backtest.sweeping import sweep
from simengine.log import NoProgress
from simengine.types import Bars

class PowerCut(NoProgress):
    done = 0
    def advance(self, steps=1, **info):
        self.done += 1
        if self.done == 2:
            os.kill(os.getpid(), signal.SIGKILL)

folder, jobs, data = sys.argv[1], int(sys.argv[2]), np.load(sys.argv[3])
bars = Bars("X", *(data[name] for name in ("timestamp", "open", "high", "low", "close", "volume")))
grid = {"thresholds": np.arange(40) / 100 + 0.3, "stop_losses": [None, 0.02, 0.05, 0.1, 0.2]}
options = {"fee_bps": 5.0, "cash": 10_000.0, "directory": folder, "jobs": jobs}
sweep(bars, data["proba"], **grid, **options, progress=PowerCut())
"""


@pytest.fixture(scope="module")
def market(random_bars):
    return random_bars(7, 300), np.random.default_rng(7).dirichlet([2, 2, 2], 300)


@pytest.fixture(scope="module")
def whole(market, tmp_path_factory):
    """The directory of an uninterrupted sweep."""
    folder = tmp_path_factory.mktemp("sweeps") / "whole"
    sweep(*market, **GRID, **OPTIONS, directory=folder)
    return folder


@pytest.fixture
def torn(whole, tmp_path):
    """A sweep that was killed before its third chunk."""
    folder = shutil.copytree(whole, tmp_path / "torn")
    for name in ("chunks/00002.npz", "table.csv", "overfitting.json", "DONE"):
        (folder / name).unlink()
    return folder


def same(folder, other):
    names = [path.relative_to(other).as_posix() for path in sorted(other.rglob("*")) if path.is_file()]
    assert names == [
        path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    return all((folder / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_a_directory_holds_what_is_documented(whole):
    found = {path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()}
    assert found == {*FILES, "DONE", *(f"chunks/{k:05d}.npz" for k in range(4))}
    assert (whole / "table.csv").read_text().count("\n") == 201
    assert json.loads((whole / "sweep.json").read_text())["variants"]["n"] == 200
    assert json.loads((whole / "overfitting.json").read_text())["trials"] == 200


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_sweep_ends_in_the_bytes_of_an_uninterrupted_one(market, whole, tmp_path, jobs):
    bars, proba = market
    np.savez(tmp_path / "data.npz", timestamp=bars.timestamp, proba=proba, **dict(bars.columns()))
    folder = tmp_path / "killed"
    arguments = [str(folder), str(jobs), str(tmp_path / "data.npz")]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], check=False)
    assert done.returncode == -signal.SIGKILL
    assert 2 <= len(list((folder / "chunks").glob("*.npz"))) <= 4
    assert not (folder / "DONE").exists()
    sweep(*market, **GRID, **OPTIONS, directory=folder, resume=True, jobs=jobs)
    assert same(folder, whole)


def test_finished_chunks_are_not_simulated_again(market, whole, torn, monkeypatch):
    module = importlib.import_module("simengine.backtest.sweeping")
    sizes = []
    real = module.run_variants
    monkeypatch.setattr(
        module, "run_variants", lambda task, rows: sizes.append(len(rows)) or real(task, rows)
    )
    result = sweep(*market, **GRID, **OPTIONS, directory=torn, resume=True)
    assert sizes == [64]
    assert same(torn, whole)
    assert result.to_csv() == sweep(*market, **GRID, **OPTIONS).to_csv()


def test_a_finished_sweep_is_read_again(market, whole, tmp_path, monkeypatch):
    folder = shutil.copytree(whole, tmp_path / "copy")
    monkeypatch.setattr(importlib.import_module("simengine.backtest.sweeping"), "run_variants", None)
    assert sweep(*market, **GRID, **OPTIONS, directory=folder, resume=True).to_csv() == (
        (whole / "table.csv").read_text()
    )
    assert same(folder, whole)


@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "swap"])
def test_a_damaged_chunk_is_simulated_again_and_the_log_says_so(market, whole, torn, caplog, damage):
    path = torn / "chunks" / "00001.npz"
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "flip":
        path.write_bytes(data[:500] + bytes([data[500] ^ 1]) + data[501:])
    else:
        shutil.copy(torn / "chunks" / "00000.npz", path)
    with caplog.at_level(logging.WARNING, "simengine"):
        sweep(*market, **GRID, **OPTIONS, directory=torn, resume=True)
    [record] = caplog.records
    assert record.getMessage().startswith(f"{path}: cannot be used (")
    assert record.getMessage().endswith("; its variants are simulated again")
    assert record.fields == {"event": "chunk_recomputed", "chunk": 1}
    assert same(torn, whole)


def test_no_flipped_byte_of_a_chunk_is_believed(whole, tmp_path, caplog):
    identity = json.loads((whole / "sweep.json").read_text())
    store = SweepStore.open(shutil.copytree(whole, tmp_path / "copy"), identity, resume=True)
    path = store.path / "chunks" / "00003.npz"
    data = path.read_bytes()
    good = store.load(3, 8)
    assert good is not None
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        found = store.load(3, 8)
        assert found is None or all(np.array_equal(a, b) for a, b in zip(found, good, strict=True))
    caplog.clear()


def test_what_a_killed_write_leaves_behind_is_removed(market, whole, torn):
    (torn / "chunks" / ".00002.npz.123.tmp").write_bytes(b"torn")
    sweep(*market, **GRID, **OPTIONS, directory=torn, resume=True)
    assert same(torn, whole)


def test_an_interrupt_leaves_a_sweep_that_can_go_on(market, whole, tmp_path):
    class Impatient:
        def start(self, label, total):
            assert (label, total) == ("sweep", 200)

        def advance(self, steps=1, **info):
            raise KeyboardInterrupt

        def stop(self):
            self.stopped = True

    progress = Impatient()
    with pytest.raises(KeyboardInterrupt):
        sweep(*market, **GRID, **OPTIONS, directory=tmp_path / "x", progress=progress, jobs=2)
    assert progress.stopped
    sweep(*market, **GRID, **OPTIONS, directory=tmp_path / "x", resume=True)
    assert same(tmp_path / "x", whole)


def test_a_folder_with_something_in_it_is_not_touched(market, whole):
    with pytest.raises(RunError) as caught:
        sweep(*market, **GRID, **OPTIONS, directory=whole)
    assert str(caught.value) == (
        f"{whole}: is not empty; choose a new folder, or continue the sweep in it with resume"
    )


def test_a_folder_without_a_sweep_cannot_go_on(market, tmp_path):
    with pytest.raises(RunError) as caught:
        sweep(*market, **GRID, **OPTIONS, directory=tmp_path, resume=True)
    assert str(caught.value) == (
        f"{tmp_path}: no sweep directory (sweep.json is missing); start it without resume"
    )


def test_bad_input_leaves_no_folder(market, tmp_path):
    with pytest.raises(Exception, match="cash"):
        sweep(*market, **GRID, cash=-1.0, directory=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def other_bars(bars, proba):
    return bars.slice(0, len(bars) - 1), proba[:-1]


def test_another_sweep_is_refused_naming_what_differs(market, torn):
    bars, proba = market

    def refusal(bars, proba, **changed):
        with pytest.raises(RunError) as caught:
            sweep(bars, proba, **{**GRID, **OPTIONS, **changed}, directory=torn, resume=True)
        start, end = (
            f"{torn}: was started as another sweep: ",
            ("; give it what it was started with, or start a new one"),
        )
        text = str(caught.value)
        assert text.startswith(start)
        assert text.endswith(end)
        return text.removeprefix(start).removesuffix(end)

    assert refusal(bars, proba, cash=5.0) == "options.cash was 10000.0, is 5.0"
    assert refusal(bars, proba[::-1]) == "other probabilities"
    assert refusal(bars, proba, stop_losses=[None]) == "other variants"
    assert refusal(bars, proba, chunk=128) == "chunk was 64, is 128"
    assert refusal(bars, proba, on_hold="flat") == 'on_hold was "keep", is "flat"'
    assert refusal(bars, proba, fee_bps=4.0) == "options.fees.tiers was [[0.0, 0.0005]], is [[0.0, 0.0004]]"
    assert "other bars; other probabilities" in refusal(*other_bars(bars, proba))
    assert not (torn / "DONE").exists()


def test_the_same_option_in_other_letters_is_the_same_sweep(market, whole, torn, caplog):
    sweep(*market, **{**GRID, **OPTIONS, "cash": 10_000}, directory=torn, resume=True)
    assert same(torn, whole)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_the_chunk_size_is_remembered(market, tmp_path):
    sweep(*market, **GRID, **OPTIONS, directory=tmp_path / "x", chunk=128)
    (tmp_path / "x" / "DONE").unlink()
    sweep(*market, **GRID, **OPTIONS, directory=tmp_path / "x", resume=True)
    assert len(list((tmp_path / "x" / "chunks").iterdir())) == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"chunk": "64"}', '{"chunk": 64, "options": 3}'])
def test_a_damaged_description_is_one_line(market, torn, text):
    (torn / "sweep.json").write_text(text)
    with pytest.raises(RunError) as caught:
        sweep(*market, **GRID, **OPTIONS, directory=torn, resume=True)
    assert str(caught.value).startswith(str(torn))
    assert "\n" not in str(caught.value)
