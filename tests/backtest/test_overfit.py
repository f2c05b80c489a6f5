"""Overfitting statistics against brute force, published examples and markets with a known truth."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as sps

from simengine.backtest.deflate import (
    deflated_sharpe,
    expected_maximum_sharpe,
    minimum_track_record_length,
)
from simengine.backtest.overfit import (
    BLOCKS,
    effective_trials,
    overfitting,
    probability_of_overfitting,
    sharpe_per_bar,
)
from simengine.errors import ConfigError, DataError


def block_sums(returns, blocks=BLOCKS):
    """Sums, squares and counts of (n, K) returns."""
    parts = np.array_split(np.asarray(returns), blocks)
    sums = np.array([part.sum(axis=0) for part in parts]).T
    squares = np.array([(part**2).sum(axis=0) for part in parts]).T
    return sums, squares, np.array([len(part) for part in parts])


def noise(seed, n=640, variants=20):
    return np.random.default_rng(seed).normal(0, 0.01, (n, variants))


def brute_force(returns, blocks):
    """The definition: whole return matrices, one split after the other."""
    parts = np.array_split(returns, blocks)
    chosen, logits, inside, outside = [], [], [], []
    for half in combinations(range(blocks), blocks // 2):
        a = np.concatenate([parts[b] for b in half])
        b = np.concatenate([parts[b] for b in range(blocks) if b not in half])
        sharpe_a, sharpe_b = (
            np.array([c.mean() / c.std(ddof=1) if np.ptp(c) > 0 else 0.0 for c in x.T]) for x in (a, b)
        )
        best = int(np.argmax(sharpe_a))
        w = sps.rankdata(sharpe_b)[best] / (len(sharpe_b) + 1)
        chosen.append(best)
        logits.append(math.log(w / (1 - w)))
        inside.append(sharpe_a[best])
        outside.append(sharpe_b[best])
    return np.array(chosen), np.array(logits), np.array(inside), np.array(outside)


# --- Sharpe ratios -----------------------------------------------------------------------------------


def test_sharpe_per_bar_is_that_of_the_whole_return_series():
    returns = noise(0, n=643) + 0.001
    expected = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    np.testing.assert_allclose(sharpe_per_bar(*block_sums(returns)), expected, rtol=1e-12)


def test_returns_that_do_not_vary_have_no_sharpe_ratio():
    returns = noise(0)
    returns[:, 3] = 0.0
    returns[:, 5] = 0.1  # 640 additions of 0.1 leave rounding that must not pass for variance
    sharpe = sharpe_per_bar(*block_sums(returns))
    assert np.flatnonzero(np.isnan(sharpe)).tolist() == [3, 5]


# --- Effective number of trials ----------------------------------------------------------------------


def test_effective_trials_is_rho_plus_one_minus_rho_times_n():
    sums = block_sums(noise(1, variants=6) + np.random.default_rng(9).normal(0, 0.01, (640, 1)))[0]
    correlation = np.corrcoef(sums)
    rho = correlation[np.triu_indices(6, 1)].mean()
    assert 0 < rho < 1
    assert effective_trials(sums) == pytest.approx(rho + (1 - rho) * 6, rel=1e-12)


def test_effective_trials_of_independent_variants_is_their_number_although_there_are_few_blocks():
    found = [effective_trials(block_sums(noise(seed, variants=300))[0]) for seed in range(10)]
    assert 297 < np.mean(found) <= 300


def test_effective_trials_counts_equal_variants_once_and_idle_ones_not_at_all():
    sums = block_sums(noise(2, variants=4))[0]
    more = np.concatenate([np.zeros((3, BLOCKS)), sums, sums[::-1], -np.zeros((1, BLOCKS))])
    assert effective_trials(more) == effective_trials(sums)
    assert effective_trials(sums[[0, 0, 0]]) == 1.0
    assert effective_trials(np.zeros((5, BLOCKS))) == 0.0


def test_effective_trials_of_variants_that_only_differ_in_size_is_one():
    sums = block_sums(noise(3, variants=1))[0]
    assert effective_trials(sums * np.array([[1.0], [2.0], [0.5]])) == pytest.approx(1.0)


def test_effective_trials_of_opposite_variants_does_not_exceed_their_number():
    sums = block_sums(noise(3, variants=1))[0]
    assert effective_trials(np.concatenate([sums, -sums])) == 2.0


# --- Deflated Sharpe ratio, minimum track record -----------------------------------------------------


def test_deflated_sharpe_gives_the_numbers_of_the_paper():
    # Bailey and Lopez de Prado (2014), numerical example: annual Sharpe ratio 2.5 over 5 years of 250
    # days, 100 trials with a variance of 1/2 (annual), skewness -3, kurtosis 10.
    spread = math.sqrt(0.5 / 250)
    trials = np.array([-spread, spread]) / math.sqrt(2)
    assert np.var(trials, ddof=1) == pytest.approx(0.5 / 250)
    assert expected_maximum_sharpe(trials, 100) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(2.5 / math.sqrt(250), 1250, -3, 10, trials, 100) == pytest.approx(0.9004, abs=5e-5)
    # The same paper: with 46 trials the result passes at 95 %.
    assert deflated_sharpe(2.5 / math.sqrt(250), 1250, -3, 10, trials, 46) == pytest.approx(0.9505, abs=5e-5)


def test_deflated_sharpe_agrees_with_skfolio():
    # skfolio 1.12.2: deflated_sharpe_ratio(r, trials) and expected_max_sharpe_ratio(n, std).
    t = np.arange(1, 501)
    r = 0.0005 + 0.01 * np.sin(t**2) * np.cos(3 * t) ** 2
    trials = np.linspace(-0.05, 0.06, 40)
    moments = (sps.skew(r), sps.kurtosis(r, fisher=False))
    got = deflated_sharpe(r.mean() / r.std(ddof=1), 500, *moments, trials, 40)
    assert got == pytest.approx(0.8685523529790498, rel=1e-12)
    unit = np.array([-1.0, 0.0, 1.0])
    assert expected_maximum_sharpe(0.03 * unit, 40) == pytest.approx(0.06568440682611526, rel=1e-12)
    assert expected_maximum_sharpe(0.02 * unit, 1000) == pytest.approx(0.06510243027305446, rel=1e-12)
    assert expected_maximum_sharpe(unit, 2.5) == pytest.approx(0.7124531286751232, rel=1e-12)


def test_expected_maximum_is_what_independent_noise_shows():
    trials = np.random.default_rng(0).normal(0, 1, (4000, 200))
    assert expected_maximum_sharpe(trials[0] / trials[0].std(ddof=1), 200) == pytest.approx(
        trials.max(axis=1).mean(), rel=0.02
    )


def test_one_trial_needs_no_correction_and_unknown_spread_gives_no_number():
    assert expected_maximum_sharpe([0.1], 1) == 0.0
    assert expected_maximum_sharpe([0.1, 0.2], 1.1) == 0.0
    assert math.isnan(expected_maximum_sharpe([0.1, math.nan], 2))
    assert math.isnan(expected_maximum_sharpe([0.1, 0.2], math.nan))


def test_minimum_track_record_gives_the_numbers_of_the_paper():
    # Bailey and Lopez de Prado (2012): normal returns with an annual Sharpe ratio of 2 are above one of 1
    # at 95 % after 2.73 years of daily, 2.83 of weekly and 3.24 of monthly returns.
    for per_year, years in ((252, 2.73), (52, 2.83), (12, 3.24)):
        annual = math.sqrt(per_year)
        n = minimum_track_record_length(2 / annual, 0, 3, benchmark=1 / annual)
        assert n / per_year == pytest.approx(years, abs=0.005)


def test_minimum_track_record_is_where_the_probabilistic_sharpe_reaches_the_confidence():
    from simengine.backtest.stats import probabilistic_sharpe

    n = minimum_track_record_length(0.08, -0.7, 6.0, benchmark=0.02, confidence=0.9)
    assert probabilistic_sharpe(0.08, math.floor(n), -0.7, 6.0, 0.02) < 0.9
    assert probabilistic_sharpe(0.08, math.ceil(n), -0.7, 6.0, 0.02) >= 0.9


def test_minimum_track_record_is_infinite_below_the_benchmark_and_unknown_without_a_sharpe_ratio():
    assert minimum_track_record_length(0.0, 0, 3) == math.inf
    assert minimum_track_record_length(-0.1, 0, 3) == math.inf
    assert math.isnan(minimum_track_record_length(math.nan, 0, 3))


def test_confidence_is_checked():
    with pytest.raises(ConfigError) as error:
        minimum_track_record_length(0.1, 0, 3, confidence=95)
    assert str(error.value) == "confidence must lie between 0.5 and 1; received 95"


# --- Probability of overfitting ----------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [4, 6, 8])
@pytest.mark.parametrize("seed", range(3))
def test_splits_equal_brute_force_on_the_return_matrix(blocks, seed):
    returns = noise(seed, n=103, variants=7)  # blocks of unequal length
    got = probability_of_overfitting(*block_sums(returns, blocks))
    chosen, logits, inside, outside = brute_force(returns, blocks)
    np.testing.assert_array_equal(got.chosen, chosen)
    np.testing.assert_allclose(got.logits, logits, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(got.in_sample, inside, rtol=1e-9)
    np.testing.assert_allclose(got.out_of_sample, outside, rtol=1e-9, atol=1e-12)
    assert got.pbo == (logits <= 0).mean()
    assert got.probability_of_loss == (outside < 0).mean()
    assert got.degradation == pytest.approx(np.polyfit(inside, outside, 1)[0])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9))
def test_splits_equal_brute_force_with_ties_and_variants_that_rarely_trade(seed, variants):
    rng = np.random.default_rng(seed)
    # Multiples of 1/64 add up exactly in any order, so that ties are ties in both computations.
    returns = rng.integers(-3, 4, (36, variants)) / 64 * (rng.random((36, variants)) < 0.15)
    returns[:, rng.integers(variants)] = returns[:, 0]
    returns[:, rng.integers(variants)] = 0.0
    got = probability_of_overfitting(*block_sums(returns, 6))
    if not returns.any():
        assert math.isnan(got.pbo)
        return
    _, _, inside, outside = brute_force(returns, 6)
    # Equal ratios from different sums may differ in the last bit, so only the levels are compared.
    np.testing.assert_allclose(got.in_sample, inside, rtol=1e-9, atol=1e-12)
    assert len(got.logits) == len(outside) == 20
    assert np.isfinite(got.logits).all()


def test_equal_variants_share_the_middle_of_their_ranks():
    sums, squares, counts = block_sums(noise(4, variants=1))
    three = (np.repeat(sums, 3, axis=0), np.repeat(squares, 3, axis=0), counts)
    got = probability_of_overfitting(*three)
    assert (got.logits == 0).all()
    assert got.pbo == 1.0  # nothing is better than its equals: at the median counts as overfit
    assert (got.chosen == 0).all()


def test_all_splits_of_16_blocks_are_there_and_complements_mirror_each_other():
    got = probability_of_overfitting(*block_sums(noise(5, variants=2)))
    assert len(got.logits) == 12_870
    same = got.chosen == got.chosen[::-1]
    assert same.any()
    np.testing.assert_array_equal(got.in_sample[same], got.out_of_sample[::-1][same])


def test_noise_is_overfit_half_of_the_time_and_its_best_variant_is_not_significant():
    results = [
        overfitting(*block_sums(noise(seed, variants=50)), skewness=0.0, kurtosis=3.0) for seed in range(60)
    ]
    assert np.mean([r.pbo for r in results]) == pytest.approx(0.5, abs=0.08)
    assert np.mean([r.deflated_sharpe > 0.95 for r in results]) < 0.1
    assert np.mean([r.deflated_sharpe_effective > 0.95 for r in results]) < 0.1
    # Without the correction, the best of 50 noise variants nearly always looks significant.
    assert np.mean([r.minimum_track_record < r.bars for r in results]) > 0.8


def test_noise_moved_by_one_common_factor_is_not_significant_either():
    found = []
    for seed in range(40):
        returns = noise(seed, variants=50) + np.random.default_rng(1000 + seed).normal(0, 0.01, (640, 1))
        found.append(overfitting(*block_sums(returns), skewness=0.0, kurtosis=3.0))
    assert np.mean([r.deflated_sharpe_effective > 0.95 for r in found]) < 0.15
    assert 20 < np.mean([r.effective_trials for r in found]) < 35


def test_a_variant_that_is_truly_good_is_found_in_every_half():
    returns = noise(6, variants=100)
    returns[:, 37] += 0.004
    got = overfitting(*block_sums(returns), skewness=0.0, kurtosis=3.0)
    assert got.best == 37
    assert got.pbo < 0.01
    assert got.probability_of_loss < 0.01
    assert got.deflated_sharpe > 0.99
    assert got.deflated_sharpe_effective > 0.99
    assert got.minimum_track_record < 640


def test_a_variant_that_earned_everything_in_one_block_is_exposed():
    returns = noise(7, variants=30)
    returns[:, 12] -= 0.002
    returns[:40, 12] += 0.1
    got = overfitting(*block_sums(returns), skewness=3.0, kurtosis=12.0, best=12)
    assert got.pbo > 0.4
    assert got.degradation < 0


# --- Bundle ------------------------------------------------------------------------------------------


def test_the_bundle_holds_the_same_numbers_as_its_parts():
    returns = noise(8, variants=12) + 0.0005
    returns[:, 11] = 0.0
    returns[:, 10] = returns[:, 0]
    parts = block_sums(returns)
    got = overfitting(*parts, skewness=-0.5, kurtosis=4.0, best=2)
    sharpes = sharpe_per_bar(*parts)
    splits = probability_of_overfitting(*parts)
    assert (got.trials, got.idle, got.best, got.bars) == (12, 1, 2, 640)
    assert got.sharpe == sharpes[2]
    assert got.effective_trials == effective_trials(parts[0]) <= 10
    assert got.deflated_sharpe == deflated_sharpe(sharpes[2], 640, -0.5, 4.0, sharpes, 12)
    assert got.deflated_sharpe_effective == deflated_sharpe(
        sharpes[2], 640, -0.5, 4.0, sharpes[:10], got.effective_trials
    )
    assert (got.pbo, got.probability_of_loss, got.degradation) == (
        *(splits.pbo, splits.probability_of_loss, splits.degradation),
    )
    assert got.minimum_track_record == minimum_track_record_length(sharpes[2], -0.5, 4.0)


def test_equal_variants_do_not_change_the_effective_figures():
    returns = noise(9, variants=10) + 0.0005
    once = overfitting(*block_sums(returns), skewness=0.0, kurtosis=3.0)
    many = overfitting(*block_sums(np.repeat(returns, 4, axis=1)), skewness=0.0, kurtosis=3.0)
    assert many.deflated_sharpe_effective == once.deflated_sharpe_effective
    assert many.deflated_sharpe != once.deflated_sharpe


def test_a_sweep_in_which_nothing_trades_has_no_best_variant():
    got = overfitting(*block_sums(np.zeros((64, 3))), skewness=math.nan, kurtosis=math.nan)
    assert (got.trials, got.idle, got.best, got.effective_trials) == (3, 3, -1, 0.0)
    figures = (got.sharpe, got.deflated_sharpe, got.deflated_sharpe_effective, got.minimum_track_record)
    assert all(math.isnan(x) for x in (*figures, got.pbo, got.probability_of_loss, got.degradation))


def test_one_variant_that_trades_among_idle_ones_is_one_effective_trial():
    returns = np.zeros((640, 3))
    returns[:, 1] = noise(10, variants=1)[:, 0] + 0.003
    got = overfitting(*block_sums(returns), skewness=0.0, kurtosis=3.0)
    assert (got.best, got.idle, got.effective_trials) == (1, 2, 1.0)
    assert math.isnan(got.deflated_sharpe)
    assert got.deflated_sharpe_effective > 0.99
    assert got.pbo < 0.01


def test_the_bundle_prints_as_a_labelled_table():
    returns = noise(6, variants=100)
    returns[:, 37] += 0.004
    text = repr(overfitting(*block_sums(returns), skewness=0.0, kurtosis=3.0))
    assert text.splitlines()[:2] == ["Overfitting", "  trials                     100"]
    assert [line.split()[0] for line in text.splitlines()[1:]] == [
        *("trials", "idle", "effective_trials", "best", "sharpe", "deflated_sharpe"),
        *("deflated_sharpe_effective", "pbo", "probability_of_loss", "degradation"),
        *("minimum_track_record", "bars"),
    ]
    nothing = repr(overfitting(*block_sums(np.zeros((64, 3))), skewness=math.nan, kurtosis=math.nan))
    assert "  pbo                        -" in nothing.splitlines()


def test_the_same_input_gives_the_same_result_in_any_memory_layout():
    sums, squares, counts = block_sums(noise(11))
    a = overfitting(sums, squares, counts, skewness=0.0, kurtosis=3.0)
    b = overfitting(
        np.ascontiguousarray(sums), np.asfortranarray(squares), counts.tolist(), skewness=0.0, kurtosis=3.0
    )
    assert a == b


# --- Errors ------------------------------------------------------------------------------------------


def bad(change):
    sums, squares, counts = block_sums(noise(0, variants=3))
    sums, squares, counts = change(sums.copy(), squares.copy(), counts.copy())
    with pytest.raises((ConfigError, DataError)) as error:
        overfitting(sums, squares, counts, skewness=0.0, kurtosis=3.0)
    return type(error.value), str(error.value)


def put(array, index, value):
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            lambda s, q, c: (s[:1], q[:1], c),
            ConfigError,
            "overfitting statistics compare variants: at least 2 are needed; received 1",
        ),
        (
            lambda s, q, c: (s, q[:, :-1], c),
            DataError,
            "sums and squares must have the shape (variants, blocks) and counts (blocks,); "
            "received (3, 16), (3, 15) and (16,)",
        ),
        (
            lambda s, q, c: (s, q, c[:4]),
            DataError,
            "sums and squares must have the shape (variants, blocks) and counts (blocks,); "
            "received (3, 16), (3, 16) and (4,)",
        ),
        (
            lambda s, q, c: (s[:, :7], q[:, :7], c[:7]),
            DataError,
            "cross-validation needs an even number of blocks from 4 to 20; received 7",
        ),
        (
            lambda s, q, c: (s, q, put(c, 3, 1)),
            DataError,
            "block 3 has 1 returns, every block needs at least 2: use more bars or fewer blocks",
        ),
        (
            lambda s, q, c: (put(s, (2, 5), math.nan), q, c),
            DataError,
            "sums must be finite; received nan for variant 2 in block 5",
        ),
        (
            lambda s, q, c: (s, put(q, (0, 15), math.inf), c),
            DataError,
            "squares must be finite; received inf for variant 0 in block 15",
        ),
    ],
)
def test_bad_input_gets_one_clear_line(change, kind, message):
    assert bad(change) == (kind, message)


def test_the_best_variant_must_be_a_row():
    with pytest.raises(ConfigError) as error:
        overfitting(*block_sums(noise(0, variants=3)), skewness=0.0, kurtosis=3.0, best=3)
    assert str(error.value) == "best must be a row from 0 to 2; received 3"


def test_effective_trials_checks_its_input():
    with pytest.raises(DataError) as error:
        effective_trials([1.0, 2.0])
    assert str(error.value) == (
        "sums must have the shape (variants, blocks) with 2 blocks or more; received (2,)"
    )
