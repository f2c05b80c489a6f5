import numpy as np
import pytest

from simengine.ablate.sums import Outcome
from simengine.evaluate.logproba import floor_log_proba, log_softmax

HOUR = 3_600_000_000_000


def make_outcome(seed=0, bars=400, symbols=2, sharpness=1.0, tilt=0.0):
    """Labels that the scores know something of; the two symbols share their times."""
    rng = np.random.default_rng(seed)
    times = np.arange(bars, dtype=np.int64) * HOUR
    row_time = np.tile(times, symbols)
    known = rng.normal(size=(len(row_time), 3))
    labels = (known + rng.gumbel(size=known.shape)).argmax(1).astype(np.int8)
    raw = log_softmax(sharpness * known + np.array([0.0, 0.0, tilt]))
    forward = (labels - 1) * rng.uniform(0.2, 1.0, len(labels)) + rng.normal(0, 0.5, len(labels))
    money = rng.normal(0, 0.01, (2, bars))
    return Outcome(
        times, row_time, labels, raw.argmax(1).astype(np.int8), raw, floor_log_proba(raw), forward,
        np.array([0.3, 0.3, 0.4]), money[0] - 0.001, money[0], np.abs(money[1]),
    )  # fmt: skip


def changed(outcome, **arrays):
    """Return the outcome with other arrays."""
    return Outcome(**{**outcome.to_arrays(), **arrays})


@pytest.fixture
def outcome():
    return make_outcome
