import os

import pytest

from simengine.ablate import schedule
from simengine.ablate.plan import Cell
from simengine.ablate.schedule import Clock, threads_of, work
from simengine.ablate.units import Unit
from simengine.config.load import load_config
from simengine.errors import CheckFailedError, MissingExtraError, RunError

BASE = load_config({})


def units(n):
    cell = Cell("base", (), "argmax")
    return [Unit(f"seed{seed}", (cell,), {"base": BASE}, seed, 0) for seed in range(n)]


class Told:
    """A progress that remembers."""

    def __init__(self):
        self.calls = []

    def start(self, label, total):
        self.calls.append(("start", label, total))

    def advance(self, steps=1, **info):
        self.calls.append((steps, info.get("left")))

    def stop(self):
        self.calls.append(("stop",))


def test_what_is_done_counts_and_is_not_run(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(schedule, "is_done", lambda folder, unit, cell: unit.seed in (0, 2))
    monkeypatch.setattr(schedule, "run_unit", lambda unit, *rest: ran.append(unit.seed))
    monkeypatch.setattr(schedule.time, "perf_counter", iter(range(0, 1000, 30)).__next__)
    told = Told()
    work(units(5), BASE, tmp_path, jobs=1, threads=None, progress=told)
    assert ran == [1, 3, 4]
    assert told.calls == [
        ("start", "ablate", 5),
        (2, None),
        (1, "about 60 s left"),
        (1, "about 30 s left"),
        (1, ""),
        ("stop",),
    ]


def test_nothing_left_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(schedule, "is_done", lambda *place: True)
    told = Told()
    work(units(2), BASE, tmp_path, jobs=2, threads=None, progress=told)
    assert told.calls == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MissingExtraError("optuna", "search", "bayesian"), RunError),
        (CheckFailedError("SELL"), CheckFailedError),
    ],
)
def test_a_failure_names_its_training(tmp_path, monkeypatch, error, kind):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(schedule, "is_done", lambda *place: False)
    monkeypatch.setattr(schedule, "run_unit", fail)
    told = Told()
    with pytest.raises(kind) as caught:
        work(units(2), BASE, tmp_path, jobs=1, threads=None, progress=told)
    assert type(caught.value) is kind
    assert str(caught.value) == f"ablate: base, seed 0: {error}"
    assert told.calls[-1] == ("stop",)


def test_the_clock_shares_what_is_left_among_the_jobs():
    clock = Clock(5, jobs=2)
    assert clock.ended(100.0) == "about 3 min left"  # four more, two at a time
    assert clock.ended(20.0) == "about 2 min left"  # three more: two rounds of 60 s
    assert clock.ended(60.0) == "about 60 s left"
    assert clock.ended(60.0) == "about 60 s left"
    assert clock.ended(60.0) == ""


def test_cores_are_shared_out(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert [threads_of(jobs) for jobs in (1, 2, 3, 16)] == [None, 4, 2, 1]


def test_a_training_gets_its_threads_unless_the_user_said_otherwise(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(schedule, "is_done", lambda *place: False)
    monkeypatch.setattr(
        schedule, "run_unit", lambda *rest: seen.append([os.environ.get(name) for name in schedule.THREADS])
    )
    for name in schedule.THREADS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    work(units(1), BASE, tmp_path, jobs=1, threads=None, progress=Told())
    monkeypatch.setenv(schedule.THREADS[0], "3")
    work(units(1), BASE, tmp_path, jobs=1, threads=1, progress=Told())
    assert seen == [[None, None], ["3", "1"]]
