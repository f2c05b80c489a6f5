"""`sweep`: simulate many variants of a threshold rule on the same probabilities."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.backtest import inputs
from simengine.backtest.chunk import BLOCKS, COLUMNS, ChunkResult, Task, block_edges, run_variants, simulate
from simengine.backtest.costs import said
from simengine.backtest.engine import backtest
from simengine.backtest.sweep_identity import identity
from simengine.backtest.sweep_result import SweepResult, best_row
from simengine.backtest.sweep_store import SweepStore, read_chunk
from simengine.backtest.variants import AXES, FIELDS, Level, Variants
from simengine.errors import ConfigError, DataError, unknown_name
from simengine.log import NoProgress, Progress, event, get_logger
from simengine.types import Bars, FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from simengine.backtest.result import BacktestResult

CHUNK = 64
"""A chunk is a multiple of this many variants, the last one excepted."""

MOST_CHUNKS = 256
"""Chunks grow rather than become more than this, so that a large sweep is no flood of files."""

MIN_BARS = 2 * BLOCKS + 1
"""Two returns in each block of the overfitting statistics."""

_NOT_SWEPT = ("bars", "signals", "targets", "on_bar", *FIELDS[1:])
_SUM_TOLERANCE = 1e-3

logger = get_logger(__name__)


def sweep(
    bars: Bars | Mapping[str, Bars] | pd.DataFrame,
    proba: inputs.PerSymbol,
    *,
    thresholds: Iterable[float] | None = None,
    stop_losses: Iterable[Level] = (None,),
    take_profits: Iterable[Level] = (None,),
    trailing_stops: Iterable[Level] = (None,),
    max_bars: Iterable[int | None] = (None,),
    variants: Iterable[Mapping[str, Any]] | Variants | None = None,
    on_hold: str = "keep",
    jobs: int = 1,
    chunk: int | None = None,
    directory: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    **options: Any,  # noqa: ANN401
) -> SweepResult:
    """Simulate every variant of a threshold rule and say what the best of them is worth.

    A variant goes long when P(BUY) > threshold and P(BUY) >= P(SELL), otherwise short when P(SELL) >
    threshold, and otherwise does what ``on_hold`` says; each is exactly one `backtest`. The table does not
    depend on ``jobs``, ``chunk`` or on whether the sweep was interrupted, to the last byte.

    Parameters
    ----------
    bars : Bars, mapping of symbol to Bars, or DataFrame
        OHLCV of one or several symbols; a row of the table is of the whole account.
    proba : float array, shape (n, 3), or mapping of symbol to such
        P(SELL), P(HOLD), P(BUY) known at the close of each bar; a row of NaN keeps the position.
    thresholds, stop_losses, take_profits, trailing_stops, max_bars : iterables
        Values whose every combination is a variant, thresholds changing slowest; None is off. As in
        `backtest` the levels are fractions, and ``max_bars`` closes a position after that many bars.
    variants : iterable of mappings, or Variants
        Instead of the lists: variants such as ``{"threshold": 0.4, "stop_loss": 0.02}``.
    on_hold : "keep" or "flat"
        What a bar with probabilities but without a signal does to a position.
    jobs : int
        Threads.
    chunk : int, optional
        Variants per chunk, a multiple of 64; by default 64, or more for over 16,384 variants.
    directory : str or Path, optional
        New folder for ``sweep.json``, the finished chunks, ``table.csv`` and ``overfitting.json``.
    resume : bool
        Go on with the sweep in ``directory``; its finished chunks are not simulated again.
    progress : Progress, optional
        Told about every finished chunk.
    **options
        Every other option of `backtest`: ``cash``, ``fees``, ``fill_convention`` and so on.

    Returns
    -------
    SweepResult
        Rows are variants, columns final equity, net return, Sharpe, Sortino, max drawdown, trades, win
        rate, fees, turnover and exposure; `SweepResult.overfitting` judges the best Sharpe ratio.

    Raises
    ------
    ConfigError
        An option or a variant that is not valid.
    DataError
        Bars or probabilities that cannot be used.
    RunError
        A ``directory`` that holds something else than what is to be done.

    Examples
    --------
    >>> result = sweep(bars, proba, thresholds=[0.4, 0.5], stop_losses=[None, 0.02])  # doctest: +SKIP
    >>> result.best()["threshold"]  # doctest: +SKIP
    0.5
    """
    wanted = _variants(variants, (thresholds, stop_losses, take_profits, trailing_stops, max_bars))
    _check_numbers(jobs, chunk)
    if resume and directory is None:
        raise ConfigError("resume: give the directory of the sweep that is to go on")
    if directory is not None and not (isinstance(directory, str | Path) and str(directory)):
        raise ConfigError(f"directory is the path of a new folder, received {said(directory)}")
    task, idle = _task(bars, proba, on_hold, options)
    size = chunk or CHUNK * max(1, math.ceil(len(wanted) / (CHUNK * MOST_CHUNKS)))
    store = None
    if directory is not None:
        path = Path(directory)
        if resume and chunk is None:
            size = read_chunk(path)
        store = SweepStore.open(path, identity(task, wanted, size), resume=resume)
    parts = _run(task, wanted, size, jobs, store, progress or NoProgress())
    result = _result(task, wanted, parts, idle)
    if store is not None:
        store.finish(result.to_csv(), result.overfitting_dict())
    return result


def _variants(explicit: Iterable[Mapping[str, Any]] | Variants | None, axes: tuple[Any, ...]) -> Variants:
    """Return the variants of whichever of the two is given."""
    thresholds, *levels = axes
    if explicit is None:
        if thresholds is None:
            raise ConfigError("a sweep needs thresholds, or a list of variants")
        return Variants.grid(thresholds, *levels)
    given = [
        name
        for name, values in zip(AXES.values(), axes, strict=True)
        if values is not None and not (isinstance(values, tuple) and values == (None,))
    ]
    if given:
        raise ConfigError(
            f"a sweep takes either a grid or variants, received variants and {', '.join(given)}"
        )
    return explicit if isinstance(explicit, Variants) else Variants.listed(explicit)


def _check_numbers(jobs: object, chunk: object) -> None:
    if not isinstance(jobs, Integral) or isinstance(jobs, bool) or jobs < 1:
        raise ConfigError(f"jobs is a number of threads, 1 or more, received {said(jobs)}")
    whole = isinstance(chunk, Integral) and not isinstance(chunk, bool)
    if chunk is not None and not (whole and chunk > 0 and chunk % CHUNK == 0):  # type: ignore[operator]
        raise ConfigError(f"chunk is a number of variants, a multiple of {CHUNK}, received {said(chunk)}")


def _task(
    bars: Bars | Mapping[str, Bars] | pd.DataFrame,
    proba: inputs.PerSymbol,
    on_hold: str,
    options: dict[str, Any],
) -> tuple[Task, BacktestResult]:
    """Return what is simulated, checked by simulating an account that does nothing."""
    if on_hold not in ("keep", "flat"):
        raise ConfigError(unknown_name("on_hold", on_hold, ("keep", "flat")))
    by_symbol = inputs.as_bars(bars)
    given = inputs.per_symbol(proba, by_symbol, "probabilities")
    checked = {symbol: _probabilities(given[symbol], b) for symbol, b in by_symbol.items()}
    if all(np.isnan(values[:, 0]).all() for values in checked.values()):
        raise DataError("the probabilities are NaN in every row; there is nothing to trade")
    plain = _checked_options(options)
    plain["fees"] = inputs.as_fees(plain.get("fees"), plain.pop("fee_bps", 0.0))
    plain["slippage"] = inputs.as_slippage(plain.get("slippage"), plain.pop("slippage_bps", 0.0))
    idle = backtest(by_symbol, targets={s: np.zeros(len(b)) for s, b in by_symbol.items()}, **plain)
    ready = idle.simulation
    assert ready is not None
    n = len(idle.equity)
    if n < MIN_BARS:
        raise DataError(
            f"a sweep needs at least {MIN_BARS} bars ({BLOCKS} blocks of two returns judge its best "
            f"variant), received {n}"
        )
    plain["bars_per_year"] = idle.bars_per_year
    return Task(by_symbol, checked, plain, on_hold, block_edges(n - 1), ready), idle


def _checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the account, refusing what a sweep varies itself and what nobody knows."""
    known = [name for name in inspect.signature(backtest).parameters if name not in _NOT_SWEPT]
    for name in options:
        if name in AXES:
            raise ConfigError(f"a sweep takes a list of them: give {AXES[name]}=[...] instead of {name}")
        if name in _NOT_SWEPT:
            raise ConfigError(
                f"{name}: a sweep trades a threshold rule on probabilities; use backtest for it"
            )
        if name not in known:
            raise ConfigError(unknown_name("option", name, known))
    return dict(options)


def _probabilities(values: Any, bars: Bars) -> FloatArray:  # noqa: ANN401
    """Return checked probabilities, shape (n, 3)."""
    inputs.check_index(values, bars, "probabilities")
    try:
        proba: FloatArray = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{bars.symbol}: probabilities must be numbers or NaN") from None
    if proba.shape != (len(bars), 3):
        raise DataError(
            f"{bars.symbol}: probabilities must have the shape ({len(bars)}, 3): SELL, HOLD, BUY at each "
            f"bar; received {proba.shape}"
        )
    sell, hold, buy = proba.T
    with np.errstate(invalid="ignore"):  # infinities of both signs, refused below
        wrong = np.abs(sell + hold + buy - 1) > _SUM_TOLERANCE
    wrong |= (sell < 0) | (hold < 0) | (buy < 0)
    some = np.isnan(sell) | np.isnan(hold) | np.isnan(buy)
    wrong |= some & ~(np.isnan(sell) & np.isnan(hold) & np.isnan(buy))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{bars.symbol}: the probabilities at row {row} are {proba[row].tolist()}; three numbers in "
            "[0, 1] that sum to 1, or three NaN, are expected"
        )
    return proba


def _run(
    task: Task, variants: Variants, size: int, jobs: int, store: SweepStore | None, progress: Progress
) -> list[ChunkResult]:
    """Return the chunks in order, those on disk read and the others simulated and kept."""
    spans = [(start, min(start + size, len(variants))) for start in range(0, len(variants), size)]
    found = [None if store is None else store.load(k, stop - start) for k, (start, stop) in enumerate(spans)]
    todo = [k for k, part in enumerate(found) if part is None]
    left = sum(spans[k][1] - spans[k][0] for k in todo)
    if left < len(variants):
        event(logger, "sweep_resumed", f"{len(variants) - left:,} of {len(variants):,} variants were done")

    def work(k: int) -> int:
        found[k] = part = run_variants(task, variants.rows[slice(*spans[k])])
        if store is not None:
            store.save(k, part)
        return k

    progress.start("sweep", left)
    try:
        for k in _each(work, todo, jobs):
            progress.advance(spans[k][1] - spans[k][0])
    finally:
        progress.stop()
    return [part for part in found if part is not None]


def _each(work: Callable[[int], int], todo: list[int], jobs: int) -> Iterator[int]:
    """Yield each number when its work is done; an error or an interrupt leaves the rest undone."""
    if jobs == 1:
        yield from map(work, todo)
        return
    with ThreadPoolExecutor(jobs, thread_name_prefix="sweep") as pool:
        try:
            for done in as_completed([pool.submit(work, k) for k in todo]):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _result(task: Task, variants: Variants, parts: list[ChunkResult], idle: BacktestResult) -> SweepResult:
    """Put the chunks together; the shape of the best variant's returns comes from simulating it again."""
    rows, sums, squares = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    table = {name: np.ascontiguousarray(rows[:, k]) for k, name in enumerate(COLUMNS)}
    best = best_row(table, "sharpe")
    shape = {"skewness": math.nan, "kurtosis": math.nan}
    if best is not None:
        chosen = simulate(task, variants[best])
        shape = {name: chosen.stats[name] for name in shape}
    return SweepResult(
        variants=variants,
        table=table,
        sums=sums,
        squares=squares,
        counts=np.diff(task.edges),
        symbols=tuple(task.bars),
        span=(int(idle.timestamp[0]), int(idle.timestamp[-1])),
        fill_convention=idle.fill_convention,
        bars_per_year=idle.bars_per_year,
        skewness=shape["skewness"],
        kurtosis=shape["kurtosis"],
    )
