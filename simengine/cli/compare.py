"""`simengine compare`: several runs, or several strategies of one run, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simengine.cli import output, summary
from simengine.cli.options import Json, Quiet


def command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories.", show_default=False)
    ],
    strategy: Annotated[
        list[str] | None, typer.Option("--strategy", help="Compare strategies of one run. Repeatable.")
    ] = None,
    allow_different: Annotated[
        bool, typer.Option("--allow-different", help="Compare although data or costs differ.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare runs over the intersection of their test times: classification beside PnL."""
    from simengine import api

    with output.reporting(quiet=quiet or as_json):
        result = api.compare(runs, strategies=strategy or (), allow_different=allow_different)
    if as_json:
        output.emit_json(result.to_dict())
    else:
        summary.print_comparison(result.to_dict())
