"""The command itself: gathers the verbs and turns every error into one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.main import get_command

from simengine.cli import (
    ablate,
    backtest,
    check,
    compare,
    data,
    explain,
    plugins,
    report,
    run,
    sweep,
    train,
    tune,
)
from simengine.errors import SimengineError, did_you_mean

# typer carries its own copy of click from 0.20 on; its public BadParameter leads to the base classes
# of whichever copy is in use.
_CLICK_EXCEPTION: type[Exception] = typer.BadParameter.__mro__[2]

EXIT_USAGE = 2
EXIT_INTERNAL = 3
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="simengine",
    help="Train a signal model, backtest it and judge it honestly; every part is a plugin chosen in YAML.",
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for verb in (run, train, backtest, sweep, tune, ablate, compare, explain, report, check):
    app.command(name=verb.__name__.rpartition(".")[2])(verb.command)
app.add_typer(plugins.app, name="plugins")
app.add_typer(data.app, name="data")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Train a signal model, backtest it and judge it honestly; every part is a plugin chosen in YAML."""
    if version:
        from simengine import __version__

        typer.echo(f"simengine {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def execute(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    0 ok, 1 a stated check failed, 2 usage / config / data / plugin error, 3 internal error, 130
    interrupted. Errors a user can act on are one line on stderr; only internal ones show a traceback.
    """
    # TensorFlow's C++ start-up notes would bury the log; a user who wants them sets the variable.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    command = get_command(app)
    try:
        code = command.main(list(arguments), prog_name="simengine", standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except _CLICK_EXCEPTION as error:
        return _fail(_usage_line(error), EXIT_USAGE)
    except typer.Abort:
        return _fail("interrupted", EXIT_INTERRUPTED)
    except SimengineError as error:
        return _fail(str(error), error.exit_code)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the outermost frame; a plugin may call sys.exit
        # typer turns the broken pipe of a reader that left (head, less) into sys.exit(1).
        if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        traceback.print_exc()
        return _fail(
            "internal error; the traceback above is a bug in simengine or in a plugin", EXIT_INTERNAL
        )
    if code == EXIT_INTERRUPTED:  # typer answers an interrupt with this code and no word
        return _fail("interrupted", EXIT_INTERRUPTED)
    return code if isinstance(code, int) else 0


def _usage_line(error: Any) -> str:  # noqa: ANN401 - a class of typer's private copy of click
    """Return a usage error as one line with the closest known name and where to read on."""
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "simengine"
    verbs = getattr(context.command, "commands", {}) if context else {}
    if verbs and message.startswith("No such command"):
        received = message.split("'")[1]
        message = f"unknown verb {received!r}{did_you_mean(received, verbs)}; known: {', '.join(verbs)}"
    return f"{message} (see: {path} --help)"


def _fail(message: str, code: int) -> int:
    typer.echo(f"simengine: {message}", err=True)
    return code
