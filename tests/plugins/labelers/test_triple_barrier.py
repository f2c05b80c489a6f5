"""First touches by hand: 60 quiet bars give a volatility, then the bars of the case follow."""

import numpy as np
import pytest

from simengine.data.volatility import ewm_volatility
from simengine.types import Bars
from simengine_plugins.labelers.triple_barrier import TripleBarrier

BUY, HOLD, SELL = 2, 1, 0
QUIET = 100 * np.exp(0.01 * (np.arange(61) % 2))  # returns of +/- 0.01, ends at 100


def label(later, **options):
    """Label the last quiet bar; ``later`` lists (open, high, low, close) in units of the barrier width."""
    width = ewm_volatility(QUIET)[-1] * np.sqrt(len(later))
    rows = 100 * np.exp(np.array(later, dtype=np.float64) * width * (1 + 1e-9))
    columns = [np.concatenate([QUIET, rows[:, i]]) for i in range(4)]
    n = len(columns[0])
    bars = Bars("X", np.arange(n, dtype=np.int64), *columns, np.ones(n))
    return int(TripleBarrier(horizon_bars=len(later), **options).label(bars)[60])


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([(0, 0.9, -0.9, 0), (0, 0.9, -0.9, 0), (0, 0.9, -0.9, 0.8)], HOLD),
        ([(0, 0.5, 0, 0), (0, 1.0, 0, 0), (0, 0, -2, -2)], BUY),
        ([(0, 0.5, 0, 0), (0, 0, -1.0, 0), (0, 2, 0, 2)], SELL),
        ([(0, 0, 0, 0), (0, 0, 0, 0), (0, 1.5, 0, 0)], BUY),
        ([(0, 1.5, -1.5, 1.2), (0, 0, 0, 0), (0, 0, 0, 0)], HOLD),
        ([(1.2, 1.5, -1.5, 0), (0, 0, 0, 0), (0, 0, 0, 0)], BUY),
        ([(-1.2, 1.5, -1.5, 0), (0, 0, 0, 0), (0, 0, 0, 0)], SELL),
    ],
)
def test_first_touch(later, expected):
    assert label(later) == expected


def test_each_barrier_has_its_own_distance():
    later = [(0, 1.2, -0.6, 0), (0, 0, 0, 0)]
    assert label(later) == BUY
    assert label(later, upper=1.5) == HOLD
    assert label(later, upper=1.5, lower=0.5) == SELL


def test_barriers_may_start_from_the_next_open():
    later = [(0.5, 1.2, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5)]
    assert label(later) == BUY
    assert label(later, entry="next_open") == HOLD


def test_there_are_no_thresholds():
    assert TripleBarrier().thresholds(None) is None
