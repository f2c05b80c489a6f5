"""`simengine ablate`: which improvement helps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simengine.cli import output
from simengine.cli.options import Json, Out, Overrides, Quiet
from simengine.cli.output import emit, table

if TYPE_CHECKING:
    from simengine.ablate.store import Ablation


def command(
    config: Annotated[Path | None, typer.Argument(help="YAML config: the base.")] = None,
    overrides: Overrides = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Root seeds, from the config's on. [default: 3]")
    ] = None,
    folds: Annotated[
        int | None, typer.Option("--folds", min=1, help="Purged walk-forward folds. [default: 1]")
    ] = None,
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
    if resume is not None and (overrides or seeds or folds or only or decisions or quick):
        raise typer.BadParameter(
            "--resume continues the ablation as it was started; only --jobs can be given with it"
        )
    if quick and folds is not None and folds > 1:
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
    """Print the table of all cells, their differences to both bases, and a verdict for each improvement."""
    from simengine.ablate import text

    asked, rows = result.settings, result.rows
    own = rows[0].cell.decision
    emit(
        f"Ablation: {len(rows)} cells, {asked.seeds} seeds, {asked.folds} folds; intervals from blocks of "
        f"{result.block} bars"
    )
    for note in text.notes(rows):
        emit(f"  {note}")
    emit("\nFigures on test, means over seeds and folds")
    _table(text.figure_rows(rows, lambda row: row.figures))
    if asked.seeds > 1:
        emit("\nStandard deviation of the figures over seeds")
        _table(text.figure_rows(rows, lambda row: row.spread))
    for _, heading, comparison in text.COMPARISONS:
        if any(comparison(row) is not None for row in rows):
            emit(f"\n{heading.format(own=own)}")
            emit(
                f"95 % intervals, shares and returns in points; {text.ZERO} contains 0, {text.SURE} differs "
                "at 5 % after correction for the number of cells (Holm)"
            )
            for names in text.DIFFERENCES:
                _table(text.difference_rows(rows, names, comparison))
                emit()
    _print_verdicts(result)
    emit(f"\nwritten to {result.directory}")


def _print_verdicts(result: Ablation) -> None:
    from simengine.ablate.text import OTHER
    from simengine.ablate.verdict import verdicts

    base = result.rows[0].cell
    emit(f"Verdicts against the base, with decision {base.decision} unless another one is named")
    emit(f"  {base.group}")
    for verdict in verdicts(result.rows):
        if verdict.decision is None:
            emit(f"  {verdict.group}{f' {OTHER}' if verdict.other_labels else ''}: {verdict.text}")
        else:
            emit(f"      with {verdict.decision}: {verdict.text}")
    emit("Money is that of the simulated account on this test span; no profit is promised by it.")


def _table(rows: list[list[str]]) -> None:
    header, *body = rows
    table(header, body)
