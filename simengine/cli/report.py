"""`simengine report`: write the HTML report of a run again."""

from __future__ import annotations

from simengine.cli import output
from simengine.cli.options import Json, Quiet, RunPath


def command(run: RunPath, as_json: Json = False, quiet: Quiet = False) -> None:
    """Write report.html of a finished run again, from the files of the run alone."""
    from simengine import api

    with output.reporting(quiet=quiet or as_json):
        path = api.report(run)
    if as_json:
        output.emit_json({"report": str(path)})
    else:
        output.emit(str(path))
