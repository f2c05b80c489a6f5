"""Searches over real labelers on synthetic bars."""

from dataclasses import replace

import numpy as np
import pytest

from simengine.data.label_search import LabelSearch
from simengine.plugin.manager import build_registry
from simengine.plugin.testing.samples import make_bars

REGISTRY = build_registry(discover=False)


@pytest.fixture(scope="session")
def make_task():
    """Return a function of bars, a labeler's name and its options."""

    def make(bars, labeler="adaptive_threshold", *, window=20, seed=3, max_gap_ns=None, **options):
        full = REGISTRY.resolve("labeler", {"type": labeler, **options}).options
        return LabelSearch(
            labeler=labeler,
            options=full,
            create=lambda changed: REGISTRY.create("labeler", {"type": labeler, **full, **changed}),
            bars=bars,
            train_end=max(int(item.timestamp[-1]) for item in bars.values()) + 1,
            window=window,
            seed=seed,
            max_gap_ns=max_gap_ns,
        )

    return make


@pytest.fixture(scope="session")
def bars():
    """Two symbols of 1,500 five-minute bars, the second with a hole and a stretch without movement."""
    first, second = (make_bars(1500, 5, symbol) for symbol in ("A", "B"))
    times = second.timestamp.copy()
    times[700:] += 3600 * 10**9
    close = second.close.copy()
    close[900:1150] = close[900]
    high, low = np.maximum(second.high, close), np.minimum(second.low, close)
    return {"A": first, "B": replace(second, timestamp=times, close=close, high=high, low=low)}


@pytest.fixture(scope="session")
def optimizer():
    """Return a function of the component and its options."""
    return lambda name, **options: REGISTRY.create("threshold_optimizer", {"type": name, **options})
