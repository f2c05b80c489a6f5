"""Two short symbols, components that remember what they were given, and their data set."""

from dataclasses import replace

import numpy as np
import pytest

from simengine.config.schema import Config
from simengine.rundir import RunDir
from simengine.steps.infer import Scored
from simengine.steps.parts import Parts
from simengine.steps.prepare import prepare
from simengine.types import Bars

HORIZON = 3
SETTINGS = {"window": {"length": 5, "train_stride": 1}}


def make_bars(symbol, times, seed):
    times = np.asarray(times, dtype=np.int64)
    close = 100.0 * np.exp(np.random.default_rng(seed).normal(0, 0.01, len(times)).cumsum())
    open_ = close * 1.001
    return Bars(symbol, times, open_, open_, close, close, np.ones(len(times)))


class Series:
    """A source of two symbols, 101 bars and 61 bars that begin later; knows probabilities of its own."""

    def __init__(self):
        self.bars = {"A": make_bars("A", range(101), 1), "B": make_bars("B", range(40, 101), 2)}
        self.asked = []

    def load(self):
        return dict(self.bars)

    def class_probabilities(self, symbol, ends, lower, upper, horizon_bars, history=None):
        self.asked.append((symbol, ends, lower, upper, horizon_bars, history))
        likely = [0.5, 0.3, 0.2] if history is None else [0.2, 0.3, 0.5]
        return np.tile(likely, (len(ends), 1))


class Ramp:
    """The number of the bar and its close."""

    names = ("row", "close")
    warmup = 4

    def compute(self, bars):
        return np.stack([np.arange(len(bars)), bars.close], axis=1).astype(np.float32)


class Alternating:
    """Labels 0, 1, 2, 0, ... by bar number; the threshold of a bar is its number."""

    horizon_bars = HORIZON

    def fit(self, bars_by_symbol, train_end):
        self.fitted_until = train_end
        return self

    def label(self, bars):
        labels = (np.arange(len(bars)) % 3).astype(np.int8)
        labels[-self.horizon_bars :] = -1
        return labels

    def thresholds(self, bars):
        rows = np.arange(float(len(bars)))
        return -rows, rows


class LastBar:
    """A model: logits from the number of the last bar."""

    def predict_logits(self, windows, transform=None):
        last = windows.gather(slice(None))[:, -1, 0].astype(np.float64)
        return np.stack([np.sin(last * 40), np.cos(last * 40), np.sin(last * 70)], axis=1)


class Plain:
    is_identity = True
    weight = 1.0


class Tilt:
    """A calibrator towards BUY that keeps what it was fitted on."""

    def fit(self, log_proba, labels):
        self.seen = log_proba, labels
        return self

    def transform(self, log_proba):
        return log_proba + np.array([0.0, 0.0, 1.0])


class Largest:
    """A decision by argmax that keeps what it was fitted on."""

    def fit(self, log_proba, labels, context):
        self.seen, self.context = (log_proba, labels), context
        return self

    def decide(self, log_proba):
        return log_proba.argmax(axis=1)


@pytest.fixture
def make_config():
    """Return a function of the sections that differ from the defaults."""
    return lambda **sections: Config.model_validate({**SETTINGS, **sections})


@pytest.fixture
def parts():
    """Components that do little and remember what they were given; None where nothing is needed."""
    made = dict.fromkeys(Parts.__slots__)
    made |= {"source": Series(), "features": Ramp(), "labeler": Alternating(), "model": LastBar()}
    return Parts(**made | {"tta": (Plain(),), "calibrator": Tilt(), "decision": Largest()})


@pytest.fixture
def prepared(make_config, parts):
    """The data set of both symbols."""
    return prepare(make_config(), parts)


@pytest.fixture
def run_dir(tmp_path):
    """An empty run directory."""
    return RunDir.create(tmp_path, "test", "0123456789")


@pytest.fixture
def make_scored():
    """Return a function of labels and the columns that differ: uniform rows of symbol 0."""

    def make(labels, **changes):
        n = len(labels)
        uniform = np.log(np.full((n, 3), 1 / 3))
        plain = Scored(
            groups=np.zeros(n, np.int16),
            bar_rows=np.arange(n),
            timestamp=np.arange(n),
            labels=np.asarray(labels, np.int8),
            forward_return=np.where(np.arange(n) % 2, 0.01, -0.01),
            raw_log_proba=uniform,
            log_proba=uniform,
            signals=np.ones(n, np.int8),
            view_log_proba=uniform[:, None],
        )
        return replace(plain, **changes)

    return make
