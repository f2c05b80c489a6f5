"""The battery refuses searches of label options that break their contract."""

import itertools

import numpy as np
import pytest

from simengine.data.label_search import SHARES, LabelSearchResult
from simengine.plugin.testing import check_component


class Fixed:
    """Two horizons, the first of them best."""

    horizons = (6, 12)

    def search(self, task):
        shares = [self.shares(task, horizon) for horizon in self.horizons]
        table = {"horizon_bars": list(self.horizons), "objective": [1.0, 0.5]}
        table |= {name: [found[k] for found in shares] for k, name in enumerate(SHARES)}
        return LabelSearchResult({"horizon_bars": 6}, table, 1.0, shares[0])

    def shares(self, task, horizon):
        labeler = task.create({"horizon_bars": horizon}).fit(task.bars, task.train_end)
        labels = np.concatenate([labeler.label(bars) for bars in task.bars.values()])
        return np.bincount(labels[labels >= 0], minlength=3) / np.count_nonzero(labels >= 0)


class NoResult(Fixed):
    def search(self, task):
        return {"horizon_bars": 6}


class Elsewhere(Fixed):
    def shares(self, task, horizon):
        return np.array([0.2, 0.3, 0.5])


class Unknown(Fixed):
    def search(self, task):
        found = super().search(task)
        table = {**found.table, "depth": [1, 2]}
        return LabelSearchResult({"depth": 1}, table, 1.0, found.shares)


class Ragged(Fixed):
    def search(self, task):
        found = super().search(task)
        return LabelSearchResult(found.best, {**found.table, "objective": [1.0]}, 1.0, found.shares)


class Unlisted(Fixed):
    def search(self, task):
        found = super().search(task)
        return LabelSearchResult({"horizon_bars": 7}, found.table, 1.0, self.shares(task, 7))


class Infinite(Fixed):
    def search(self, task):
        found = super().search(task)
        return LabelSearchResult(found.best, found.table, float("nan"), found.shares)


class Bare(Fixed):
    def search(self, task):
        found = super().search(task)
        table = {name: found.table[name] for name in ("horizon_bars", "objective")}
        return LabelSearchResult(found.best, table, 1.0, found.shares)


class Mutating(Fixed):
    def search(self, task):
        found = super().search(task)
        task.bars["A"].close[-1] *= 2
        return found


class Moody(Fixed):
    count = itertools.count()

    def search(self, task):
        found = super().search(task)
        return LabelSearchResult(
            found.best, {**found.table, "again": [next(self.count), 0]}, 1.0, found.shares
        )


def test_a_search_that_keeps_its_contract():
    check_component("threshold_optimizer", Fixed)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (NoResult, "search() must return LabelSearchResult, received dict"),
        (Elsewhere, "shares are [0.2, 0.3, 0.5], but the best options label ["),
        (Unknown, "best holds depth, which the labeler has not"),
        (Ragged, "the columns of the table must have one length above 0"),
        (Unlisted, "the table has no row with the best options and their objective"),
        (Infinite, "the objective must be finite, received nan"),
        (Bare, "the table lacks the columns sell_share, hold_share, buy_share"),
        (Mutating, "search() changed its input; work on a copy"),
        (Moody, "two searches with the same seed differ"),
    ],
)
def test_what_breaks_the_contract_is_named(component, message):
    with pytest.raises(AssertionError) as caught:
        check_component("threshold_optimizer", component)
    assert str(caught.value).startswith(f"threshold_optimizer {component.__name__}: {message}")
