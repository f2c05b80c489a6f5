"""The search of the labeler's options on train, and what a run keeps of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.config.schema import ComponentRef
from simengine.data.label_search import LabelSearch, LabelSearchResult
from simengine.data.need import Need
from simengine.data.split import split_times
from simengine.errors import RunError
from simengine.log import Progress, event, get_logger
from simengine.plugin.state import get_state, write_state
from simengine.rundir import write_json
from simengine.types import CLASS_NAMES

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.data.split import SplitTimes
    from simengine.plugin.kinds import Labeler
    from simengine.plugin.registry import Registry
    from simengine.rundir import RunDir
    from simengine.steps.parts import Parts
    from simengine.types import Bars

THRESHOLDS = "thresholds.json"
SEARCH = "search"
"""Key of the search beside the labeler's state."""

LABELER = "labels.labeler"
OPTIMIZER = "labels.optimizer"

logger = get_logger(__name__)


def optimise_labels(
    config: Config, registry: Registry, bars: Mapping[str, Bars], times: SplitTimes, progress: Progress
) -> tuple[Labeler, LabelSearchResult]:
    """Search the labeler's options as ``labels.optimizer`` says.

    The optimizer is given no bar from the end of train on: symbols are cut there, and those that begin later
    are left out.

    Returns
    -------
    labeler : Labeler
        With the best options, unfitted.
    result : LabelSearchResult

    Raises
    ------
    ConfigError
        When the optimizer cannot search this labeler, or finds options that it refuses.
    DataError
        When no labeling can be judged.
    """
    ref = config.labels.optimizer
    if ref is None:
        raise RunError(f"{OPTIMIZER} is null: there is nothing to search with")
    optimizer = registry.create("threshold_optimizer", ref, OPTIMIZER, config.locate)
    result: LabelSearchResult = optimizer.search(label_search(config, registry, bars, times, progress))
    share = {name: f"{value:.1%}" for name, value in zip(CLASS_NAMES, result.shares, strict=True)}
    event(
        logger,
        "labels_optimised",
        f"labels: {_words(result.best)} ({_words(share)} of train)",
        best=dict(result.best),
        objective=result.objective,
    )
    return labeler_with(config, registry, result.best), result


def label_search(
    config: Config, registry: Registry, bars: Mapping[str, Bars], times: SplitTimes, progress: Progress
) -> LabelSearch:
    """Return what an optimizer is given: the labeler's options and the bars of train."""
    resolved = registry.resolve("labeler", config.labels.labeler, LABELER, config.locate)
    train = {
        symbol: given.slice(0, int(np.searchsorted(given.timestamp, times.train_end, side="left")))
        for symbol, given in bars.items()
    }
    return LabelSearch(
        labeler=resolved.type,
        options=resolved.options,
        create=lambda changed: labeler_with(config, registry, changed),
        bars={symbol: given for symbol, given in train.items() if len(given)},
        train_end=times.train_end,
        window=config.window.length,
        seed=config.seed,
        max_gap_ns=config.data.max_gap_ns,
        progress=progress,
        fee_bps=_bps(registry, "fees", config.backtest.fees, ("proportional", "fee_bps"), 10.0),
        slippage_bps=_bps(registry, "slippage", config.backtest.slippage, ("bps", "slippage_bps"), 5.0),
    )


def _bps(
    registry: Registry, kind: str, ref: ComponentRef | None, known: tuple[str, str], otherwise: float
) -> float:
    """Return the configured cost in basis points, and say so where the config's component has no such figure.

    ``known`` are the component that has one and the option that it is.
    """
    if ref is None:
        return 0.0
    found = registry.resolve(kind, ref)
    name, option = known
    if found.type == name:
        return float(found.options[option])
    event(
        logger,
        "assumed_costs",
        f"{OPTIMIZER}: {kind} {found.type!r} are no fixed share of notional; a search that looks at money "
        f"assumes {otherwise:g} bps (its option {option} says otherwise)",
    )
    return otherwise


def labeler_with(config: Config, registry: Registry, changed: Mapping[str, Any]) -> Labeler:
    """Return the config's labeler with some options changed, unfitted."""
    ref = config.labels.labeler
    options = {**ref.options, **changed}
    labeler: Labeler = registry.create(
        "labeler", ComponentRef(type=ref.type, options=options), LABELER, config.locate
    )
    return labeler


def with_best_labels(
    config: Config,
    parts: Parts,
    registry: Registry,
    bars: Mapping[str, Bars],
    *,
    run_dir: RunDir | None = None,
    progress: Progress,
) -> tuple[Parts, dict[str, Any] | None]:
    """Return the parts with the labeler that the search finds, and the search as plain data.

    Without an optimizer the parts are returned as they are, with None. Call it before `prepare`, so that the
    purge counts the horizon that was found.

    Parameters
    ----------
    config, parts, registry
        Of the run.
    bars : mapping of str to Bars
        Of every symbol, from `simengine.steps.prepare.load_bars`.
    run_dir : RunDir, optional
        A run that may have searched before it was interrupted; what it found is taken again.
    progress : Progress
        Told about the search.
    """
    if config.labels.optimizer is None:
        return parts, None
    if run_dir is not None and run_dir.has(THRESHOLDS) and SEARCH in run_dir.read_json(THRESHOLDS):
        return with_kept_labels(config, parts, registry, run_dir), kept_search(run_dir)
    times = split_times(bars, config.split.train, config.split.val, config.split.test)
    check_need(config, parts, bars, times)
    labeler, result = optimise_labels(config, registry, bars, times, progress)
    return replace(parts, labeler=labeler), search_dict(config, registry, result)


def check_need(config: Config, parts: Parts, bars: Mapping[str, Bars], times: SplitTimes) -> None:
    """Refuse bars too few for one labelled window in each segment, with the labeler's horizon."""
    horizon = parts.labeler.horizon_bars
    Need(parts.features.warmup, config.window.length, horizon, config.split.embargo_bars).check(bars, times)


def with_kept_labels(config: Config, parts: Parts, registry: Registry, run_dir: RunDir) -> Parts:
    """Return the parts with the labeler that a run's search found; nothing is searched.

    Raises
    ------
    RunError
        When the run should have searched and kept nothing.
    """
    if config.labels.optimizer is None:
        return parts
    return replace(parts, labeler=labeler_with(config, registry, kept_search(run_dir)["best"]))


def kept_search(run_dir: RunDir) -> dict[str, Any]:
    """Return the search that a run keeps in its ``thresholds.json``.

    Raises
    ------
    RunError
        When it is missing or damaged.
    """
    found = run_dir.read_value(THRESHOLDS, SEARCH, dict)
    if not isinstance(found.get("best"), dict):
        raise RunError(f"{run_dir / THRESHOLDS}: {SEARCH} has no best options; restore the file or run again")
    return found


def search_dict(config: Config, registry: Registry, result: LabelSearchResult) -> dict[str, Any]:
    """Return a search as plain data: what was searched, the best, and the full table."""
    resolved = registry.resolve("labeler", config.labels.labeler, LABELER, config.locate)
    optimizer = config.labels.optimizer
    return {
        "optimizer": None if optimizer is None else optimizer.flat(),
        "labeler": resolved.type,
        "configured": {name: resolved.options.get(name) for name in result.best},
        "best": dict(result.best),
        "objective": result.objective,
        "shares": dict(zip(CLASS_NAMES, result.shares.tolist(), strict=True)),
        "notes": list(result.notes),
        "table": {name: list(values) for name, values in result.table.items()},
    }


def write_thresholds(path: Path, labeler: Labeler, search: Mapping[str, Any] | None) -> None:
    """Write the labeler's fitted state and, where there was one, the search beside it."""
    write_state(path, get_state(labeler))
    if search is not None:
        write_json(path, {**json.loads(path.read_text(encoding="utf-8")), SEARCH: search})


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
