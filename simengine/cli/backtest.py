"""`simengine backtest`: trade a trained run again, without retraining."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simengine.cli import output, summary
from simengine.cli.options import Json, Overrides, Quiet, RunPath

if TYPE_CHECKING:
    from simengine.rerun import Retraded


def command(
    run: RunPath,
    overrides: Overrides = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Trade these bars (csv or parquet) instead of the test span."),
    ] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", help="Another strategy, by name.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write trades, equity and metrics here.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Backtest a trained run on its test span, or on any bars, without retraining.

    --set may change data, strategy and backtest; what was trained stays as it is.
    """
    from simengine import api

    with output.reporting(quiet=quiet or as_json):
        result = api.backtest(run, overrides=overrides or (), data=data, strategy=strategy, out=out)
    if as_json:
        output.emit_json(result.to_dict())
        return
    if "classification" in result.metrics:
        summary.print_classification(result.metrics, "bars")
        output.emit()
    summary.print_backtest(result.metrics, _heading(result))
    if result.in_sample:
        output.emit(
            "\nin-sample: these bars overlap the run's train or validation span; the figures flatter it"
        )


def _heading(result: Retraded) -> str:
    """Return what was traded: symbols, span, and whether the model had seen it."""
    symbols = ", ".join(result.trading.bars)
    first, last = result.span
    mark = ", IN-SAMPLE" if result.in_sample else ""
    name = "the test span" if result.segment == "test" else "all bars"
    return f"{name} of {symbols}, {first} to {last}{mark}"
