"""The Python API: every verb of the command line has its function here, with the same parameters.

A verb of one word has a function of its name. `data_check`, `data_make`, `plugins` (the list), `plugin`
(one component) and `new_plugin` are what the verbs below ``data`` and ``plugins`` call. `load_model` has no
verb: it hands a trained model to Python.

>>> from simengine import api
>>> result = api.run("config.yaml", overrides=["training.epochs=5"])  # doctest: +SKIP
>>> result.metrics["backtest"]["net_return"]  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simengine.errors import ConfigError, RunError
from simengine.log import NoProgress, Progress
from simengine.rundir import CONFIG, DONE, ORIGIN, RunDir

if TYPE_CHECKING:
    from simengine.ablate.store import Ablation
    from simengine.compare import Comparison
    from simengine.config.schema import Config
    from simengine.explain import Explanation
    from simengine.pipeline import RunResult
    from simengine.plugin.registry import Registry
    from simengine.rerun import Retraded
    from simengine.steps.restored import TrainedModel
    from simengine.steps.sweep import Swept
    from simengine.steps.tune import Tuned

ConfigSource = str | Path | Mapping[str, Any]
"""A YAML file, or the same content as a mapping."""


def run(
    config: ConfigSource | None = None,
    *,
    overrides: Sequence[str] = (),
    out: str | Path = "runs",
    resume: str | Path | None = None,
    progress: Progress | None = None,
    plugins: Sequence[object] = (),
) -> RunResult:
    """Train, backtest, judge and report.

    Parameters
    ----------
    config : str, Path or mapping, optional
        What to run; left out with ``resume``.
    overrides : sequence of str
        ``"training.epochs=5"`` and the like.
    out : str or Path
        Folder that the run directory is made in.
    resume : str or Path, optional
        A run directory that was interrupted; it is finished in place, with the bytes that an
        uninterrupted run would have.
    progress : Progress, optional
        Told about training steps.
    plugins : sequence of object
        Modules or instances with hook functions, beside those that the config names.

    Returns
    -------
    RunResult
        ``run_dir`` and ``metrics``.

    Raises
    ------
    SimengineError
        One line on what is wrong, where and how to mend it.
    """
    from simengine import pipeline
    from simengine.steps.origin import check_unchanged, read_origin

    if resume is not None:
        if config is not None or overrides:
            raise ConfigError("resume: the run goes on as it was configured; give no config and no overrides")
        run_dir = RunDir.open(resume, finished=False)
        if run_dir.has(DONE):
            raise RunError(
                f"{resume}: this run is finished; start a new one, or trade it again with: backtest"
            )
        loaded, registry = _trained(run_dir, plugins)
        check_unchanged(run_dir, loaded)
        backtest = bool(read_origin(run_dir)["backtest"])
        return pipeline.run(loaded, registry, resume=run_dir, progress=progress, backtest=backtest)
    loaded, registry = _load(config, overrides, plugins)
    return pipeline.run(loaded, registry, out=Path(out), progress=progress)


def train(
    config: ConfigSource,
    *,
    overrides: Sequence[str] = (),
    out: str | Path = "runs",
    progress: Progress | None = None,
    plugins: Sequence[object] = (),
) -> RunResult:
    """Do everything up to the fitted decision rule, without a backtest; parameters as in `run`."""
    from simengine import pipeline

    loaded, registry = _load(config, overrides, plugins)
    return pipeline.run(loaded, registry, out=Path(out), progress=progress, backtest=False)


def backtest(
    run: str | Path,
    *,
    overrides: Sequence[str] = (),
    data: str | Path | None = None,
    strategy: str | None = None,
    out: str | Path | None = None,
    plugins: Sequence[object] = (),
) -> Retraded:
    """Trade a trained run on its test span, or on any bars, without retraining.

    Parameters
    ----------
    run : str or Path
        A finished run directory.
    overrides : sequence of str
        Changes of ``data``, ``strategy`` and ``backtest``.
    data : str or Path, optional
        A csv or parquet file whose bars are traded, all of them, instead of the run's test span.
    strategy : str, optional
        Name of another strategy.
    out : str or Path, optional
        New folder for trades, equity and metrics.
    plugins : sequence of object
        As in `run`.

    Returns
    -------
    Retraded
        ``metrics``, ``trading`` and ``in_sample``.
    """
    from simengine import rerun
    from simengine.config.load import load_config

    run_dir = _finished(run)
    changes = [*([f"data.source={json.dumps(_file_source(data))}"] if data is not None else []), *overrides]
    if strategy is not None:
        changes.append(f"strategy={strategy}")
    trained, registry = _trained(run_dir, plugins)
    changed = load_config(run_dir / CONFIG, changes).with_origin(trained.origin)
    return rerun.backtest(
        run_dir,
        trained,
        changed,
        registry,
        all_bars=data is not None,
        out=None if out is None else Path(out),
    )


def sweep(
    config: ConfigSource | None = None,
    *,
    overrides: Sequence[str] = (),
    out: str | Path = "runs",
    jobs: int = 1,
    resume: str | Path | None = None,
    progress: Progress | None = None,
    plugins: Sequence[object] = (),
) -> Swept:
    """Try every variant of the config's ``sweep`` section: choose on val, report that one on test.

    Parameters
    ----------
    config : str, Path or mapping, optional
        A config, which is trained first as `train` does, or a finished run directory, which is not.
    overrides : sequence of str
        As in `run`; on a run directory changes of ``sweep`` and ``backtest``.
    out : str or Path
        Folder that the run directory of a config is made in.
    jobs : int
        Threads.
    resume : str or Path, optional
        The folder of a sweep that was interrupted, or the run when it was interrupted in training; no
        ``config`` then. The table has the bytes that an uninterrupted sweep would have.
    progress : Progress, optional
        Told about training steps and finished variants.
    plugins : sequence of object
        As in `run`.

    Returns
    -------
    Swept
        ``val`` (a `SweepResult`), ``chosen``, ``test`` and ``directory``.
    """
    from simengine import pipeline, rerun
    from simengine.config.load import load_config
    from simengine.steps import sweep as step

    folder = None
    if resume is not None:
        if config is not None or overrides:
            raise ConfigError("resume: the sweep goes on as it was started; give no config and no overrides")
        if Path(resume, step.CONFIG).is_file():
            folder = Path(resume)
            run_dir = _finished(folder.parent)
            source = folder / step.CONFIG
        elif Path(resume, DONE).is_file():
            raise RunError(f"{resume}: this run is finished; sweep it with: simengine sweep {resume}")
        else:
            run_dir = RunDir(run(resume=resume, progress=progress, plugins=plugins).run_dir)
            source = run_dir / CONFIG
    elif isinstance(config, str | Path) and Path(config).is_dir():
        run_dir = _finished(config)
        source = run_dir / CONFIG
    else:
        loaded, registry = _load(config, overrides, plugins)
        step.variants_of(loaded)  # before anything is trained
        done = pipeline.run(loaded, registry, out=Path(out), progress=progress, backtest=False)
        run_dir, overrides = RunDir(done.run_dir), ()
        source = run_dir / CONFIG
    trained, registry = _trained(run_dir, plugins)
    changed = load_config(source, overrides).with_origin(trained.origin)
    return rerun.sweep(
        run_dir, trained, changed, registry, folder=folder, jobs=jobs, progress=progress or NoProgress()
    )


def tune(
    config: ConfigSource,
    *,
    overrides: Sequence[str] = (),
    out: str | Path = "runs",
    write: bool = False,
    progress: Progress | None = None,
    plugins: Sequence[object] = (),
) -> Tuned:
    """Search the labeler's options on train as ``labels.optimizer`` says; no model is trained.

    Parameters
    ----------
    config : str, Path or mapping
        What to search.
    overrides : sequence of str
        As in `run`.
    out : str or Path
        Folder that the directory of the search is made in.
    write : bool
        Put the best options into the config file, which keeps its comments and layout.
    progress : Progress, optional
        Told about the search.
    plugins : sequence of object
        As in `run`.

    Returns
    -------
    Tuned
        ``directory``, ``search`` (the best options and the table), ``usable`` and ``written``.
    """
    from simengine.steps.tune import tune as search

    loaded, registry = _load(config, overrides, plugins)
    if write and isinstance(config, Mapping):
        raise ConfigError("write: the config is a mapping; give the path of a file to write into")
    path = None if isinstance(config, Mapping) or not write else Path(config)
    return search(loaded, registry, out=Path(out), write=path, progress=progress or NoProgress())


def ablate(
    config: ConfigSource | None = None,
    *,
    overrides: Sequence[str] = (),
    seeds: int | None = None,
    folds: int | None = None,
    improvements: Sequence[int] | None = None,
    decisions: Sequence[str] | None = None,
    quick: bool = False,
    jobs: int = 1,
    out: str | Path = "runs",
    resume: str | Path | None = None,
    progress: Progress | None = None,
) -> Ablation:
    """Measure what each of the ten improvements does to a config, alone and together.

    Parameters
    ----------
    config : str, Path or mapping, optional
        The base; left out with ``resume``.
    overrides : sequence of str
        As in `run`.
    seeds : int, optional
        Root seeds, from that of the config on; 3 by default.
    folds : int, optional
        Walk-forward folds; by default 1, the config's own split.
    improvements : sequence of int, optional
        Which of the ten; all by default.
    decisions : sequence of str, optional
        Rules that every cell is tried with beside its own; by default those of
        `simengine.ablate.plan.DECISIONS`.
    quick : bool
        A small LSTM in place of the configured model.
    jobs : int
        Trainings at a time, each in a process of its own.
    out : str or Path
        Folder that the directory of the ablation is made in.
    resume : str or Path, optional
        An ablation that was interrupted; what it has finished is not done again, and it ends with the figures
        that it would have had. A finished one is read. Nothing but ``jobs`` and ``progress`` goes with it.
    progress : Progress, optional
        Told about every training that ended.

    Returns
    -------
    Ablation
        ``rows``, the base first, and the ``directory`` with ``ablation.json``, ``.csv`` and ``.html``.

    Raises
    ------
    SimengineError
        Before anything is trained when the config, a cell or the bars do not do; later with the name of the
        training that failed.
    """
    from simengine.ablate import ablation
    from simengine.ablate.plan import DECISIONS, IMPROVEMENTS, QUICK, changed

    if resume is not None:
        asked = (config, seeds, folds, improvements, decisions)
        if overrides or quick or any(value is not None for value in asked):
            raise ConfigError(
                "resume: the ablation goes on as it was started; give no config, no overrides and no settings"
            )
        return ablation.resume(Path(resume), jobs=jobs, progress=progress)
    if config is None:
        raise ConfigError("ablate: give a config, or resume with the directory of an ablation")
    loaded, _ = _load(config, overrides, ())
    settings = ablation.Settings(
        3 if seeds is None else seeds,
        1 if folds is None else folds,
        tuple(sorted(set(IMPROVEMENTS if improvements is None else improvements))),
        tuple(DECISIONS if decisions is None else decisions),
    )
    base = changed(loaded, QUICK) if quick else loaded
    directory = ablation.start(base, settings, Path(out), jobs=jobs)
    return ablation.resume(directory, jobs=jobs, progress=progress)


def compare(
    runs: Sequence[str | Path] | str | Path,
    *,
    strategies: Sequence[str] = (),
    allow_different: bool = False,
    plugins: Sequence[object] = (),
) -> Comparison:
    """Put several runs, or several strategies of one run, into one table.

    Parameters
    ----------
    runs : sequence of str or Path
        Finished run directories; one of them with ``strategies``.
    strategies : sequence of str
        Names of strategies to trade on the signals of the one run.
    allow_different : bool
        Compare although data or costs differ.
    plugins : sequence of object
        As in `run`.

    Raises
    ------
    RunError
        When the runs have other data or costs, or no common test time.
    """
    from simengine import rerun

    given = [runs] if isinstance(runs, str | Path) else list(runs)
    opened = [_finished(run) for run in given]
    for run_dir in opened:
        _with_backtest(run_dir)
    if strategies:
        if len(opened) != 1:
            raise RunError(f"--strategy compares strategies of one run, received {len(opened)} runs")
        config, registry = _trained(opened[0], plugins)
        return rerun.compare_strategies(opened[0], config, registry, strategies)
    if len(opened) < 2:
        raise RunError("compare needs two runs or more, or one run and --strategy")
    return rerun.compare_runs(opened, allow_different=allow_different)


def explain(
    run: str | Path,
    *,
    samples: int = 16,
    background: int = 8,
    progress: Progress | None = None,
    plugins: Sequence[object] = (),
) -> Explanation:
    """Return SHAP values per feature and per time step of random test windows.

    Parameters
    ----------
    run : str or Path
        A finished run directory; ``explain.json`` and ``explain.html`` are written into it.
    samples : int
        Test windows to explain.
    background : int
        Train windows whose values stand for an absent feature or bar.
    progress : Progress, optional
        Told about every explained window.
    plugins : sequence of object
        As in `run`.
    """
    from simengine import rerun

    run_dir = _finished(run)
    config, registry = _trained(run_dir, plugins)
    return rerun.explain(
        run_dir, config, registry, samples=samples, background=background, progress=progress or NoProgress()
    )


def analyze_feature_importance_shap(run: str | Path, **options: Any) -> Explanation:  # noqa: ANN401
    """Return `explain` (run, ...): the same call under the name that it is often looked for."""
    return explain(run, **options)


def load_model(run: str | Path, *, plugins: Sequence[object] = ()) -> TrainedModel:
    """Return the model of a finished run, with what was fitted around it, to score further bars.

    Parameters
    ----------
    run : str or Path
        A finished run directory.
    plugins : sequence of object
        As in `run`.

    Returns
    -------
    TrainedModel
        ``model``; ``inputs(bars)`` gives the scaled features that it is fed with, ``decide(logits)``
        calibrated probabilities and signals. docs/streaming.md has an example.
    """
    from simengine import rerun

    run_dir = _finished(run)
    return rerun.load_model(run_dir, *_trained(run_dir, plugins))


def report(run: str | Path) -> Path:
    """Write ``report.html`` of a finished run again and return its path."""
    from simengine.report import write_report

    run_dir = _finished(run)
    _with_backtest(run_dir)
    return write_report(run_dir.path)


def check(
    config: ConfigSource, *, overrides: Sequence[str] = (), plugins: Sequence[object] = ()
) -> dict[str, Any]:
    """Check config, plugins, data and labels without training, and say what a run would use.

    Raises
    ------
    CheckFailedError
        When a class has under 1 % of the train labels.
    """
    from simengine.plugin.check import check_config
    from simengine.steps.checkup import checkup
    from simengine.steps.parts import build_parts
    from simengine.steps.prepare import load_bars, prepare
    from simengine.steps.sweep import variants_of
    from simengine.steps.thresholds import with_best_labels
    from simengine.steps.trade import rehearse

    loaded, registry = _load(config, overrides, plugins)
    loaded = check_config(loaded, registry)
    if loaded.sweep is not None:
        variants_of(loaded)
    parts = build_parts(loaded, registry)
    bars = load_bars(parts.source)
    parts, search = with_best_labels(loaded, parts, registry, bars, progress=NoProgress())
    prepared = prepare(loaded, parts, bars)
    rehearse(loaded.backtest, parts, prepared)
    name = "config" if isinstance(config, Mapping) else str(config)
    report = checkup(prepared)
    if search is not None:
        report["summary"]["optimised_labels"] = search["best"]
    return {"config": name, "ok": True, **report}


def resolved(
    config: ConfigSource, *, overrides: Sequence[str] = (), plugins: Sequence[object] = ()
) -> tuple[str, dict[str, Any]]:
    """Return the config with every default filled in, as YAML and as plain data."""
    from simengine.config.load import dump_yaml, to_tree
    from simengine.plugin.check import check_config

    loaded, registry = _load(config, overrides, plugins)
    full = check_config(loaded, registry)
    return dump_yaml(full), to_tree(full)


def schema(
    config: ConfigSource | None = None, *, overrides: Sequence[str] = (), plugins: Sequence[object] = ()
) -> dict[str, Any]:
    """Return the JSON schema of a config file, with the options of every component it can select.

    Without ``config`` those are the built-in components and those of installed plugins.
    """
    from simengine.plugin.schema import config_json_schema

    _, registry = _load({} if config is None else config, overrides, plugins)
    return config_json_schema(registry)


def plugins(config: ConfigSource | None = None) -> dict[str, Any]:
    """Return every component by kind, with the plugin that brings it and its summary."""
    from simengine.plugin.describe import describe_all

    return describe_all(_registry_of(config))


def plugin(kind: str, name: str, config: ConfigSource | None = None) -> dict[str, Any]:
    """Return one component: its documentation and its options with type, default and description."""
    from simengine.plugin.describe import describe

    return describe(_registry_of(config), kind, name)


def new_plugin(kind: str, name: str, folder: str | Path = ".") -> tuple[Path, Path]:
    """Write a working plugin file and its test into ``folder``; return both paths."""
    from simengine.plugin.scaffold import new_plugin as write

    return write(kind, name, Path(folder))


def data_check(path: str | Path) -> dict[str, Any]:
    """Validate a csv or parquet file of bars and return what is in it.

    Returns
    -------
    dict
        ``path``, and ``symbols``: what `simengine.data.summary.summarise` says of each, repairs and
        ignored columns included.

    Raises
    ------
    DataError
        One line that names the row, the column, the value and the fix.
    """
    from simengine.data.summary import summarise

    registry = _registry_of(None)
    source = registry.create("source", _file_source(path))
    return {"path": str(path), "symbols": [summarise(bars) for bars in source.load().values()]}


def data_make(
    path: str | Path, *, market: str = "realistic", symbols: int = 2, bars: int = 30_000, seed: int = 1
) -> dict[str, Any]:
    """Write bars of the oracle market to a csv or parquet file that does not exist yet.

    Raises
    ------
    DataError
        When the file exists, or its ending is another.
    RunError
        When it cannot be written there.
    """
    from simengine.data.export import write_bars

    registry = _registry_of(None)
    options = {"market": market, "symbols": symbols, "bars": bars, "seed": seed}
    made = registry.create("source", {"type": "oracle_market", **options}).load()
    rows = write_bars(Path(path), made)
    return {"path": str(path), "symbols": len(made), "rows": rows}


def _file_source(path: str | Path) -> dict[str, Any]:
    """Return the source component that reads a file, by its ending."""
    kinds = {".csv": "csv", ".parquet": "parquet"}
    suffix = Path(path).suffix.lower()
    if suffix not in kinds:
        raise ConfigError(
            f"{path}: expected a file that ends in .csv or .parquet, received {suffix or 'no ending'!r}"
        )
    return {"type": kinds[suffix], "path": str(path)}


def _load(
    config: ConfigSource | None, overrides: Sequence[str], objects: Sequence[object]
) -> tuple[Config, Registry]:
    from simengine.config.load import load_config
    from simengine.plugin.manager import build_registry

    if config is None:
        raise ConfigError("no config: give the path of a YAML file, for example config.yaml")
    loaded = load_config(config, overrides)
    return loaded, build_registry(loaded.plugins, loaded.base_dir, objects, locate=loaded.locate)


def _registry_of(config: ConfigSource | None) -> Registry:
    from simengine.plugin.manager import build_registry

    return build_registry() if config is None else _load(config, (), ())[1]


def _finished(run: str | Path) -> RunDir:
    """Open a finished run and check that its files are those it was finished with."""
    from simengine.steps.manifest import check_artefacts

    run_dir = RunDir.open(run)
    check_artefacts(run_dir)
    return run_dir


def _with_backtest(run_dir: RunDir) -> None:
    """Refuse a run that was trained without a backtest."""
    if not run_dir.has("trades.csv"):
        raise RunError(
            f"{run_dir.path}: trained without a backtest, there are no trades; use simengine run, or backtest"
        )


def _trained(run_dir: RunDir, objects: Sequence[object]) -> tuple[Config, Registry]:
    """Return the config of a run, with plugin paths as it was first written, and its registry."""
    from simengine.config.load import load_config
    from simengine.config.schema import Origin
    from simengine.plugin.manager import build_registry

    loaded = load_config(run_dir / CONFIG)
    base_dir = Path(run_dir.read_value(ORIGIN, "base_dir", str))
    loaded = loaded.with_origin(Origin(base_dir, loaded.origin.locations))
    return loaded, build_registry(loaded.plugins, base_dir, objects, locate=loaded.locate)
