"""The sweep of a trained run: choose a variant on val, report that one on test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simengine.backtest.chunk import COLUMNS, threshold_targets
from simengine.backtest.engine import backtest
from simengine.backtest.sweep_result import SweepResult, span_text
from simengine.backtest.sweep_store import SWEEP
from simengine.backtest.sweeping import sweep
from simengine.backtest.variants import AXES, Variants
from simengine.config.load import dump_yaml
from simengine.config.messages import line
from simengine.errors import ConfigError, RunError
from simengine.log import Progress, event, get_logger
from simengine.rundir import DONE, write_json, write_text_atomic, writing
from simengine.steps import trade

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.data.split import Segment
    from simengine.rundir import RunDir
    from simengine.steps.infer import Scored
    from simengine.steps.parts import Parts
    from simengine.steps.prepare import Prepared
    from simengine.types import Bars, FloatArray

FOLDER = "sweep"
CONFIG = "sweep.yaml"
"""The config that the sweep was started with; also what tells a sweep's folder from a run's."""
VAL = "val"
RESULT = "result.json"

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Swept:
    """A sweep over a trained run.

    Parameters
    ----------
    run_dir, directory : Path
        The run, and the folder of this sweep in it.
    val : SweepResult
        Every variant on the validation span: what the choice was made on, and so in-sample.
    chosen : dict or None
        The variant with the best Sharpe ratio on val, as `SweepResult.row` gives it; None when none trades.
    test : dict or None
        Its figures on the test span, the only variant that was tried there; beside them ``span``.
    earlier : int
        Finished sweeps of this run before this one: how often its test span has been looked at.
    """

    run_dir: Path
    directory: Path
    val: SweepResult
    chosen: dict[str, Any] | None
    test: dict[str, Any] | None
    earlier: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "run_dir": str(self.run_dir),
            "directory": str(self.directory),
            "earlier_sweeps": self.earlier,
            "chosen_on": VAL,
            "chosen": self.chosen,
            "test": self.test,
            "val": self.val.to_dict(),
        }


def variants_of(config: Config) -> Variants:
    """Return the variants of the ``sweep`` section; what it leaves out is as ``backtest`` has it.

    Raises
    ------
    ConfigError
        When there is no such section, or a value is there twice.
    """
    section = config.sweep
    if section is None:
        raise ConfigError(
            line(
                config.locate,
                "sweep",
                "there is nothing to sweep; add for example sweep: {thresholds: [0.4, 0.45, 0.5]} to the "
                "config, or give --set 'sweep.thresholds=[0.4, 0.45, 0.5]'",
            )
        )
    axes = {}
    for field, name in AXES.items():
        values = getattr(section, name)
        axes[name] = (getattr(config.backtest, field),) if values is None else values
    try:
        return Variants.grid(**axes)
    except ConfigError as error:
        raise ConfigError(line(config.locate, "sweep", str(error))) from None


def new_folder(run: RunDir) -> Path:
    """Make a folder for a new sweep in a run: ``sweep``, or ``sweep.1`` and so on.

    Raises
    ------
    RunError
        When the run cannot be written to.
    """
    for attempt in range(1000):
        path = run / (FOLDER if attempt == 0 else f"{FOLDER}.{attempt}")
        if not path.exists():
            with writing(path):
                path.mkdir()
            return path
    raise RunError(f"{run.path}: no free name for a sweep; remove old ones")


def sweep_run(
    run: RunDir,
    config: Config,
    parts: Parts,
    prepared: Prepared,
    scored: dict[Segment, Scored],
    *,
    folder: Path,
    jobs: int,
    progress: Progress,
) -> Swept:
    """Sweep on val in ``folder``, or go on with the sweep that is there, and try the best one on test.

    Parameters
    ----------
    run : RunDir
        The trained run.
    config, parts, prepared
        Its config with changes in ``sweep`` and ``backtest``, its components and its data.
    scored : dict of str to Scored
        The run's calibrated predictions on ``val`` and ``test``.
    folder : Path
        From `new_folder`; nothing outside of it is written.
    jobs : int
        Threads.
    progress : Progress
        Told about every finished chunk.
    """
    variants = variants_of(config)
    earlier = sum(other != folder and (other / DONE).is_file() for other in run.path.glob(f"{FOLDER}*"))
    write_text_atomic(folder / CONFIG, dump_yaml(config))
    event(
        logger,
        "sweep",
        f"sweep of {len(variants):,} variants; when killed: simengine sweep --resume {folder}",
        directory=str(folder),
        variants=len(variants),
    )
    account = trade.Account.build(config.backtest, parts.fees, parts.slippage)
    bars, proba = _traded(prepared, "val", scored["val"])
    directory = folder / VAL
    val = sweep(
        bars,
        proba,
        variants=variants,
        jobs=jobs,
        directory=directory,
        resume=(directory / SWEEP).is_file(),
        progress=progress,
        **account.options(bars),
    )
    chosen = val.best()
    test = None if chosen is None else _on_test(account, prepared, scored["test"], chosen)
    result = Swept(run.path, folder, val, chosen, test, earlier)
    content = result.to_dict()
    content["val"] = {"directory": VAL, "overfitting": val.overfitting_dict()}
    del content["run_dir"], content["directory"]
    write_json(folder / RESULT, content)
    write_text_atomic(folder / DONE, "")
    event(logger, "swept", f"{len(variants):,} variants on val: {val.verdict}", variants=len(variants))
    return result


def _traded(
    prepared: Prepared, segment: Segment, scored: Scored
) -> tuple[dict[str, Bars], dict[str, FloatArray]]:
    """Return bars and probabilities of a segment by symbol."""
    ranges = {
        symbol: rows.rows(segment)
        for symbol, rows in zip(prepared.bars, prepared.dataset.segments, strict=True)
    }
    signals = trade.spread(prepared.bars, ranges, scored)
    return (
        {symbol: given.traded for symbol, given in signals.items()},
        {symbol: given.proba[given.start :] for symbol, given in signals.items()},
    )


def _on_test(
    account: trade.Account, prepared: Prepared, scored: Scored, chosen: dict[str, Any]
) -> dict[str, Any]:
    """Return the figures of the chosen variant on the test span."""
    bars, proba = _traded(prepared, "test", scored)
    targets = {symbol: threshold_targets(values, chosen["threshold"]) for symbol, values in proba.items()}
    stops = {field: chosen[field] for field in AXES if field != "threshold"}
    # A sweep would ask for bars enough to judge a choice; nothing is chosen here.
    found = backtest(bars, targets=targets, **stops, **account.options(bars))
    span = span_text(int(found.timestamp[0]), int(found.timestamp[-1]))
    return {"span": list(span), **{name: found.stats[name] for name in COLUMNS}}
