"""The battery must fail a decision on series that breaks its contract, and a tilt that is none."""

import numpy as np
import pytest

from simengine.errors import ConfigError
from simengine.plugin.testing import check_component
from simengine.plugin.testing.samples import make_decision_context, make_scores


class Repeat:
    """HOLD at the first row of a symbol, then the most probable class of the row before."""

    step = 1

    def fit(self, log_proba, labels, context):
        return self

    def decide(self, log_proba):
        raise ConfigError("use decide_series")

    def decide_series(self, log_proba, groups, timestamp):
        signals = np.ones(len(log_proba), np.int8)
        for group in np.unique(groups):
            mine = np.flatnonzero(groups == group)
            mine = mine[np.argsort(timestamp[mine])]
            signals[mine] = self.shifted(log_proba[mine].argmax(axis=1))
        return signals

    def shifted(self, best):
        return np.append(1, best[:-1])


class Foresees(Repeat):
    def shifted(self, best):
        return np.append(best[1:], 1)


class Whole(Repeat):
    """Knows how the segment ends."""

    def shifted(self, best):
        return np.full(len(best), best[-1])


class Mixes(Repeat):
    def decide_series(self, log_proba, groups, timestamp):
        order = np.lexsort((groups, timestamp))
        signals = np.empty(len(log_proba), np.int8)
        signals[order] = self.shifted(log_proba[order].argmax(axis=1))
        return signals


class AsGiven(Repeat):
    def decide_series(self, log_proba, groups, timestamp):
        return self.shifted(log_proba.argmax(axis=1)).astype(np.int8)


class Wide(Repeat):
    def decide_series(self, log_proba, groups, timestamp):
        return super().decide_series(log_proba, groups, timestamp).astype(np.int64)


class Careless(Repeat):
    def decide(self, log_proba):
        return np.ones(len(log_proba), np.int8)


class Tilted(Repeat):
    tilt = np.zeros(3)

    def prior_tilt(self, label_share):
        return self.tilt


class Shaped(Tilted):
    tilt = np.zeros(2)


class Infinite(Tilted):
    tilt = np.array([0.0, np.inf, 0.0])


class Hungry(Tilted):
    def prior_tilt(self, label_share):
        label_share -= 0.1
        return np.log(label_share)


def test_a_decision_that_looks_back_passes():
    check_component("decision", Repeat)
    check_component("decision", Tilted)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Foresees, "looks ahead: later rows change the signals before"),
        (Whole, "looks ahead: later rows change the signals before"),
        (Mixes, "rows of one symbol change the signals of another"),
        (AsGiven, "the order in which rows are given changes their signals"),
        (Wide, "decide_series() must be int8, received int64"),
        (Careless, "decide() must refuse rows without time and symbol with a ConfigError"),
        (Shaped, "prior_tilt() must have the shape (3,), received (2,)"),
        (
            Infinite,
            "prior_tilt() must be log-odds below infinity, one of them finite; received [ 0. inf  0.]",
        ),
        (Hungry, "prior_tilt() changed its input; work on a copy"),
    ],
)
def test_a_broken_contract_is_named(component, message):
    with pytest.raises(AssertionError) as caught:
        check_component("decision", component)
    assert str(caught.value) == f"decision {component.__name__}: {message}"


def test_the_synthetic_market_is_one_that_a_decision_can_earn_on():
    """Otherwise cost_aware would be checked on HOLD alone."""
    from simengine_plugins.decisions.cost_aware import CostAware

    log_proba, labels = make_scores(600, 0)
    context = make_decision_context(labels)
    rule = CostAware().fit(log_proba, labels, context)
    assert rule.chosen_["trades"]
    assert set(rule.decide(log_proba)) == {0, 1, 2}
    assert (np.bincount(context.groups) == 300).all()
    assert all(len(bars) == 301 for bars in context.market.bars.values())
