from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from simengine.types import Bars, StrategyContext


def build_context(
    close: Sequence[float],
    *,
    signals: Sequence[int] | None = None,
    proba: Sequence[Sequence[float]] | None = None,
) -> StrategyContext:
    """A context with the given closes; no signals and no probabilities unless given."""
    price = np.asarray(close, dtype=float)
    n = len(price)
    bars = Bars("X", np.arange(n) * 10**9, price, price, price, price, np.ones(n))
    return StrategyContext(
        bars,
        np.full((n, 3), np.nan) if proba is None else np.asarray(proba, dtype=float),
        np.full(n, -1, np.int8) if signals is None else np.asarray(signals, dtype=np.int8),
        "X",
    )


@pytest.fixture
def make_context() -> Callable[..., StrategyContext]:
    return build_context


@pytest.fixture
def assert_causal() -> Callable[..., None]:
    """Check that nothing after a bar changes the target of that bar, and that inputs stay as they are."""

    def check(strategy) -> None:
        rng = np.random.default_rng(11)
        n = 160
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
        context = build_context(close, signals=rng.integers(-1, 3, n), proba=rng.dirichlet(np.ones(3), n))
        whole = strategy.targets(context)
        assert whole.dtype == np.float64
        assert whole.shape == (n,)
        assert np.nanmax(np.abs(whole)) <= 1
        assert (context.bars.close == close).all()
        for cut in (1, 3, 49, 50, 51, 120, n - 1):
            columns = {}
            for name, column in context.bars.columns():
                columns[name] = np.concatenate([column[:cut], column[cut:] * 7.0])
                columns[name][cut] *= 100
            changed = replace(
                context,
                bars=replace(context.bars, **columns),
                proba=np.concatenate([context.proba[:cut], context.proba[cut:][:, ::-1]]),
                signals=np.concatenate([context.signals[:cut], 2 - context.signals[cut:]]),
            )
            assert strategy.targets(changed)[:cut].tobytes() == whole[:cut].tobytes()
            short = replace(
                context,
                bars=context.bars.slice(0, cut),
                proba=context.proba[:cut],
                signals=context.signals[:cut],
            )
            assert strategy.targets(short).tobytes() == whole[:cut].tobytes()

    return check
