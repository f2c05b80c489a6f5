"""`simengine explain`: SHAP values per feature and per time step."""

from __future__ import annotations

from typing import Annotated

import typer

from simengine.cli import output, summary
from simengine.cli.options import Json, Quiet, RunPath


def command(
    run: RunPath,
    samples: Annotated[int, typer.Option(min=1, help="Test windows to explain.")] = 16,
    background: Annotated[
        int, typer.Option(min=1, help="Train windows that stand for 'feature absent'.")
    ] = 8,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Explain test windows with SHAP: what each feature and each bar of the window contributes."""
    from simengine import api

    with output.reporting(quiet=quiet or as_json) as progress:
        explanation = api.explain(run, samples=samples, background=background, progress=progress)
    if as_json:
        output.emit_json(explanation.to_dict())
    else:
        summary.print_explanation(explanation.to_dict())
        output.emit(f"\nwritten to {run / 'explain.json'} and {run / 'explain.html'}")
