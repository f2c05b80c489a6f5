"""Logging and progress: the log goes to stderr and to ``log.jsonl``, progress to stderr alone."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Protocol

LOGGER_NAME = "simengine"
FIELDS = "fields"
"""Name of the ``extra`` that carries an event's structured fields."""


def get_logger(name: str = LOGGER_NAME) -> logging.Logger:
    """Return the logger of a module; all of them are children of ``simengine``, those of plugins too."""
    inside = name == LOGGER_NAME or name.startswith(f"{LOGGER_NAME}.")
    return logging.getLogger(name if inside else f"{LOGGER_NAME}.{name}")


def event(logger: logging.Logger, name: str, message: str, **fields: object) -> None:
    """Log one structured event: ``message`` for people, ``name`` and ``fields`` for ``log.jsonl``."""
    logger.info(message, extra={FIELDS: {"event": name, **fields}})


class JsonLinesHandler(logging.Handler):
    """Append every record to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.INFO)
        self._stream = path.open("a", encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record and flush, so that a killed run leaves a readable log."""
        fields = getattr(record, FIELDS, {})
        level = record.levelname.lower()
        self.write({"time": record.created, "level": level, "message": record.getMessage(), **fields})

    def write(self, row: dict[str, object]) -> None:
        """Append one object that is for the file alone."""
        self._stream.write(json.dumps(row, default=str) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()


class Progress(Protocol):
    """What long steps report to; the CLI draws it, the Python API ignores it by default."""

    def start(self, label: str, total: int) -> None:
        """Begin a task of ``total`` steps."""

    def advance(self, steps: int = 1, **info: object) -> None:
        """Report ``steps`` more done; ``info`` is shown beside the bar.

        A text ``left`` among it is the time that is left, where the step knows better than the display.
        """

    def stop(self) -> None:
        """End the task."""


class NoProgress:
    """A `Progress` that shows nothing."""

    def start(self, label: str, total: int) -> None:
        """Do nothing."""

    def advance(self, steps: int = 1, **info: object) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""
