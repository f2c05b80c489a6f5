"""What can be done with a trained run: trade it again, compare, explain, load it. Nothing is retrained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simengine.compare import Comparison, compare_entries, read_entry
from simengine.data.dataset import Dataset, build_dataset
from simengine.data.scale import Scaler
from simengine.errors import ConfigError, RunError
from simengine.evaluate.classification import classification_metrics
from simengine.log import Progress, get_logger
from simengine.plugin.check import check_config
from simengine.plugin.state import read_state, set_state
from simengine.predict import calibrate, score
from simengine.rundir import RunDir, write_json
from simengine.steps import infer, judge, learn, tables, trade
from simengine.steps import sweep as sweeping
from simengine.steps.manifest import MANIFEST
from simengine.steps.origin import changed_plugins
from simengine.steps.parts import Parts, build_parts
from simengine.steps.prepare import (
    SCALER,
    Prepared,
    data_sha256,
    forward_returns,
    load_bars,
    prepare,
)
from simengine.steps.restored import TrainedModel, load_trained
from simengine.steps.thresholds import THRESHOLDS, with_kept_labels

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.data.split import Segment
    from simengine.explain import Explanation
    from simengine.plugin.registry import Registry

CHANGEABLE = ("data", "strategy", "backtest", "name")
"""Sections that may differ from the trained run when it is traded again."""

SWEEPABLE = ("sweep", "backtest", "name")
"""Sections that may differ from the trained run when it is swept."""

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retraded:
    """A trained run, traded again.

    Parameters
    ----------
    run_dir : Path
        The trained run.
    trading : Trading
        Simulated results.
    metrics : dict
        ``backtest`` and ``baselines``, and ``classification.bars`` where other bars than the run's own
        test span were traded.
    in_sample : bool
        Whether the traded bars overlap the run's train or validation span in time.
    segment : str
        ``test`` for the run's own test span, ``bars`` for all bars of a source.
    """

    run_dir: Path
    trading: trade.Trading
    metrics: dict[str, Any]
    in_sample: bool
    segment: Literal["test", "bars"]

    @property
    def span(self) -> tuple[str, str]:
        """First and last traded bar, ISO, UTC."""
        times = self.trading.net.timestamp
        first, last = (np.datetime_as_string(times[k].astype("M8[ns]"), unit="m") for k in (0, -1))
        return f"{first}Z", f"{last}Z"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "run_dir": str(self.run_dir),
            "segment": self.segment,
            "span": list(self.span),
            "symbols": list(self.trading.bars),
            "in_sample": self.in_sample,
            "metrics": self.metrics,
        }


def backtest(
    run: RunDir,
    trained: Config,
    changed: Config,
    registry: Registry,
    *,
    all_bars: bool = False,
    out: Path | None = None,
) -> Retraded:
    """Trade a trained run with another strategy, other costs or other bars.

    Parameters
    ----------
    run : RunDir
        A finished run.
    trained, changed : Config
        Its config, and the same with changes in the sections of `CHANGEABLE`.
    registry : Registry
        With the plugins of both.
    all_bars : bool
        Trade all bars of ``data.source`` even when they are the run's own.
    out : Path, optional
        New folder for trades, equity and metrics.

    Raises
    ------
    ConfigError
        When ``changed`` would need another training.
    RunError
        When the run's own bars are no longer what it was trained on, or ``out`` exists.
    """
    trained, changed = check_config(trained, registry), check_config(changed, registry)
    _check_changes(trained, changed, "backtest", CHANGEABLE)
    if out is not None and out.exists():
        raise RunError(f"{out}: exists already; choose a new folder for --out")
    parts = _parts(run, changed, registry)
    if changed.data == trained.data and not all_bars:
        result = _own_test_span(run, changed, parts, registry)
    else:
        result = _other_bars(run, changed, parts, registry)
    if out is not None:
        tables.write_trading(out, result.trading)
        write_json(out / "metrics.json", result.to_dict())
    return result


def compare_runs(runs: Sequence[RunDir], *, allow_different: bool) -> Comparison:
    """Compare finished runs over the intersection of their test times."""
    names = [run.path.name for run in runs]
    labels = names if len(set(names)) == len(names) else [str(run.path) for run in runs]
    entries = [read_entry(run.path, label) for run, label in zip(runs, labels, strict=True)]
    return compare_entries(entries, allow_different=allow_different)


def compare_strategies(
    run: RunDir, config: Config, registry: Registry, strategies: Sequence[str]
) -> Comparison:
    """Compare several strategies on the test signals of one run."""
    config = check_config(config, registry)
    parts = _parts(run, config, registry)
    prepared = _prepared(run, config, parts)
    test = infer.read_predictions(run, prepared, "test")
    entry = read_entry(run.path)
    entries = []
    for name in strategies:
        traded = replace(parts, strategy=registry.create("strategy", name))
        result = trade.trade_test(config.backtest, traded, prepared, test, registry)
        entries.append(entry.with_strategy(name, tables.equity_table(result), result.net.trades_frame()))
    return compare_entries(entries)


def explain(
    run: RunDir, config: Config, registry: Registry, *, samples: int, background: int, progress: Progress
) -> Explanation:
    """Explain random test windows of a run by Shapley values of its calibrated probabilities.

    Parameters
    ----------
    run, config, registry
        A finished run, its config and its components.
    samples : int
        Test windows to explain.
    background : int
        Train windows whose values stand for an absent feature or bar.
    progress : Progress
        Told about every explained window.
    """
    from simengine.data.windows import WindowSet
    from simengine.explain import explain_windows, write_explanation
    from simengine.seed import integer, stream

    config = check_config(config, registry)
    parts = _parts(run, config, registry)
    prepared = _prepared(run, config, parts)
    learn.restore_model(parts.model, run)
    infer.restore_inference(parts, run)
    rng = stream(config.seed, "explain")
    chosen = rng.choice(len(prepared.test), min(samples, len(prepared.test)), replace=False)
    absent = rng.choice(len(prepared.train), min(background, len(prepared.train)), replace=False)

    def calibrated(batch: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        n, length, n_features = batch.shape
        windows = WindowSet(
            matrix=np.ascontiguousarray(batch).reshape(n * length, n_features),
            ends=np.arange(length - 1, n * length, length, dtype=np.int32),
            labels=np.full(n, -1, np.int8),
            groups=np.zeros(n, np.int16),
            length=length,
        )
        _, log_proba = score(parts.model, windows, parts.tta)
        return calibrate(log_proba, parts.calibrator).astype(np.float32)

    explanation = explain_windows(
        calibrated,
        prepared.test.gather(np.sort(chosen)),
        prepared.train.gather(np.sort(absent)),
        tuple(parts.features.names),
        seed=integer(config.seed, "explain"),
        progress=progress,
    )
    write_explanation(run.path, explanation)
    return explanation


def load_model(run: RunDir, config: Config, registry: Registry) -> TrainedModel:
    """Return the trained model of a run with what was fitted around it."""
    _warn_of_changed_plugins(run, config)
    return load_trained(run, config, registry)


def sweep(
    run: RunDir,
    trained: Config,
    changed: Config,
    registry: Registry,
    *,
    folder: Path | None = None,
    jobs: int = 1,
    progress: Progress,
) -> sweeping.Swept:
    """Sweep a threshold rule over a trained run: choose on val, report the chosen variant on test.

    Parameters
    ----------
    run : RunDir
        A finished run.
    trained, changed : Config
        Its config, and the same with changes in the sections of `SWEEPABLE`.
    registry : Registry
        With the plugins of both.
    folder : Path, optional
        Of a sweep of this run that is to go on; by default a new one in the run.
    jobs : int
        Threads.
    progress : Progress
        Told about finished variants.
    """
    trained, changed = check_config(trained, registry), check_config(changed, registry)
    _check_changes(trained, changed, "sweep", SWEEPABLE)
    sweeping.variants_of(changed)
    parts = _parts(run, changed, registry)
    prepared = _prepared(run, changed, parts)
    segments: tuple[Segment, ...] = ("val", "test")
    scored = {segment: infer.read_predictions(run, prepared, segment) for segment in segments}
    return sweeping.sweep_run(
        run,
        changed,
        parts,
        prepared,
        scored,
        folder=folder or sweeping.new_folder(run),
        jobs=jobs,
        progress=progress,
    )


def _check_changes(trained: Config, changed: Config, verb: str, changeable: Sequence[str]) -> None:
    for section in type(trained).model_fields:
        if section not in (*changeable, "plugins") and getattr(trained, section) != getattr(changed, section):
            raise ConfigError(
                f"{section}: a trained run cannot change it without retraining; "
                f"{verb} may change {', '.join(changeable[:-1])}"
            )


def _warn_of_changed_plugins(run: RunDir, config: Config) -> None:
    changed = changed_plugins(run, config)
    if changed:
        logger.warning("%s: %s changed since it was trained", run.path, ", ".join(changed))


def _parts(run: RunDir, config: Config, registry: Registry) -> Parts:
    """Build the components of a run; its labeler with the options that its search found."""
    return with_kept_labels(config, build_parts(config, registry), registry, run)


def _prepared(run: RunDir, config: Config, parts: Parts) -> Prepared:
    """Prepare the run's own bars again and check that they are the ones it was trained on."""
    _warn_of_changed_plugins(run, config)
    prepared = prepare(config, parts)
    if data_sha256(prepared.bars) != run.read_value(MANIFEST, "data_sha256", str):
        raise RunError(f"{run.path}: the bars of data.source changed since this run was trained")
    return prepared


def _own_test_span(run: RunDir, config: Config, parts: Parts, registry: Registry) -> Retraded:
    """Trade the test predictions that the run has kept; the model is not needed."""
    prepared = _prepared(run, config, parts)
    test = infer.read_predictions(run, prepared, "test")
    trading = trade.trade_test(config.backtest, parts, prepared, test, registry)
    metrics = judge.judge_trading(trading, prepared.horizon_bars, config.seed)
    return Retraded(run.path, trading, metrics, in_sample=False, segment="test")


def _other_bars(run: RunDir, config: Config, parts: Parts, registry: Registry) -> Retraded:
    """Score other bars with everything that was fitted in the run, and trade them."""
    _warn_of_changed_plugins(run, config)
    bars = load_bars(parts.source)
    set_state(parts.labeler, read_state(run / THRESHOLDS))
    learn.restore_model(parts.model, run)
    infer.restore_inference(parts, run)
    dataset = build_dataset(
        bars,
        parts.features,
        parts.labeler,
        window=config.window.length,
        max_gap_ns=config.data.max_gap_ns,
        scaler=Scaler.from_dict(run.read_json(SCALER)),
    )
    scored = _score_all(parts, dataset)
    ranges = {symbol: _traded_rows(scored, index) for index, symbol in enumerate(bars)}
    account = trade.Account.build(config.backtest, parts.fees, parts.slippage)
    trading = trade.trade(account, parts.strategy, trade.spread(bars, ranges, scored), registry)
    metrics = judge.judge_trading(trading, dataset.horizon_bars, config.seed)
    labelled = scored.take(scored.labels >= 0)
    if len(labelled):
        figures = classification_metrics(
            labels=labelled.labels,
            raw_log_proba=labelled.raw_log_proba,
            log_proba=labelled.log_proba,
            signals=labelled.signals,
            forward_return=labelled.forward_return,
            train_share=np.asarray(run.read_value(MANIFEST, "train_share", list)),
            horizon_bars=dataset.horizon_bars,
        )
        metrics["classification"] = {"bars": figures}
    in_sample = _overlaps(run, dataset)
    if in_sample:
        logger.warning("these bars overlap the train or validation span of %s: in-sample", run.path)
    return Retraded(run.path, trading, metrics, in_sample, segment="bars")


def _score_all(parts: Parts, dataset: Dataset) -> infer.Scored:
    windows = dataset.between(int(dataset.timestamp.min()))
    if len(windows) == 0:
        longest = max(len(bars) for bars in dataset.bars.values())
        raise RunError(
            f"data.source: no bar has a full window: {dataset.length} bars after the {parts.features.warmup} "
            f"of warm-up are needed, the longest symbol has {longest}"
        )
    forward = forward_returns(parts.labeler, dataset.bars)
    return infer.decide(parts, infer.score_windows(parts, dataset, windows, forward))


def _traded_rows(scored: infer.Scored, group: int) -> tuple[int, int]:
    """Return the rows from the first to the last scored bar of a symbol."""
    rows = scored.bar_rows[scored.groups == group]
    return (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)


def _overlaps(run: RunDir, dataset: Dataset) -> bool:
    split = run.read_value(MANIFEST, "split", dict)
    start, val_end = (int(np.datetime64(split[name], "ns").astype(np.int64)) for name in ("start", "val_end"))
    return bool(((dataset.timestamp >= start) & (dataset.timestamp < val_end)).any())
