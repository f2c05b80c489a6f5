import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine.errors import DataError
from simengine.types import DecisionContext
from simengine_plugins.decisions.logit_adjusted import LogitAdjusted

SCORES = np.log([[0.25, 0.30, 0.45], [0.2, 0.3, 0.5], [0.1, 0.2, 0.7]])
LABELS = np.array([0, 1, 2], np.int8)


def decide(tau, share):
    context = DecisionContext(train_share=np.array(share), horizon_bars=1)
    return LogitAdjusted(tau=tau).fit(SCORES, LABELS, context).decide(SCORES)


def test_by_hand():
    # The ratios to the prior are 1.25 / 1 / .9 in the first row and .5 / .67 / 1.4 in the last.
    found = decide(1.0, [0.2, 0.3, 0.5])
    assert (found[0], found[2]) == (0, 2)
    assert found.dtype == np.int8


def test_tau_zero_and_equal_priors_are_the_argmax():
    np.testing.assert_array_equal(decide(0.0, [0.2, 0.3, 0.5]), [2, 2, 2])
    np.testing.assert_array_equal(decide(1.0, [1 / 3] * 3), [2, 2, 2])


@given(seed=st.integers(0, 999), shares=st.tuples(*[st.integers(1, 50)] * 3), tau=st.floats(0, 2))
def test_the_largest_ratio_to_the_prior_is_decided_and_the_offsets_are_the_tilt(seed, shares, tau):
    proba, prior = np.random.default_rng(seed).dirichlet(np.ones(3), 30), np.array(shares) / sum(shares)
    rule = LogitAdjusted(tau=tau)
    context = DecisionContext(train_share=prior, horizon_bars=1)
    decided = rule.fit(np.log(proba), np.zeros(30, np.int8), context).decide(np.log(proba))
    ratio = proba / prior**tau
    np.testing.assert_allclose(ratio[np.arange(30), decided], ratio.max(axis=1))
    np.testing.assert_allclose(rule.offsets_, rule.prior_tilt(prior))


def test_class_without_train_rows_is_refused():
    with pytest.raises(DataError) as caught:
        decide(1.0, [0.5, 0.0, 0.5])
    assert str(caught.value) == (
        "decision logit_adjusted: every class needs train rows, received the shares [0.5, 0.0, 0.5]"
    )


def test_decide_before_fit_is_refused():
    with pytest.raises(DataError, match=r"^decision logit_adjusted: decide was called before fit$"):
        LogitAdjusted().decide(SCORES)
