"""The run as a table of contents: each step is one call of `simengine.steps`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simengine.config.load import config_hash, dump_yaml
from simengine.log import NoProgress, Progress
from simengine.plugin.check import check_config
from simengine.report import write_report
from simengine.rundir import CONFIG, METRICS, RunDir, write_json, write_text_atomic
from simengine.steps import infer, judge, learn, manifest, origin, prepare, tables, thresholds, trade
from simengine.steps.parts import build_parts
from simengine.steps.session import Session

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.plugin.registry import Registry


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run.

    Parameters
    ----------
    run_dir : Path
        Where everything lies.
    metrics : dict
        The content of ``metrics.json``.
    """

    run_dir: Path
    metrics: dict[str, Any]


def run(
    config: Config,
    registry: Registry,
    *,
    out: Path = Path("runs"),
    resume: RunDir | None = None,
    progress: Progress | None = None,
    backtest: bool = True,
) -> RunResult:
    """Carry out a whole run in a new directory, or finish an interrupted one in its own.

    Parameters
    ----------
    config : Config
        Checked against ``registry`` here.
    registry : Registry
        Every component that may be selected.
    out : Path
        Folder that the run directory is made in.
    resume : RunDir, optional
        An unfinished run of this very config.
    progress : Progress, optional
        Told about training steps.
    backtest : bool
        False stops after the fitted decision: no trades, no report.

    Raises
    ------
    SimengineError
        With one line about what is wrong and where.
    """
    config = check_config(config, registry)
    parts = build_parts(config, registry)
    run_dir = resume or RunDir.create(out, config.name, config_hash(config))
    session = Session(registry, run_dir)
    with session.logged():
        if resume:
            run_dir.sweep()
        else:
            origin.keep_origin(run_dir, config, backtest=backtest)
            write_text_atomic(run_dir / CONFIG, dump_yaml(config))
        registry.hook.simengine_run_start(config=config, run_dir=run_dir.path)

        with session.stage("prepare"):
            bars = prepare.run_bars(config, parts.source)
            parts, search = thresholds.with_best_labels(
                config, parts, registry, bars, run_dir=run_dir, progress=progress or NoProgress()
            )
            prepared = prepare.prepare(config, parts, bars)
            trade.rehearse(config.backtest, parts, prepared)
            learn.rehearse(parts, prepared)
            prepare.keep(prepared, parts, run_dir, search)
        with session.stage("train"):
            learn.learn(config, parts, prepared, session, progress or NoProgress())
        with session.stage("predict"):
            val, test = infer.infer(parts, prepared, run_dir, config.backtest)
            table = infer.predictions_table(prepared.dataset.symbols, val=val, test=test)
            tables.write_parquet(run_dir / infer.PREDICTIONS, table)
        with session.stage("judge"):
            metrics = judge.judge_model(parts, prepared, val, test)
            metrics |= judge.judge_stages(config.inference, parts, val, test)
            metrics["prior_tilt"] = learn.prior_tilt(parts, prepared).to_dict()
        if backtest:
            with session.stage("backtest"):
                trading = trade.trade_test(config.backtest, parts, prepared, test, registry)
                registry.hook.simengine_backtest_end(result=trading.net, run_dir=run_dir.path)
                tables.write_trading(run_dir.path, trading)
                metrics |= judge.judge_trading(trading, prepared.horizon_bars, config.seed)
        write_json(run_dir / METRICS, metrics)
        manifest.write_manifest(config, registry, parts, prepared, session)
        if backtest:
            with session.stage("report"):
                write_report(run_dir.path)
            manifest.write_manifest(config, registry, parts, prepared, session)

        run_dir.finish()
        registry.hook.simengine_run_end(metrics=metrics, run_dir=run_dir.path)
    return RunResult(run_dir.path, run_dir.read_json(METRICS))
