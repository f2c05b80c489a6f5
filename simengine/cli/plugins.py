"""`simengine plugins`: list, show and start components."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from simengine.cli import output
from simengine.cli.options import Json

app = typer.Typer(
    help="List components, show one, or start a new one.", rich_markup_mode=None, invoke_without_command=True
)

Config = Annotated[
    Path | None, typer.Option("--config", help="Also load the plugins that this config names.")
]


@app.callback()
def root(context: typer.Context, as_json: Json = False) -> None:
    """List components, show one, or start a new one; without a verb: list."""
    if context.invoked_subcommand is None:
        list_components(as_json=as_json)


@app.command("list")
def list_components(config: Config = None, as_json: Json = False) -> None:
    """List every component by kind, with the plugin that brings it."""
    from simengine import api

    listing = api.plugins(config)
    if as_json:
        output.emit_json(listing)
        return
    for kind, entry in listing.items():
        output.emit(f"{kind}  ({entry['where']})")
        output.rows([(c["name"], _line(c)) for c in entry["components"]])


def _line(component: dict[str, str]) -> str:
    builtin = component["plugin"].startswith(("simengine_plugins.", "simengine_strategies."))
    return component["summary"] if builtin else f"{component['summary']}  [{component['plugin']}]"


@app.command("show")
def show(kind: str, name: str, config: Config = None, as_json: Json = False) -> None:
    """Show one component: what it does and its options with types, defaults and units."""
    from simengine import api

    details = api.plugin(kind, name, config)
    if as_json:
        output.emit_json(details)
        return
    output.emit(f"{details['kind']}: {details['name']}   from {details['plugin']}\n")
    output.emit(details["doc"])
    output.emit("\noptions" if details["options"] else "\nno options")
    output.rows([(option["name"], _explained(option)) for option in details["options"]])


def _explained(option: dict[str, Any]) -> str:
    """Return type, default and description of an option; the default as a config would have it."""
    from simengine.config.strict_yaml import dump_inline

    default = "required" if option["required"] else f"default {dump_inline(option['default'])}"
    return f"{option['type']}, {default}: {option['description']}"


@app.command("new")
def new(
    kind: str,
    name: str,
    folder: Annotated[Path, typer.Option("--folder", help="Where to write.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write a working plugin file with its test, to start from."""
    from simengine import api

    plugin_file, test_file = api.new_plugin(kind, name, folder)
    if as_json:
        output.emit_json({"plugin": str(plugin_file), "test": str(test_file)})
    else:
        output.emit(f"wrote {plugin_file} and {test_file}")
        output.emit(f"select it: plugins: [{plugin_file}]   test it: pytest {test_file}")
