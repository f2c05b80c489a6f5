"""`simengine data`: look at a file of bars, or make one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simengine.cli import output
from simengine.cli.options import Json

app = typer.Typer(help="Check a file of bars, or make one.", rich_markup_mode=None)


@app.command("check")
def check(path: Annotated[Path, typer.Argument(metavar="FILE")], as_json: Json = False) -> None:
    """Validate a csv or parquet file and say what is in it: gaps, repairs, ignored columns."""
    from simengine import api

    report = api.data_check(path)
    if as_json:
        output.emit_json(report)
        return
    for symbol in report["symbols"]:
        output.emit(symbol["symbol"])
        output.rows([(name, output.words(value)) for name, value in symbol.items() if name != "symbol"])


@app.command("make")
def make(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="Ends in .csv or .parquet; never overwritten.")
    ],
    market: Annotated[str, typer.Option(help="easy, medium, realistic or null.")] = "realistic",
    symbols: Annotated[int, typer.Option(min=1)] = 2,
    bars: Annotated[int, typer.Option(min=1, help="Per symbol.")] = 30_000,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    as_json: Json = False,
) -> None:
    """Write bars of the oracle market to a file."""
    from simengine import api

    report = api.data_make(path, market=market, symbols=symbols, bars=bars, seed=seed)
    if as_json:
        output.emit_json(report)
    else:
        output.emit(f"wrote {report['rows']} bars of {report['symbols']} symbols to {report['path']}")
