"""`simengine train`: everything up to the fitted decision rule, without a backtest."""

from __future__ import annotations

from pathlib import Path

from simengine.cli import output, summary
from simengine.cli.options import ConfigPath, Json, Out, Overrides, Quiet


def command(
    config: ConfigPath,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train the model and fit calibrator and decision; `simengine backtest RUN` trades it later."""
    from simengine import api

    with output.reporting(quiet=quiet or as_json) as progress:
        result = api.train(config, overrides=overrides or (), out=out, progress=progress)
    if as_json:
        output.emit_json({"run_dir": str(result.run_dir), "metrics": result.metrics})
    else:
        summary.print_run(result.metrics, result.run_dir)
