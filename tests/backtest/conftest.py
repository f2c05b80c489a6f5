from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from simengine.types import Bars

# The second engine lives in files of its own beside the tests: `from reference import ...`.
sys.path.append(str(Path(__file__).parent))

HOUR = 3_600 * 10**9
START = 1_577_836_800 * 10**9  # 2020-01-01


def build_bars(
    rows: Sequence[Sequence[float]], *, volume: float = 1_000.0, symbol: str = "X", start: int = 0
) -> Bars:
    """Hourly bars from (open, high, low, close) rows, beginning ``start`` hours into 2020."""
    o, h, l, c = np.array(rows, dtype=float).T  # noqa: E741
    time = START + (start + np.arange(len(o))) * HOUR
    return Bars(symbol, time, o, h, l, c, np.full(len(o), volume))


def build_random_bars(seed: int, n: int, *, vol: float = 0.02, gap: float = 0.005, symbol: str = "X") -> Bars:
    """A random walk with gaps between a close and the next open."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, vol, n)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, gap, n))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, vol / 2, n)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, vol / 2, n)))
    return Bars(symbol, START + np.arange(n) * HOUR, open_, high, low, close, rng.uniform(1e4, 1e6, n))


@pytest.fixture
def make_bars() -> Callable[..., Bars]:
    return build_bars


@pytest.fixture(scope="session")
def random_bars() -> Callable[..., Bars]:
    return build_random_bars
