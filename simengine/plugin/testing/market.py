"""Contracts of the kinds that look at bars: sources, features, labelers, strategies and costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from simengine.backtest.costs import FeeSchedule, SlippageModel, Stops
from simengine.plugin.state import get_state
from simengine.plugin.testing.case import Case
from simengine.plugin.testing.samples import changed_after, make_bars, make_context
from simengine.types import Bars, StrategyContext

N_BARS = 900
CUTS = (500, 650, 801)
CHANGES = ("scale", "spike")


def check_source(case: Case) -> None:
    """Bars are valid, sorted and the same in every load; exact probabilities, if offered, are such."""
    loaded = case.fresh().load()
    case.expect(isinstance(loaded, dict) and loaded, "load() must return at least one symbol in a dict")
    for symbol, bars in loaded.items():
        _check_bars(case, symbol, bars)
    case.same(loaded, case.fresh().load(), "two loads with the same options differ")
    if hasattr(case.fresh(), "class_probabilities"):
        _check_probabilities(case, loaded)


def _check_bars(case: Case, symbol: str, bars: Bars) -> None:
    case.expect(isinstance(bars, Bars), f"{symbol} must be Bars, received {type(bars).__name__}")
    case.expect(bars.symbol == symbol, f"the bars of {symbol} are called {bars.symbol}")
    times = case.array(bars.timestamp, f"timestamp of {symbol}", (len(bars),), np.int64)
    case.expect(len(bars) > 0, f"{symbol} has no bars")
    case.expect((np.diff(times) > 0).all(), f"timestamps of {symbol} must be strictly increasing")
    for name, values in bars.columns():
        column = case.array(values, f"{name} of {symbol}", (len(bars),), np.float64)
        case.expect(np.isfinite(column).all(), f"{name} of {symbol} must be finite")
        least = 0 if name in ("volume", "turnover") else np.nextafter(0, 1)
        case.expect((column >= least).all(), f"{name} of {symbol} must not be negative, prices above 0")
    top, bottom = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
    case.expect((bars.high >= top * (1 - 1e-9)).all(), f"high of {symbol} lies below its open or close")
    case.expect((bars.low <= bottom * (1 + 1e-9)).all(), f"low of {symbol} lies above its open or close")


def _check_probabilities(case: Case, loaded: dict[str, Bars]) -> None:
    source = case.fresh()
    source.load()
    symbol, bars = next(iter(loaded.items()))
    ends = np.unique(np.linspace(len(bars) // 2, len(bars) - 1, 20).astype(np.int64))
    upper = np.full(len(ends), 0.001)
    for history in (None, 60):
        with case.untouched("class_probabilities()", ends, upper):
            proba = source.class_probabilities(symbol, ends, -upper, upper, 12, history)
        case.array(proba, "class_probabilities()", (len(ends), 3), np.float64)
        case.expect((proba >= 0).all(), "class_probabilities() must not be negative")
        case.expect(np.allclose(proba.sum(axis=1), 1, atol=1e-6), "class_probabilities() must sum to 1")


def check_features(case: Case) -> None:
    """A float32 matrix, finite after its warm-up, that no later bar can change."""
    bars = make_bars(N_BARS, case.seed)
    features = case.fresh()
    names, warmup = features.names, features.warmup
    case.expect(
        isinstance(names, tuple) and len(set(names)) == len(names) > 0,
        "names must be a tuple of distinct names",
    )
    case.expect(isinstance(warmup, int) and warmup >= 0, "warmup must be a number of bars, 0 or more")
    with case.untouched("compute()", bars):
        matrix = features.compute(bars)
    case.array(matrix, "compute()", (len(bars), len(names)), np.float32)
    rows = max(N_BARS, warmup + 200)
    longer = make_bars(rows, case.seed)
    finite = np.isfinite(case.fresh().compute(longer)[warmup:])
    case.expect(finite.all(), f"compute() must be finite from row warmup = {warmup} on")
    case.same(matrix, case.fresh().compute(bars), "two computations of the same bars differ")
    bare = case.fresh().compute(replace(bars, turnover=None))
    case.array(bare, "compute() without turnover", (len(bars), len(names)), np.float32)
    for t in CUTS:
        for how in CHANGES:
            later = case.fresh().compute(changed_after(bars, t, how))
            where = np.flatnonzero(_differs(matrix[: t + 1], later[: t + 1]).any(axis=0))
            leaking = ", ".join(names[column] for column in where)
            case.expect(not leaking, f"looks ahead: bars after t change the features up to t: {leaking}")


def _differs(first: Any, second: Any) -> Any:  # noqa: ANN401
    return (first != second) & ~(np.isnan(first) & np.isnan(second))


def check_labeler(case: Case) -> None:
    """int8 labels over exactly the horizon; thresholds known at t; fitted on nothing after train_end."""
    both = {symbol: make_bars(N_BARS, case.seed, symbol) for symbol in ("A", "B")}
    bars, train_end = both["A"], int(both["A"].timestamp[600])
    with case.untouched("fit()", both):
        fitted = case.fresh().fit(both, train_end)
    horizon = fitted.horizon_bars
    case.expect(isinstance(horizon, int) and horizon >= 1, "horizon_bars must be a number of bars, 1 or more")
    with case.untouched("label()", bars):
        labels = fitted.label(bars)
    case.array(labels, "label()", (len(bars),), np.int8)
    case.expect(np.isin(labels, (-1, 0, 1, 2)).all(), "label() must give -1, 0, 1 or 2")
    case.expect(
        (labels[-horizon:] == -1).all(), f"the last {horizon} bars have no known label and must be -1"
    )
    case.expect((labels >= 0).any(), f"labels none of {len(bars)} bars")
    case.same(labels, case.fresh().fit(both, train_end).label(bars), "two fits on the same bars differ")
    case.same(labels, case.restored(fitted).label(bars), "labels differ after the state went through a file")
    _check_thresholds(case, fitted, bars)
    _check_label_causality(case, fitted, bars)
    for how in CHANGES:
        later = {symbol: changed_after(item, 599, how) for symbol, item in both.items()}
        state = get_state(case.fresh().fit(later, train_end))
        case.same(get_state(fitted), state, "looks ahead: bars from train_end on change what fit() learns")


def _check_thresholds(case: Case, fitted: Any, bars: Bars) -> None:  # noqa: ANN401
    with case.untouched("thresholds()", bars):
        found = fitted.thresholds(bars)
    if found is None:
        return
    case.expect(
        isinstance(found, tuple) and len(found) == 2, "thresholds() must return (lower, upper) or None"
    )
    lower, upper = (case.array(item, "a threshold", (len(bars),), np.float64) for item in found)
    known = np.isfinite(lower) & np.isfinite(upper)
    case.expect((lower[known] <= upper[known]).all(), "a lower threshold lies above the upper one")
    for t in CUTS:
        for how in CHANGES:
            later = fitted.thresholds(changed_after(bars, t, how))
            before, after = ([item[: t + 1] for item in pair] for pair in (found, later))
            case.same(before, after, "looks ahead: bars after t change the thresholds up to t")


def _check_label_causality(case: Case, fitted: Any, bars: Bars) -> None:  # noqa: ANN401
    labels = fitted.label(bars)
    for t in CUTS:
        stop = t - fitted.horizon_bars + 1
        for how in CHANGES:
            later = fitted.label(changed_after(bars, t, how))
            message = "looks beyond its horizon: bars after t change labels up to t - horizon_bars"
            case.same(labels[:stop], later[:stop], message)


def check_strategy(case: Case) -> None:
    """Exposures in [-1, 1] or NaN that neither later bars nor later predictions can change."""
    context = make_context(N_BARS, 300, case.seed)
    with case.untouched("targets()", context):
        targets = case.fresh().targets(context)
    case.array(targets, "targets()", (N_BARS,), np.float64)
    case.expect(not np.isinf(targets).any(), "targets() must be finite, or NaN to keep the last target")
    beyond = targets[np.abs(targets) > 1]
    case.expect(len(beyond) == 0, f"targets() must lie in [-1, 1] or be NaN, received {beyond[:1].tolist()}")
    case.same(targets, case.fresh().targets(context), "two calls with the same context differ")
    for t in CUTS:
        for how in CHANGES:
            later = case.fresh().targets(_changed_context(context, t, how))
            message = "looks ahead: bars or predictions after t change the targets up to t"
            case.same(targets[: t + 1], later[: t + 1], message)
    if hasattr(case.fresh(), "stops"):
        stops = case.fresh().stops()
        case.expect(isinstance(stops, Stops), f"stops() must return Stops, received {type(stops).__name__}")


def _changed_context(context: StrategyContext, t: int, how: str) -> StrategyContext:
    proba, signals = context.proba.copy(), context.signals.copy()
    proba[t + 1 :] = proba[t + 1 :, ::-1]
    signals[t + 1 :] = 2 - np.abs(signals[t + 1 :])
    bars = changed_after(context.bars, t, how)
    return replace(context, bars=bars, proba=proba, signals=signals)


def check_fees(case: Case) -> None:
    """A finite schedule."""
    schedule = case.fresh().schedule()
    case.expect(
        isinstance(schedule, FeeSchedule),
        f"schedule() must return FeeSchedule, received {type(schedule).__name__}",
    )
    case.expect(np.isfinite(schedule.tiers).all(), "the fee schedule must be finite")
    case.same(schedule, case.fresh().schedule(), "two schedules with the same options differ")


def check_slippage(case: Case) -> None:
    """A finite move against the order."""
    model = case.fresh().model()
    case.expect(
        isinstance(model, SlippageModel),
        f"model() must return SlippageModel, received {type(model).__name__}",
    )
    numbers = (model.rate, model.impact)
    case.expect(
        np.isfinite(numbers).all() and min(numbers) >= 0,
        f"slippage must be finite and not negative: {numbers}",
    )
    case.same(model, case.fresh().model(), "two models with the same options differ")
