"""`simengine check`: whether the config is right and its bars carry usable labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simengine.cli import output, summary
from simengine.cli.options import Json, Overrides, Quiet


def command(
    config: Annotated[
        Path | None, typer.Argument(help="YAML config, for example config.yaml; --schema works without.")
    ] = None,
    overrides: Overrides = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Print the config with every default.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of the config file.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check config, plugins, data and labels without training; imports no TensorFlow."""
    from simengine import api

    if resolved and schema:
        raise typer.BadParameter("--resolved and --schema print different things; choose one")
    if schema:
        output.emit_json(api.schema(config, overrides=overrides or ()))
        return
    if config is None:
        raise typer.BadParameter("give a CONFIG, for example config.yaml; only --schema works without one")
    if resolved:
        text, values = api.resolved(config, overrides=overrides or ())
        if as_json:
            output.emit_json(values)
        else:
            typer.echo(text, nl=False)
    else:
        with output.reporting(quiet=quiet or as_json):
            report = api.check(config, overrides=overrides or ())
        if as_json:
            output.emit_json(report)
        else:
            summary.print_check(report)
