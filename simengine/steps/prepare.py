"""From a source to a data set: bars, split, labels, features, windows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simengine.data.checks import validate
from simengine.data.dataset import Dataset, build_dataset
from simengine.data.labels import Entry, check_label_shares, forward_log_return, label_shares
from simengine.data.need import Need
from simengine.data.split import SplitTimes, bars_until, split_times
from simengine.errors import RunError
from simengine.log import event, get_logger
from simengine.rundir import RunDir, write_json
from simengine.steps.session import DATA
from simengine.steps.thresholds import THRESHOLDS, write_thresholds
from simengine.types import Bars, FloatArray

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.data.windows import WindowSet
    from simengine.plugin.kinds import Labeler, Source
    from simengine.steps.parts import Parts

SCALER = "scaler.json"

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that training and judging need to know of the data.

    Parameters
    ----------
    bars : dict of str to Bars
        All bars of every symbol.
    times : SplitTimes
        Borders of train, val and test.
    dataset : Dataset
        Features, labels and purged segments.
    forward_return : dict of str to float64 array
        The log return that the label of each bar looks at; NaN where it is not known.
    train, val, test : WindowSet
        Labelled train windows (strided), labelled val windows, all test windows.
    """

    bars: dict[str, Bars]
    times: SplitTimes
    dataset: Dataset
    forward_return: dict[str, FloatArray]
    train: WindowSet
    val: WindowSet
    test: WindowSet

    @property
    def horizon_bars(self) -> int:
        """Label horizon H."""
        return self.dataset.horizon_bars

    @property
    def train_share(self) -> FloatArray:
        """Label shares (3,) of the train windows."""
        return label_shares(self.train.labels)


def load_bars(source: Source) -> dict[str, Bars]:
    """Load the bars of every symbol and log what came.

    Raises
    ------
    DataError
        When the source gives no symbol, or bars that no market can have.
    """
    bars = source.load()
    validate(bars, f"data.source {type(source).__name__}")
    event(
        logger,
        "bars",
        f"{sum(map(len, bars.values())):,} bars of {', '.join(bars)}",
        bars={symbol: len(b) for symbol, b in bars.items()},
        repairs={symbol: dict(b.repairs) for symbol, b in bars.items() if b.repairs},
    )
    return bars


def run_bars(config: Config, source: Source) -> dict[str, Bars]:
    """Load the bars that a run looks at: those up to ``split.until``."""
    return bars_until(load_bars(source), config.split.until)


def prepare(config: Config, parts: Parts, bars: dict[str, Bars] | None = None) -> Prepared:
    """Load, split, label and window the data as configured.

    The labeler is fitted on labels that are fully known before the end of train; the purge uses its
    final horizon; the scaler is fitted on the purged train rows. An optimizer of labels is not asked here:
    `simengine.steps.thresholds.with_best_labels` gives the parts to prepare with.

    Parameters
    ----------
    config, parts
        Of the run.
    bars : dict of str to Bars, optional
        From `run_bars`; loaded here when they are not given.

    Raises
    ------
    DataError
        When the bars cannot be used.
    CheckFailedError
        When a class has under 1 % of the train labels.
    """
    if bars is None:
        bars = run_bars(config, parts.source)
    times = split_times(bars, config.split.train, config.split.val, config.split.test)
    need = Need(
        parts.features.warmup, config.window.length, parts.labeler.horizon_bars, config.split.embargo_bars
    )
    need.check(bars, times)
    parts.labeler.fit(bars, times.train_end)
    dataset = build_dataset(
        bars,
        parts.features,
        parts.labeler,
        window=config.window.length,
        times=times,
        embargo_bars=config.split.embargo_bars,
        max_gap_ns=config.data.max_gap_ns,
    )
    train = dataset.windows("train", stride=config.window.train_stride)
    check_label_shares(train.labels)
    prepared = Prepared(
        bars=bars,
        times=times,
        dataset=dataset,
        forward_return=forward_returns(parts.labeler, bars),
        train=train,
        val=dataset.windows("val"),
        test=dataset.windows("test", labelled=False),
    )
    event(
        logger,
        "data_set",
        f"windows: {len(prepared.train):,} train, {len(prepared.val):,} val, {len(prepared.test):,} test",
        train_share=prepared.train_share.tolist(),
        **dict(dataset.counts),
    )
    return prepared


def keep(prepared: Prepared, parts: Parts, run_dir: RunDir, search: Mapping[str, Any] | None = None) -> None:
    """Write the fitted scaler and labeler, the search of its options, and the hash of the bars.

    Raises
    ------
    RunError
        When a resumed run finds other bars than it was started with.
    """
    found = data_sha256(prepared.bars)
    if run_dir.has(DATA) and run_dir.read_value(DATA, "sha256", str) != found:
        raise RunError(f"{run_dir.path}: the bars changed since this run was started; start a new run")
    write_json(run_dir / DATA, {"sha256": found})
    write_json(run_dir / SCALER, prepared.dataset.scaler.to_dict())
    write_thresholds(run_dir / THRESHOLDS, parts.labeler, search)


def data_sha256(bars: Mapping[str, Bars]) -> str:
    """Return one hash of all bars: equal for equal values, whatever file format they came from."""
    digest = hashlib.sha256()
    for symbol in sorted(bars):
        digest.update(symbol.encode())
        digest.update(bars[symbol].timestamp.tobytes())
        for name, column in bars[symbol].columns():
            digest.update(name.encode())
            digest.update(column.tobytes())
    return digest.hexdigest()


def forward_returns(labeler: Labeler, bars: Mapping[str, Bars]) -> dict[str, FloatArray]:
    """Return the forward returns from where the labeler measures: close, unless it says next_open."""
    entry: Entry = getattr(labeler, "entry", "close")
    return {symbol: forward_log_return(b, labeler.horizon_bars, entry) for symbol, b in bars.items()}
