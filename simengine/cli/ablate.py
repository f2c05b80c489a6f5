"""`simengine ablate`: which improvement helps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simengine.cli import output
from simengine.cli.options import Json, Out, Overrides, Quiet
from simengine.cli.output import emit, table

if TYPE_CHECKING:
    from simengine.ablate.ablation import Ablation


def command(
    config: Annotated[Path | None, typer.Argument(help="YAML config: the base.")] = None,
    overrides: Overrides = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Root seeds, from the config's on.")] = 3,
    folds: Annotated[int, typer.Option("--folds", min=1, help="Purged walk-forward folds.")] = 1,
    only: Annotated[
        list[int] | None, typer.Option("--only", help="This improvement (1 to 10) only. Repeatable.")
    ] = None,
    decisions: Annotated[
        list[str] | None,
        typer.Option("--decision", help="A rule to try every cell with, beside its own. Repeatable."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A small LSTM in place of the model, one fold.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Trainings at a time.")] = 1,
    out: Out = Path("runs"),
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on with this ablation after it was interrupted.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the base, each improvement alone, the stages and all ten, and say what each does."""
    from simengine import api

    if (config is None) == (resume is None):
        raise typer.BadParameter("give a CONFIG, or --resume DIR, and not both")
    if quick and folds > 1:
        raise typer.BadParameter("--quick is one fold; leave out --folds or --quick")
    with output.reporting(quiet=quiet or as_json) as progress:
        result = api.ablate(
            config,
            overrides=overrides or (),
            seeds=seeds,
            folds=folds,
            improvements=only,
            decisions=decisions,
            quick=quick,
            jobs=jobs,
            out=out,
            resume=resume,
            progress=progress,
        )
    if as_json:
        output.emit_json(result.to_dict())
    else:
        print_ablation(result)


def print_ablation(result: Ablation) -> None:
    """Print the table of all cells and a verdict for each."""
    from simengine.ablate.text import DIFFERENCES, difference_rows, figure_rows, verdict_rows

    asked = result.settings
    emit(
        f"Ablation: {len(result.rows)} cells, {asked.seeds} seeds, {asked.folds} folds; "
        f"intervals from blocks of {result.block} bars"
    )
    emit("\nFigures on test, means over seeds and folds")
    header, *body = figure_rows(result.rows)
    table(header, body)
    emit("\nDifferences to the base with 95 % intervals; (0) marks one that contains 0")
    for metrics in DIFFERENCES:
        header, *body = difference_rows(result.rows, metrics)
        table(header, body)
        emit()
    emit("Verdicts, at 5 % after correction for the number of cells (Holm)")
    for name, text in verdict_rows(result.rows):
        emit(f"  {name}: {text}")
    emit(f"\nwritten to {result.directory}")
