"""`simengine tune`: search the labeler's options on train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simengine.cli import output
from simengine.cli.options import ConfigPath, Json, Out, Overrides, Quiet
from simengine.cli.output import emit, number, percent, rows, shares, signed_percent, table

if TYPE_CHECKING:
    from simengine.steps.tune import Tuned

_SHOWN: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "sell_share": ("SELL", percent),
    "hold_share": ("HOLD", percent),
    "buy_share": ("BUY", percent),
    "entropy": ("entropy", lambda value: number(value, 4)),
    "distance": ("distance", lambda value: number(value, 4)),
    "skill": ("skill", signed_percent),
    "net_return": ("net", signed_percent),
    "objective": ("objective", lambda value: number(value, 4)),
}


def command(
    config: ConfigPath,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    write: Annotated[
        bool,
        typer.Option("--write", help="Put the best options into the config file, which keeps its comments."),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search the labeler's options on train with labels.optimizer; trains no model."""
    from simengine import api
    from simengine.errors import CheckFailedError

    with output.reporting(quiet=quiet or as_json) as progress:
        result = api.tune(config, overrides=overrides or (), out=out, write=write, progress=progress)
    if as_json:
        output.emit_json(result.to_dict())
    else:
        print_tuned(result, config)
    if not result.usable:
        raise CheckFailedError(
            "labels: with the best options a class has under 1 % of the train labels and cannot be learnt: "
            "search other values with the option space of labels.optimizer"
            + ("; the config file is as it was" if write else "")
        )


def print_tuned(tuned: Tuned, config: Path) -> None:
    """Print the best options, their shares, and the best rows of the table."""
    search = tuned.search
    tried = len(search["table"]["objective"])
    name = search["optimizer"] if isinstance(search["optimizer"], str) else search["optimizer"]["type"]
    emit(f"Labels of {search['labeler']} on train: {tried:,} sets of options, by {name}")
    configured = search["configured"]
    rows([(key, _option(value, configured[key])) for key, value in search["best"].items()])
    rows(
        [
            ("labels", shares([search["shares"][name] for name in ("sell", "hold", "buy")])),
            ("objective", number(search["objective"], 4)),
        ]
    )
    top = tuned.top()
    emit(f"\nTop {len(top)}, each labeling once")
    names = [key for key in search["table"] if key in search["best"]]
    figures = [key for key in _SHOWN if key in search["table"]]
    table(
        ["  ", *names, *(_SHOWN[key][0] for key in figures)],
        [
            [
                f"  {place}",
                *(_text(row[key]) for key in names),
                *(_SHOWN[key][1](row[key]) for key in figures),
            ]
            for place, row in enumerate(top, start=1)
        ],
    )
    for note in search["notes"]:
        emit(f"note: {note}")
    if "skill" not in search["table"]:
        emit("balance alone is no reason to choose labels: it says nothing of skill or PnL")
    emit(f"\nwritten to {tuned.directory}")
    if tuned.written is not None:
        emit(f"{config}: labels.labeler has these options now; a labels.optimizer left there searches again")


def _option(value: Any, configured: Any) -> str:  # noqa: ANN401 - any option
    return f"{_text(value)}   ({'as' if value == configured else _text(configured)} configured)"


def _text(value: Any) -> str:  # noqa: ANN401
    return f"{value:.6g}" if isinstance(value, float) else str(value)
