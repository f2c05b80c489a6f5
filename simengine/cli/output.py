"""What the verbs print: results on stdout, log and progress on stderr."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import typer

from simengine.log import LOGGER_NAME, NoProgress, Progress
from simengine.rundir import to_json

if TYPE_CHECKING:
    from rich.progress import Progress as RichBars


def emit_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print one JSON object."""
    typer.echo(to_json(value), nl=False)


def emit(text: str = "") -> None:
    """Print one line of the result."""
    typer.echo(text)


def percent(value: float | None, digits: int = 1) -> str:
    """Return a fraction as a percentage, a dash for a missing value."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def signed_percent(value: float | None, digits: int = 2) -> str:
    """Return a fraction as a signed percentage, a dash for a missing value."""
    return "–" if value is None else f"{100 * value:+.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number, a dash for a missing value."""
    return "–" if value is None else f"{value:.{digits}f}"


def shares(values: Sequence[float] | None) -> str:
    """Return three class shares as ``SELL 28.3  HOLD 33.9  BUY 37.8 %``."""
    if values is None:
        return "–"
    sell, hold, buy = (100 * value for value in values)
    return f"SELL {sell:5.1f}   HOLD {hold:5.1f}   BUY {buy:5.1f}  %"


def words(value: object) -> str:
    """Return a figure, a list, or counts by name as a reader expects them in a line."""
    if isinstance(value, Mapping):
        value = [
            f"{name}: {words(item)}" if isinstance(item, Mapping) else f"{name} {item}"
            for name, item in value.items()
        ]
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def rows(pairs: Sequence[tuple[str, str]], indent: int = 2) -> None:
    """Print aligned label / value rows."""
    width = max((len(label) for label, _ in pairs), default=0)
    for label, value in pairs:
        typer.echo(f"{' ' * indent}{label:<{width}}  {value}")


def table(header: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    """Print a plain table: the first column to the left, numbers to the right."""
    widths = [max(len(line[k]) for line in [header, *body]) for k in range(len(header))]
    for line in [header, *body]:
        cells = [
            f"{cell:<{w}}" if k == 0 else f"{cell:>{w}}"
            for k, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())


class _BarProgress:
    """A `Progress` drawn by rich on stderr."""

    def __init__(self, bars: RichBars) -> None:
        self._bars = bars
        self._task: Any = None

    def start(self, label: str, total: int) -> None:
        self.stop()
        self._task = self._bars.add_task(label, total=total, info="", left="")

    def advance(self, steps: int = 1, **info: object) -> None:
        if self._task is not None:
            left = info.pop("left", "")
            text = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in info.items())
            self._bars.update(self._task, advance=steps, info=text, left=left)

    def stop(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


@contextmanager
def reporting(*, quiet: bool) -> Iterator[Progress]:
    """Show the log, and progress with ETA when stderr is a terminal, for the length of a verb.

    Whatever a plugin prints meanwhile goes to stderr: stdout is for the result alone.
    """
    with redirect_stdout(sys.stderr), _reporting(quiet=quiet) as progress:
        yield progress


@contextmanager
def _reporting(*, quiet: bool) -> Iterator[Progress]:
    if quiet:
        yield NoProgress()
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger(LOGGER_NAME)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        if not sys.stderr.isatty():
            yield NoProgress()
            return
        with _bars(handler) as bars:
            yield _BarProgress(bars)
    finally:
        logger.removeHandler(handler)


def _bars(handler: logging.StreamHandler[Any]) -> RichBars:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Task, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichBars
    from rich.text import Text

    class Left(TimeRemainingColumn):
        """The time left as the step itself tells it, else rich's estimate of quick equal steps."""

        def render(self, task: Task) -> Text:
            told = task.fields["left"]
            return Text(told, style="progress.remaining") if told else super().render(task)

    console = Console(stderr=True, no_color="NO_COLOR" in os.environ or None)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Left(),
        TextColumn("{task.fields[info]}"),
    )
    # rich redirects sys.stderr while bars are shown; the log must go through it to stay above them.
    bars = RichBars(*columns, console=console, transient=True)
    handler.setStream(_Through(bars))
    return bars


class _Through:
    """A text stream that prints above the progress bars."""

    def __init__(self, bars: RichBars) -> None:
        self._bars = bars

    def write(self, text: str) -> None:
        if text.strip():
            self._bars.console.print(text.rstrip("\n"), markup=False, highlight=False)

    def flush(self) -> None:
        """Nothing is buffered here."""
