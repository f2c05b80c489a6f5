"""How many bars of train each set of options labels SELL, HOLD and BUY.

The built-in labelers are counted for a whole grid at once, with the counts that their ``label`` would give;
any other labeler is made, fitted and asked for every combination.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from simengine.data.gaps import Holes, find_holes
from simengine.data.label_search import LabelSearch
from simengine.data.labels import Entry, forward_log_return
from simengine.data.volatility import ewm_volatility
from simengine.types import N_CLASSES, UNDEFINED, FloatArray, IntArray, LabelArray
from simengine_plugins.labelers.adaptive_threshold import AdaptiveThreshold
from simengine_plugins.labelers.volatility_quantile import VolatilityQuantile
from simengine_plugins.threshold_optimizers.kernel import tally

Axes = Mapping[str, Sequence[Any]]
"""Values to try by option; the combinations are their product, the last option varying fastest."""

HORIZON = "horizon_bars"
Advance = Callable[[int], None]


def combinations(axes: Axes) -> Iterator[dict[str, Any]]:
    """Return every combination of the axes."""
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def count_labels(task: LabelSearch, axes: Axes, wanted: Sequence[int], advance: Advance) -> IntArray:
    """Return the numbers of SELL, HOLD and BUY labels of combinations.

    Parameters
    ----------
    task : LabelSearch
        The labeler and its bars; labels that span a hole longer than ``max_gap_ns`` are left out.
    axes : mapping of str to sequence
        The grid.
    wanted : sequence of int
        Which of its `combinations` are counted.
    advance : callable
        Told how many more combinations are done.

    Returns
    -------
    int64 array, shape (len(wanted), 3)
    """
    labeler = task.create({})
    whole = _whole_grid(labeler)
    if whole is None or not set(axes) <= {*whole.varied, HORIZON}:
        return _one_by_one(task, axes, wanted, advance)
    if HORIZON not in axes:
        axes = {**axes, HORIZON: (labeler.horizon_bars,)}
    shape = tuple(map(len, axes.values()))
    place = list(axes).index(HORIZON)
    chosen = np.unravel_index(np.asarray(wanted, dtype=np.int64), shape)
    counts = np.zeros((*shape, N_CLASSES), dtype=np.int64)
    rest = {name: values for name, values in axes.items() if name != HORIZON}
    every = [np.asarray(rest.get(name, (task.options[name],)), np.float64) for name in whole.varied]
    series = _Series(task, getattr(labeler, "entry", "close"))
    for row, horizon in enumerate(axes[HORIZON]):
        found = whole.counter(series, horizon, *every)
        np.moveaxis(counts, place, 0)[row] = _ordered(found, whole.varied, tuple(rest))
        advance(int(np.count_nonzero(chosen[place] == row)))
    result: IntArray = counts[chosen]
    return result


class _Whole(NamedTuple):
    """How the grid of a labeler is counted at one horizon: the function, and the options it takes."""

    counter: Callable[..., IntArray]
    varied: tuple[str, ...]


def _whole_grid(labeler: object) -> _Whole | None:
    # By exact type: a class derived from a labeler may label otherwise.
    if type(labeler) is AdaptiveThreshold:
        if labeler.adaptive:
            return _Whole(_clipped, ("multiplier", "adaptive_min", "adaptive_max"))
        return _Whole(_constant, ("price_change",))
    return _Whole(_quantiles, ("sell", "buy")) if type(labeler) is VolatilityQuantile else None


class _Series:
    """Volatility and forward returns by symbol."""

    def __init__(self, task: LabelSearch, entry: Entry) -> None:
        self.bars = list(task.bars.values())
        self.volatility = [ewm_volatility(bars.close) for bars in self.bars]
        self.holes = [find_holes(bars.timestamp, task.max_gap_ns) for bars in self.bars]
        self.entry = entry

    def forward(self, horizon: int) -> list[FloatArray]:
        return [forward_log_return(bars, horizon, self.entry) for bars in self.bars]

    def counted(self, horizon: int) -> list[FloatArray]:
        """Return forward returns, NaN where they span a long hole."""
        pairs = zip(self.forward(horizon), self.holes, strict=True)
        return [np.where(holes.same_side(horizon), values, np.nan) for values, holes in pairs]


def _clipped(
    series: _Series, horizon: int, multiplier: FloatArray, lows: FloatArray, highs: FloatArray
) -> IntArray:
    """Count labels by clip(multiplier x vol x sqrt(H), adaptive_min, adaptive_max).

    With t = min(max(x, lo), hi) and lo <= hi, r > t exactly when r > hi, or r > lo and r > x. So the
    number of bars above t is N(r > hi) + N(r > lo, r > x) - N(r > hi, r > x), all of them sums over one
    histogram of the bars by how many multipliers and limits their return exceeds.
    """
    cuts, multipliers = np.unique(np.concatenate([lows, highs])), np.unique(multiplier)
    known = _histogram(series, series.volatility, horizon, multipliers, cuts)
    above = _more_than(known)
    k = np.searchsorted(multipliers, multiplier)[:, None, None] + 1
    low = (np.searchsorted(cuts, lows) + 1)[None, :, None]
    high = (np.searchsorted(cuts, highs) + 1)[None, None, :]
    sides = above[:, 0, high] + above[:, k, low] - above[:, k, high]
    return np.stack([sides[0], known.sum() - sides.sum(axis=0), sides[1]], axis=-1)


def _constant(series: _Series, horizon: int, price_change: FloatArray) -> IntArray:
    """Count labels by a constant threshold."""
    cuts = np.unique(price_change)
    unused = [np.zeros(len(bars)) for bars in series.bars]
    known = _histogram(series, unused, horizon, np.ones(1), cuts)
    sides = _more_than(known)[:, 0, np.searchsorted(cuts, price_change) + 1]
    return np.stack([sides[0], known.sum() - sides.sum(axis=0), sides[1]], axis=-1)


def _histogram(
    series: _Series, volatility: list[FloatArray], horizon: int, multipliers: FloatArray, cuts: FloatArray
) -> IntArray:
    out = np.zeros((2, len(multipliers) + 1, len(cuts) + 1), dtype=np.int64)
    for values, scale in zip(series.counted(horizon), volatility, strict=True):
        tally()(values, scale, np.sqrt(horizon), multipliers, cuts, out)
    return out


def _more_than(known: IntArray) -> IntArray:
    """Return sums [side, k, c] over the bars that exceed at least k multipliers and c cuts."""
    sums: IntArray = np.flip(np.flip(known, (1, 2)).cumsum(1).cumsum(2), (1, 2))
    return sums


def _quantiles(series: _Series, horizon: int, sell: FloatArray, buy: FloatArray) -> IntArray:
    """Count labels by the train quantiles of forward returns in units of volatility."""
    scale = [np.where(vol > 0, vol, np.nan) * np.sqrt(horizon) for vol in series.volatility]
    pooled = np.concatenate([f / s for f, s in zip(series.forward(horizon), scale, strict=True)])
    pooled = pooled[np.isfinite(pooled)]
    sells, buys, total = np.zeros(len(sell), np.int64), np.zeros(len(buy), np.int64), 0
    if len(pooled):
        lower, upper = np.quantile(pooled, sell), np.quantile(pooled, 1 - buy)
        for forward, unit in zip(series.counted(horizon), scale, strict=True):
            known = np.isfinite(forward) & np.isfinite(unit)
            values, units = forward[known], unit[known]
            total += len(values)
            sells += [np.count_nonzero(values < level * units) for level in lower]
            buys += [np.count_nonzero(values > level * units) for level in upper]
    both = np.broadcast_arrays(sells[:, None], total - sells[:, None] - buys[None, :], buys[None, :])
    return np.stack(both, axis=-1)


def _ordered(counts: IntArray, varied: Sequence[str], names: Sequence[str]) -> IntArray:
    """Return counts with the axes in the order of ``names``, without those that are not among them."""
    kept = [name for name in varied if name in names]
    squeezed = counts.squeeze(tuple(place for place, name in enumerate(varied) if name not in names))
    return np.transpose(squeezed, (*(kept.index(name) for name in names), len(kept)))


def _one_by_one(task: LabelSearch, axes: Axes, wanted: Sequence[int], advance: Advance) -> IntArray:
    counts = np.zeros((len(wanted), N_CLASSES), dtype=np.int64)
    holes = {symbol: find_holes(bars.timestamp, task.max_gap_ns) for symbol, bars in task.bars.items()}
    chosen = {index: row for row, index in enumerate(wanted)}
    for index, changed in enumerate(combinations(axes)):
        if index not in chosen:
            continue
        labeler = task.create(changed).fit(task.bars, task.train_end)
        for symbol, bars in task.bars.items():
            labels = within(labeler.label(bars), holes[symbol], labeler.horizon_bars)
            counts[chosen[index]] += np.bincount(labels[labels != UNDEFINED], minlength=N_CLASSES)
        advance(1)
    return counts


def within(labels: LabelArray, holes: Holes, horizon_bars: int) -> LabelArray:
    """Return labels, -1 where they span a long hole."""
    return np.where(holes.same_side(horizon_bars), labels, np.int8(UNDEFINED))
