"""The battery of smote: each broken promise is named."""

from dataclasses import replace

import numpy as np
import pytest

from simengine.data.synthetic import Synthetic
from simengine.plugin.testing import check_component
from simengine.seed import stream


class Pairs:
    """Each SELL row with one that shares no bar, of its class."""

    def synthesize(self, task):
        train, rng = task.train, stream(task.seed, "pairs")
        sell = np.flatnonzero(train.labels == 0)
        first = rng.permutation(sell)[:40]
        second = np.array([self.partner(train, sell, row) for row in first])
        return Synthetic(first, second, rng.random(40, dtype=np.float32), {"made": 40})

    def partner(self, train, rows, row):
        apart = np.abs(train.ends[rows] - train.ends[row]) >= train.length
        return rows[apart][0]


class Nothing(Pairs):
    def synthesize(self, task):
        none = np.zeros(0, np.int64)
        return Synthetic(none, none, np.zeros(0, np.float32), {})


class Overlapping(Pairs):
    def partner(self, train, rows, row):
        return rows[np.argsort(np.abs(train.ends[rows] - train.ends[row]), kind="stable")[1]]


class OtherClass(Pairs):
    def partner(self, train, rows, row):
        return np.flatnonzero(train.labels == 1)[-1]


class SmallIds(Pairs):
    def synthesize(self, task):
        found = super().synthesize(task)
        return Synthetic(found.first.astype(np.int32), found.second, found.mix, found.report)


class Unseeded(Pairs):
    def synthesize(self, task):
        found = super().synthesize(task)
        return Synthetic(found.first, found.second, np.random.default_rng().random(40, np.float32), {})


class OneSeed(Pairs):
    def synthesize(self, task):
        return super().synthesize(replace(task, seed=0))


class Forgets(Pairs):
    def synthesize(self, task):
        found = super().synthesize(task)
        if task.scratch is None:
            return found
        if task.scratch.exists():
            return Synthetic(found.first[:20], found.second[:20], found.mix[:20], {})
        task.scratch.mkdir()
        return found


class Writes(Pairs):
    def synthesize(self, task):
        task.train.labels[0] = 1 - task.train.labels[0]
        return super().synthesize(task)


class Opaque(Pairs):
    def synthesize(self, task):
        found = super().synthesize(task)
        return Synthetic(found.first, found.second, found.mix, {"rows": np.arange(3)})


class NoSynthetic(Pairs):
    def synthesize(self, task):
        return np.zeros((3, 5))


def test_what_keeps_its_promises_passes():
    check_component("smote", Pairs)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Nothing, r"^smote Nothing: synthesize\(\) makes no row of classes with \(90, 130, 180\) rows$"),
        (Overlapping, r"^smote Overlapping: pair .* joins two windows that share a bar"),
        (OtherClass, r"^smote OtherClass: pair 0 joins two classes \(40 such pairs\)$"),
        (SmallIds, r"^smote SmallIds: first must be int64, received int32$"),
        (Unseeded, r"^smote Unseeded: two syntheses with the same seed differ$"),
        (OneSeed, r"^smote OneSeed: the seed given changes nothing$"),
        (Forgets, r"^smote Forgets: a second synthesis with a scratch folder gives other rows$"),
        (Writes, r"^smote Writes: synthesize\(\) changed its input; work on a copy$"),
        (Opaque, r"^smote Opaque: the report must be plain data \("),
        (NoSynthetic, r"^smote NoSynthetic: synthesize\(\) must return a Synthetic, received ndarray$"),
    ],
)
def test_a_broken_contract_is_named(component, message):
    with pytest.raises(AssertionError, match=message):
        check_component("smote", component)
