import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simengine.errors import DataError
from simengine.evaluate.logproba import log_softmax
from simengine.evaluate.prior_matching import cut, largest_remainder, match_counts, match_prior

SEEDS = st.integers(0, 10_000)


def draw(seed, n=300, steepness=1.0, tilt=(0.0, 0.0, 0.0)):
    rng = np.random.default_rng(seed)
    exact = log_softmax(rng.normal(size=(n, 3)) * steepness)
    labels = (exact + rng.gumbel(size=exact.shape)).argmax(axis=1).astype(np.int8)
    return log_softmax(exact + np.array(tilt)), labels


def counts_of(decided):
    return np.bincount(decided, minlength=3)


@settings(deadline=None)
@given(SEEDS, st.integers(20, 400), st.sampled_from([0.01, 0.3, 1, 6]), st.sampled_from([-4.0, 0.0, 5.0]))
def test_any_shares_are_reached_to_the_row_when_scores_have_no_ties(seed, n, steepness, tilt):
    scores, _ = draw(seed, n, steepness, (0, 0, tilt))
    counts = largest_remainder(np.random.default_rng(seed).dirichlet([2, 2, 2]), n)
    assume(counts.min() >= 1)
    offsets = match_counts(scores, counts)
    np.testing.assert_array_equal(counts_of((scores + offsets).argmax(axis=1)), counts)
    assert offsets.sum() == pytest.approx(0, abs=1e-9)


def test_the_chosen_rows_have_the_largest_sum_of_scores():
    """Against every assignment of 7 rows with 2 SELL, 3 HOLD, 2 BUY."""
    for seed in range(20):
        scores, _ = draw(seed, 7)
        decided = (scores + match_counts(scores, np.array([2, 3, 2]))).argmax(axis=1)
        value = scores[np.arange(7), decided].sum()
        every = (np.array(a) for a in set(itertools.permutations([0, 0, 1, 1, 1, 2, 2])))
        assert value == pytest.approx(max(scores[np.arange(7), a].sum() for a in every))


def test_largest_remainder_by_hand():
    np.testing.assert_array_equal(largest_remainder(np.array([0.283, 0.339, 0.378]), 10), [3, 3, 4])
    np.testing.assert_array_equal(largest_remainder(np.array([1 / 3, 1 / 3, 1 / 3]), 4), [2, 1, 1])


def test_a_collapsed_argmax_has_the_wanted_shares_after_matching():
    scores, labels = draw(1, 2000, 0.2, (0, 0, 1.5))
    share = counts_of(labels) / 2000
    found = match_prior(scores, share)
    assert (scores.argmax(axis=1) == 2).mean() > 0.95
    np.testing.assert_array_equal(found.reached_share, share)
    np.testing.assert_array_equal(found.target_share, share)
    assert found.converged
    assert found.reason == ""
    np.testing.assert_array_equal(counts_of((scores + found.offsets).argmax(axis=1)), counts_of(labels))


def test_offsets_by_hand():
    """Two rows of each class, 1 nat apart at their borders: offsets lie in the middle of the gaps."""
    rows = [[3.0, 0, 0], [2.0, 0, 0], [0, 0, 0], [0, 0, 1.0], [0, 0, 4.0], [0, 0, 5.0]]
    scores = log_softmax(np.array(rows))
    found = match_prior(scores, np.full(3, 1 / 3))
    # SELL against HOLD between 2 and 0, BUY against HOLD between 4 and 1.
    np.testing.assert_allclose(found.offsets - found.offsets[1], [-1.0, 0.0, -2.5], atol=1e-12)


def test_why_it_did_not_converge():
    scores = np.tile(np.log([0.28, 0.34, 0.38]), (100, 1))
    found = match_prior(scores, np.array([0.28, 0.34, 0.38]))
    assert not found.converged
    assert found.reason == (
        "cannot reach the shares 0.280 / 0.340 / 0.380 on 100 rows, nearest found 0.000 / 0.000 / 1.000, "
        "because scores are equal (1 distinct)"
    )
    np.testing.assert_array_equal(found.reached_share, [0, 0, 1])


@pytest.mark.parametrize(("scores", "share", "message"), [
    (np.zeros((4, 2)), [0.3, 0.3, 0.4],
     "prior matching: expected finite scores (n, 3), received shape (4, 2)"),
    (np.full((4, 3), np.nan), [0.3, 0.3, 0.4],
     "prior matching: expected finite scores (n, 3), received shape (4, 3)"),
    (np.zeros((4, 3)), [0.5, 0.5], "prior matching: expected three shares of 0 or more, received [0.5, 0.5]"),
    (np.zeros((4, 3)), [0.5, 0.7, -0.2],
     "prior matching: expected three shares of 0 or more, received [0.5, 0.7, -0.2]"),
    (np.zeros((4, 3)), [0.5, 0.0, 0.5],
     "prior matching: HOLD gets no row (shares 0.500 / 0.000 / 0.500 of 4 rows)"),
])  # fmt: skip
def test_what_cannot_be_matched_is_refused(scores, share, message):
    with pytest.raises(DataError) as error:
        match_prior(scores, np.array(share))
    assert str(error.value) == message


def test_cut_by_hand():
    assert cut(np.array([1.0, 4.0, 2.0, 3.0]), 1) == 3.5
    assert cut(np.array([1.0, 4.0, 2.0, 3.0]), 3) == 1.5
    # A run of three equal values: one row above it is nearer to two than four are.
    assert cut(np.array([5.0, 2.0, 2.0, 2.0, 1.0]), 2) == 3.5
    assert cut(np.array([5.0, 2.0, 2.0, 2.0, 1.0]), 3) == 1.5
