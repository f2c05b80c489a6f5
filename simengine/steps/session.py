"""`Session`: the log, the clock and the lifecycle hooks around the steps of one run."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simengine.errors import SimengineError
from simengine.log import LOGGER_NAME, JsonLinesHandler, event, get_logger

if TYPE_CHECKING:
    from simengine.plugin.registry import Registry
    from simengine.rundir import RunDir

LOG = "log.jsonl"
DATA = "data.json"
"""Hash of the bars, written when a run is prepared."""

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """What surrounds the steps of a run.

    Parameters
    ----------
    registry : Registry
        Whose lifecycle hooks are told what happens.
    run_dir : RunDir
        Where the log goes.
    seconds : dict of str to float
        Wall time of every stage that has ended.
    """

    registry: Registry
    run_dir: RunDir
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def prepared(self) -> bool:
        """Whether the run has got as far as its data set."""
        return self.run_dir.has(DATA)

    @contextmanager
    def logged(self) -> Iterator[None]:
        """Write the log to ``log.jsonl`` while it lasts; tell log and plugins about an error."""
        root = logging.getLogger(LOGGER_NAME)
        handler = JsonLinesHandler(self.run_dir / LOG)
        level = root.level
        root.setLevel(logging.INFO)
        root.addHandler(handler)
        try:
            yield
        except BaseException as error:
            # For the file alone: whoever catches the error shows it to the user.
            handler.write({"time": time.time(), "level": "error", "event": "error", "message": repr(error)})
            self._tell(error)
            if isinstance(error, SimengineError) and not self.prepared:
                self.run_dir.discard()  # bad input: there is nothing in it to resume
            raise
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
            handler.close()

    def _tell(self, error: BaseException) -> None:
        """Tell the plugins about an error; one that fails at it must not hide the error itself."""
        try:
            self.registry.hook.simengine_run_error(error=error, run_dir=self.run_dir.path)
        except Exception as own:  # noqa: BLE001 - a plugin can raise anything
            logger.warning("a plugin failed in simengine_run_error: %r", own)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage and tell the plugins when it has ended."""
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started
        event(logger, "stage", f"{name}: {self.seconds[name]:.1f} s", stage=name, seconds=self.seconds[name])
        self.registry.hook.simengine_stage_end(stage=name, run_dir=self.run_dir.path)
