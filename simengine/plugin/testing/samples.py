"""Small synthetic inputs of every kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from simengine.seed import stream
from simengine.types import (
    Bars,
    DecisionContext,
    DecisionMarket,
    FloatArray,
    LabelArray,
    Signal,
    StrategyContext,
)

BAR_NS = 300 * 10**9
START_NS = 1_577_836_800 * 10**9


def make_bars(n: int, seed: int, symbol: str = "TEST") -> Bars:
    """Return ``n`` valid five-minute bars of a random walk."""
    rng = stream(seed, f"testing.bars.{symbol}")
    steps = 0.002 * rng.standard_normal(n) * (1 + 0.5 * np.sin(np.arange(n) / 50))
    close = 100 * np.exp(np.cumsum(steps))
    open_ = np.concatenate(([100.0], close[:-1])) * np.exp(1e-4 * rng.standard_normal(n))
    upper, lower = 0.001 * rng.random(n), 0.001 * rng.random(n)
    volume = np.exp(rng.normal(4, 0.5, n))
    high = np.maximum(open_, close) * (1 + upper)
    low = np.minimum(open_, close) * (1 - lower)
    times = START_NS + BAR_NS * np.arange(n, dtype=np.int64)
    return Bars(symbol, times, open_, high, low, close, volume, volume * (high + low + close) / 3)


def changed_after(bars: Bars, t: int, how: str) -> Bars:
    """Return bars that differ from ``bars`` after row ``t`` only, and still are valid.

    ``how`` is ``"scale"`` (prices x 1.7, volume x 3) or ``"spike"`` (one bar x 5, flat afterwards).
    """
    later = np.arange(len(bars)) > t
    if how == "scale":
        factor = np.where(later, 1.7, 1.0)
        columns: dict[str, Any] = {name: values * factor for name, values in bars.columns()}
        columns["volume"] = bars.volume * np.where(later, 3.0, 1.0)
        return replace(bars, **columns)
    level = np.where(np.arange(len(bars)) == t + 1, 5 * bars.close[t], bars.close[t])
    columns = {name: np.where(later, level, values) for name, values in bars.columns()}
    columns["volume"] = np.where(later, 1.0, bars.volume)
    return replace(bars, **columns)


def make_scores(n: int, seed: int) -> tuple[FloatArray, LabelArray]:
    """Return normalised log-probabilities (n, 3), some at the floor of 1e-7, and labels drawn from them."""
    rng = stream(seed, "testing.scores")
    logits = rng.normal(0, 1.2, (n, 3)) + np.array([0.0, 0.2, 0.4])
    logits[: n // 50] = [-20.0, 0.0, -20.0]
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    proba = np.maximum(proba, 1e-7)
    proba /= proba.sum(axis=1, keepdims=True)
    labels = (rng.random(n)[:, None] > np.cumsum(proba, axis=1)[:, :2]).sum(axis=1).astype(np.int8)
    return np.log(proba), labels


def make_labels(n: int, seed: int) -> LabelArray:
    """Return labels with the shares 28, 34 and 38 %."""
    rng = stream(seed, "testing.labels")
    labels: LabelArray = rng.choice(3, size=n, p=[0.28, 0.34, 0.38]).astype(np.int8)
    return labels


def make_decision_context(labels: LabelArray) -> DecisionContext:
    """Return what a decision may know of rows with these labels: two symbols whose bars follow them.

    The first half of the rows is the one symbol, the second the other, at the same times. The bar after a
    row rises by 0.3 % after BUY and falls after SELL, so that signals like the labels earn money after the
    fee of 2 bps.
    """
    half = len(labels) // 2
    groups = (np.arange(len(labels)) >= half).astype(np.int64)
    rows = np.arange(len(labels)) - half * groups
    bars = {}
    for index, symbol in enumerate(("A", "B")):
        mine = labels[groups == index]
        steps = np.where(mine == Signal.BUY, 0.003, np.where(mine == Signal.SELL, -0.003, 0.0))
        close = 100 * np.exp(np.concatenate([[0.0], np.cumsum(steps)]))
        open_ = np.concatenate([[100.0], close[:-1]])
        times = START_NS + BAR_NS * np.arange(len(close), dtype=np.int64)
        edges = np.maximum(open_, close), np.minimum(open_, close)
        bars[symbol] = Bars(symbol, times, open_, *edges, close, np.full(len(close), 1e6))
    market = DecisionMarket(bars, ("A", "B"), groups, rows, {"fee_bps": 2.0, "cash": 10_000.0})
    return DecisionContext(
        train_share=np.bincount(labels, minlength=3) / len(labels),
        horizon_bars=12,
        groups=groups,
        timestamp=START_NS + BAR_NS * rows,
        market=market,
    )


def make_context(n: int, warmup: int, seed: int) -> StrategyContext:
    """Return a strategy context whose first ``warmup`` bars have no prediction."""
    bars = make_bars(n, seed)
    log_proba, _ = make_scores(n, seed)
    proba = np.exp(log_proba[::-1])
    signals = proba.argmax(axis=1).astype(np.int8)
    proba[:warmup] = np.nan
    signals[:warmup] = -1
    return StrategyContext(bars, proba, signals, bars.symbol)
