"""Walk-forward folds: how far each one looks, and how it splits what it sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simengine.ablate.bootstrap import block_bars
from simengine.ablate.plan import changed
from simengine.data.split import bars_until, split_times
from simengine.errors import ConfigError, DataError
from simengine.steps.thresholds import check_need
from simengine.types import Bars, IntArray

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.steps.parts import Parts

Split = dict[str, Any]
"""The ``split`` section of a config."""


def folds_of(base: Config, bars: Mapping[str, Bars], folds: int) -> list[Split]:
    """Return the ``split`` section of each walk-forward fold, the earliest first.

    The test spans follow each other, each as long as that of the config, and share no bar; the last one ends
    with the data. The val span before each is as long as in the config, and train is all that comes before,
    so that it grows. Within a fold the rows at the borders are purged as in every run. One fold is the
    config's own split.

    Parameters
    ----------
    base : Config
        What is ablated.
    bars : mapping of str to Bars
        All that its source loads.
    folds : int
        1 or more.

    Raises
    ------
    ConfigError
        When the first fold would have nothing to train on.
    """
    split = base.split
    if folds == 1:
        return [split.model_dump()]
    most = int((1 - split.val) / split.test - 1e-9)
    if folds > most:
        raise ConfigError(
            f"ablate: {folds} folds of a test share of {split.test:g} leave the first one no train span; "
            f"use at most {most}"
        )
    times = np.unique(np.concatenate([given.timestamp for given in bars.values()]))
    start, whole_end = int(times[0]), int(times[-1])
    times = times[: _cut(times, split.until, "right")]
    rows = [_cut(times, 1 - split.test * (folds - fold)) for fold in range(folds)]
    found = []
    for fold, first in enumerate(rows):
        last = rows[fold + 1] if fold + 1 < folds else len(times)
        until = split.until if last == len(times) else (_border(times, last) - start) / (whole_end - start)
        length = int(times[last - 1]) - start
        before_test = (_border(times, first) - start) / length
        val = split.val * int(times[-1] - start) / length
        train = before_test - val
        found.append(
            {**split.model_dump(), "train": train, "val": val, "test": 1 - train - val, "until": until}
        )
    return found


def check_folds(base: Config, parts: Parts, bars: Mapping[str, Bars], splits: Sequence[Split]) -> None:
    """Refuse bars too few for a run, or for a bootstrap, in some fold; nothing is trained for that.

    Parameters
    ----------
    base, parts
        What is ablated, and its components.
    bars : mapping of str to Bars
        All that its source loads.
    splits : sequence of dict
        From `folds_of`.

    Raises
    ------
    DataError
        Naming the fold.
    """
    for fold, split in enumerate(splits, 1):
        config = changed(base, {"split": split})
        given = bars_until(bars, config.split.until)
        times = split_times(given, config.split.train, config.split.val, config.split.test)
        where = f"ablate: fold {fold} of {len(splits)}: " if len(splits) > 1 else "ablate: "
        try:
            check_need(config, parts, given, times)
        except DataError as error:
            raise DataError(f"{where}{error}") from None
        tested = len(
            np.unique(np.concatenate([b.timestamp[b.timestamp >= times.val_end] for b in given.values()]))
        )
        block = block_bars(parts.labeler.horizon_bars)
        if tested < 2 * block:
            raise DataError(
                f"{where}the test span has {tested} bars, too few for intervals from blocks of {block}; use "
                "more bars, a larger split.test or fewer folds"
            )


def _cut(times: IntArray, share: float, side: Literal["left", "right"] = "left") -> int:
    """Return the number of times before the instant at a share of their span; ``right`` counts that too."""
    span = int(times[-1] - times[0])
    return int(np.searchsorted(times, times[0] + round(share * span), side=side))


def _border(times: IntArray, first: int) -> int:
    """Return an instant half way before a time, which no rounding can move to the other side of a bar."""
    return (int(times[first - 1]) + int(times[first])) // 2
