"""`simengine run`: train, backtest, judge and report in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simengine.cli import output, summary
from simengine.cli.options import Json, Out, Overrides, Quiet


def command(
    config: Annotated[Path | None, typer.Argument(help="YAML config, for example config.yaml.")] = None,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Continue this killed run directory.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train the model, backtest it on the test span, judge both and write a report."""
    from simengine import api

    if (config is None) == (resume is None):
        raise typer.BadParameter("give a CONFIG, or --resume RUN, and not both")
    if resume is not None and overrides:
        raise typer.BadParameter("--resume continues the run as it was configured; --set cannot change it")
    with output.reporting(quiet=quiet or as_json) as progress:
        result = api.run(config, overrides=overrides or (), out=out, resume=resume, progress=progress)
    if as_json:
        output.emit_json({"run_dir": str(result.run_dir), "metrics": result.metrics})
    else:
        summary.print_run(result.metrics, result.run_dir)
