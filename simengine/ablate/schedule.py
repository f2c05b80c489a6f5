"""The trainings of an ablation on several processes, and how long the rest of them takes."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from simengine.ablate.units import Unit, is_done
from simengine.ablate.work import run_unit
from simengine.errors import CheckFailedError, RunError, SimengineError
from simengine.log import NoProgress, Progress, event, get_logger
from simengine.plugin.manager import build_registry

if TYPE_CHECKING:
    from simengine.config.schema import Config

THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

logger = get_logger(__name__)


def threads_of(jobs: int) -> int | None:
    """Return the threads of one training among ``jobs``, None for what TensorFlow does by itself.

    Two trainings that both use every core hinder each other: they took 1.6 times as long as with one core
    each (two cores, 20,000 bars).
    """
    return None if jobs == 1 else max(1, (os.cpu_count() or 1) // jobs)


def work(
    units: Sequence[Unit],
    base: Config,
    directory: Path,
    *,
    jobs: int,
    threads: int | None,
    progress: Progress,
) -> None:
    """Run every unit that is not complete.

    Parameters
    ----------
    units : sequence of Unit
        What the ablation needs.
    base : Config
        Whose plugins are loaded in every process.
    directory : Path
        Of the ablation.
    jobs : int
        Trainings at a time.
    threads : int, optional
        Of each training.
    progress : Progress
        Told about every training that ended, with the time that is left.

    Raises
    ------
    SimengineError
        Of the first training that failed, named; the others are left as they are, to be resumed.
    """
    from joblib import Parallel, delayed

    left = [unit for unit in units if not all(is_done(directory, unit, cell) for cell in unit.cells)]
    done = len(units) - len(left)
    event(logger, "ablate", f"{len(units)} trainings" + (f", {done} of them done before" if done else ""))
    if not left:
        return
    progress.start("ablate", len(units))
    try:
        progress.advance(done)
        parallel = Parallel(n_jobs=min(jobs, len(left)), return_as="generator_unordered")
        clock = Clock(len(left), jobs)
        calls = (delayed(_one)(unit, base, directory, threads, os.getpid()) for unit in left)
        for title, seconds in parallel(calls):
            done += 1
            rest = clock.ended(seconds)
            event(
                logger,
                "unit",
                f"{done} of {len(units)} trainings: {title}, {duration(seconds)}"
                + (f"; {rest}" if rest else ""),
                unit=title,
                seconds=seconds,
            )
            progress.advance(1, left=rest)
    finally:
        progress.stop()


class Clock:
    """Tells the time that trainings will take from those that have ended.

    Parameters
    ----------
    trainings : int
        That are to be done.
    jobs : int
        At a time.
    """

    def __init__(self, trainings: int, jobs: int) -> None:
        self._left = trainings
        self._jobs = jobs
        self._seconds: list[float] = []

    def ended(self, seconds: float) -> str:
        """Note the seconds of a training that ended, and say how long the rest takes; empty when that is all.

        Trainings that run at the moment count as if they had just begun, so that it tells too much rather
        than too little.
        """
        self._seconds.append(seconds)
        self._left -= 1
        if not self._left:
            return ""
        mean = sum(self._seconds) / len(self._seconds)
        return f"about {duration(mean * math.ceil(self._left / self._jobs))} left"


def duration(seconds: float) -> str:
    """Return a time for people.

    >>> duration(42), duration(600), duration(7500)
    ('42 s', '10 min', '2 h 05 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


@cache
def _end_with_parent() -> None:
    """End this process when the one that started it is gone.

    It would otherwise train on for nobody, in the directories of the ablation that is resumed meanwhile.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _one(unit: Unit, base: Config, directory: Path, threads: int | None, owner: int) -> tuple[str, float]:
    """Run one unit, in a process of its own unless there is one job; return its title and its seconds."""
    if os.getpid() != owner:
        _end_with_parent()
    if threads is not None:
        for name in THREADS:  # read by TensorFlow when it is first imported, which is later
            os.environ.setdefault(name, str(threads))
    began = time.perf_counter()
    try:
        run_unit(unit, build_registry(base.plugins, base.base_dir), directory, NoProgress())
    except SimengineError as error:
        # Not every error can be sent from one process to another as it is.
        kind = CheckFailedError if isinstance(error, CheckFailedError) else RunError
        raise kind(f"ablate: {unit.title}: {error}") from None
    return unit.title, time.perf_counter() - began
