"""`simengine sweep`: many variants of a threshold rule on one trained run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simengine.cli import output
from simengine.cli.options import Json, Out, Overrides, Quiet
from simengine.cli.output import emit, number, percent, rows, signed_percent, table

if TYPE_CHECKING:
    from simengine.steps.sweep import Swept


def command(
    config: Annotated[
        Path | None,
        typer.Argument(help="YAML config, which is trained first, or a finished run directory."),
    ] = None,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Threads.")] = 1,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", help="Continue this killed sweep (RUN/sweep, or RUN if it was in training)."
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try every variant of the config's sweep section: choose on val, report the chosen one on test.

    On a run directory --set may change sweep and backtest; nothing is trained then.
    """
    from simengine import api

    if (config is None) == (resume is None):
        raise typer.BadParameter("give a CONFIG or a RUN, or --resume SWEEP, and not both")
    if resume is not None and overrides:
        raise typer.BadParameter("--resume continues the sweep as it was configured; --set cannot change it")
    with output.reporting(quiet=quiet or as_json) as progress:
        result = api.sweep(
            config, overrides=overrides or (), out=out, jobs=jobs, resume=resume, progress=progress
        )
    if as_json:
        output.emit_json(result.to_dict())
    else:
        print_sweep(result)


def print_sweep(swept: Swept) -> None:
    """Print the best variants on val, what choosing among them is worth, and the chosen one on test."""
    from simengine.backtest.sweep_result import table_lines

    val = swept.val
    first, last = val.times
    emit(f"Sweep of {len(val):,} variants of {', '.join(val.symbols)} ({val.fill_convention} fills)")
    top = val.top()
    emit(f"\nTop {len(top)} by Sharpe ratio on val, {first} to {last}: chosen on, IN-SAMPLE")
    for text in table_lines(top):
        emit(text)
    emit("\nWhat the choice is worth")
    rows(list(val.overfitting_rows().items()))
    emit(f"  {val.verdict}")
    if swept.chosen is not None and swept.test is not None:
        emit()
        _print_chosen(swept.chosen, swept.test)
    if swept.earlier:
        times = "once" if swept.earlier == 1 else f"{swept.earlier} times"
        emit(f"\nthe test span of this run was looked at {times} before: the more often, the less it proves")
    emit(f"\nwritten to {swept.directory}")


def _print_chosen(chosen: dict[str, Any], test: dict[str, Any]) -> None:
    from simengine.backtest.variants import FIELDS

    off = [f"{name.replace('_', ' ')} {'off' if chosen[name] is None else chosen[name]}" for name in FIELDS]
    emit(f"Chosen: row {chosen['row']}, {', '.join(off)}")
    shown: dict[str, tuple[str, Callable[[float | None], str]]] = {
        "net return": ("net_return", signed_percent),
        "sharpe": ("sharpe", lambda value: number(value, 2)),
        "sortino": ("sortino", lambda value: number(value, 2)),
        "max drawdown": ("max_drawdown", percent),
        "trades": ("trades", lambda value: number(value, 0)),
        "win rate": ("win_rate", percent),
        "fees": ("fees", _money),
        "exposure": ("exposure", percent),
    }
    body = [
        [f"  {label}", *(show(_known(figures[name])) for figures in (chosen, test))]
        for label, (name, show) in shown.items()
    ]
    table(["  ", "val (chosen on)", "test"], body)
    emit(f"  test: {test['span'][0]} to {test['span'][1]}, this one variant only")


def _money(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"


def _known(value: float) -> float | None:
    return None if value != value else value
