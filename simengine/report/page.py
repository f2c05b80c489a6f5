"""The report page: one HTML file that asks for nothing outside itself."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simengine.report import details, probabilities, summary
from simengine.report.files import RunFiles, read_run
from simengine.report.format import FILTERS
from simengine.rundir import plain, write_text_atomic

if TYPE_CHECKING:
    import jinja2

REPORT = "report.html"
EXPLANATION = "explain.html"


def write_report(run_dir: Path | str) -> Path:
    """Write ``report.html`` into a run directory, from the run's files alone.

    The page embeds its styles, scripts and data, forbids every request by its content security policy
    and opens from disk. Equal files give equal bytes.

    Parameters
    ----------
    run_dir : Path or str
        A run directory; it may still lack its ``DONE`` marker.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    RunError
        When a file of the run is missing or cannot be read.
    """
    run = read_run(run_dir)
    path = run.path / REPORT
    write_text_atomic(path, render(run))
    return path


def render(run: RunFiles) -> str:
    """Return the report of a run as HTML."""
    headings, rows = summary.classification_table(run)
    pnl_headings, pnl_rows = summary.pnl_table(run)
    fill_headings, fill_rows = summary.sensitivity_table(run)
    stage_headings, stage_rows = probabilities.stages_table(run)
    tilt_headings, tilt_rows = probabilities.tilt_table(run)
    extra_headings, extra_cells = probabilities.epoch_columns(run)
    return (
        environment()
        .get_template("report.html")
        .render(
            title=str(run.setting("name") or run.path.name),
            run_name=run.path.name,
            facts=details.facts(run),
            cards=summary.cards(run),
            statements=summary.statements(run) + probabilities.collapse(run),
            shares=summary.shares(run),
            classification_headings=headings,
            classification_rows=rows,
            pnl_headings=pnl_headings,
            pnl_rows=pnl_rows,
            fill_headings=fill_headings,
            fill_rows=fill_rows,
            stage_headings=stage_headings,
            stage_rows=stage_rows,
            tilt_headings=tilt_headings,
            tilt_rows=tilt_rows,
            backtest=run.metric("backtest") or {},
            shifts=run.metric("backtest", "random_shifts") or {},
            curves=details.curves(run),
            buckets=details.BUCKETS,
            matrices=details.matrices(run),
            panels=details.calibration(run),
            history=run.history,
            extra_headings=extra_headings,
            extra_cells=extra_cells,
            val_share=run.metric("classification", "val", "label_share"),
            trades=details.trades(run),
            config_text=run.config_text,
            provenance=details.provenance(run),
            manifest_text=json.dumps(plain(run.manifest), indent=2, ensure_ascii=False),
        )
    )


@cache
def environment() -> jinja2.Environment:
    """Return the Jinja environment of the report's templates: autoescape on, unknown names refused.

    One per process, so that the templates are compiled once.
    """
    import jinja2
    from markupsafe import Markup

    env = jinja2.Environment(
        loader=jinja2.PackageLoader("simengine.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(FILTERS)

    def asset(name: str) -> Markup:
        # The package's own styles and scripts; nothing a user wrote passes here.
        return Markup(
            resources.files("simengine.report").joinpath("static", name).read_text(encoding="utf-8")
        )

    env.globals["asset"] = asset
    env.filters["embed"] = embed
    return env


def embed(value: Any) -> Any:  # noqa: ANN401 - any JSON value in, markup out
    """Return JSON that is safe inside a script element: no ``<``, ``>``, ``&`` or line separator."""
    from markupsafe import Markup

    text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def write_explanation_page(run_dir: Path, explanation: dict[str, Any]) -> Path:
    """Write ``explain.html`` from `simengine.explain.Explanation.to_dict` and return its path."""
    features = list(explanation["features"].items())
    lags = sorted(((int(lag), values) for lag, values in explanation["lags"].items()), reverse=True)
    path = run_dir / EXPLANATION
    text = (
        environment()
        .get_template("explain.html")
        .render(
            run_name=run_dir.resolve().name,
            explanation=explanation,
            features=features,
            largest=max([value for _, values in features for value in values] + [1e-12]),
            lags=lags,
            tallest=max([sum(values) for _, values in lags] + [1e-12]),
        )
    )
    write_text_atomic(path, text)
    return path
