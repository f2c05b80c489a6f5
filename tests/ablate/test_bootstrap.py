import numpy as np
import pytest

from simengine.ablate.bootstrap import Interval, block_starts, holm, interval, replicate_sums, student
from simengine.errors import DataError


def test_replicates_are_sums_of_whole_blocks():
    sums = np.arange(20.0).reshape(10, 2)
    starts = np.array([[0, 6, 3]])
    expected = sum(sums[first : first + 4].sum(0) for first in (0, 6, 3)) * 10 / 12
    np.testing.assert_allclose(replicate_sums(sums, starts, 4)[0], expected)


def test_blocks_lie_inside_and_are_the_same_for_every_cell():
    starts = block_starts(100, 12, 50, seed=3, fold=0)
    assert starts.shape == (50, 9)
    assert starts.min() >= 0
    assert starts.max() <= 88
    np.testing.assert_array_equal(starts, block_starts(100, 12, 50, seed=3, fold=0))
    assert (starts != block_starts(100, 12, 50, seed=3, fold=1)).any()


def test_a_span_of_less_than_two_blocks_is_refused():
    with pytest.raises(
        DataError, match=r"^ablate: a test span of 23 bars is too short for blocks of 12; use"
    ):
        block_starts(23, 12, 10, 0, 0)


def overlapping_noise(rng, bars, width):
    """A moving average: neighbours share width - 1 shocks, as labels of width bars do."""
    shocks = rng.normal(size=bars + width - 1)
    return np.convolve(shocks, np.ones(width), "valid") / width


def found(values, block, seed):
    starts = block_starts(len(values), block, 400, seed, 0)
    drawn = replicate_sums(values[:, None], starts, block)[:, 0] / len(values)
    return interval([values.mean()], [drawn])


def test_intervals_of_overlapping_noise_cover_it_as_often_as_they_say():
    rng = np.random.default_rng(5)
    blocked, single = 0, 0
    for seed in range(200):
        values = overlapping_noise(rng, 600, 12)
        blocked += found(values, 24, seed).contains_zero
        single += found(values, 1, seed).contains_zero
    # Of 200: 95 % are 190; blocks of finite length fall a little short. Single bars fall far short.
    assert 172 <= blocked <= 199
    assert single < 130


def test_seeds_are_tested_on_the_same_bars_and_must_share_their_blocks():
    """Three seeds of one market are no three markets: blocks of their own promise far too much."""
    rng = np.random.default_rng(9)
    shared, alone = 0, 0
    for trial in range(200):
        market = overlapping_noise(rng, 600, 12)
        values = [market + 0.1 * overlapping_noise(rng, 600, 12) for _ in range(3)]
        points = [value.mean() for value in values]
        for folds in ([0, 0, 0], [0, 1, 2]):
            drawn = [
                replicate_sums(value[:, None], block_starts(600, 24, 400, trial, fold), 24)[:, 0] / 600
                for value, fold in zip(values, folds, strict=True)
            ]
            covered = interval(points, drawn).contains_zero
            shared, alone = shared + (covered and folds[1] == 0), alone + (covered and folds[1] == 1)
    assert 172 <= shared <= 199
    assert alone < 150


def test_a_planted_difference_is_found():
    rng = np.random.default_rng(6)
    result = found(overlapping_noise(rng, 600, 12) + 0.5, 24, 0)
    assert result.low < 0.5 < result.high
    assert result.low > 0
    assert result.p_value < 0.01
    assert not result.contains_zero


def test_strata_are_averaged_and_a_shift_common_to_all_replicates_does_not_matter():
    rng = np.random.default_rng(7)
    drawn = [rng.normal(1.0, 0.1, 2000), rng.normal(3.0, 0.1, 2000)]
    result = interval([1.0, 3.0], drawn)
    assert result.difference == 2.0
    half = 1.96 * 0.1 / np.sqrt(2)
    assert result.low == pytest.approx(2.0 - half, abs=0.02)
    assert result.high == pytest.approx(2.0 + half, abs=0.02)
    shifted = interval([1.0, 3.0], [values + 5 for values in drawn])
    assert (shifted.low, shifted.high) == pytest.approx((result.low, result.high))


def test_scatter_over_seeds_stands_beside_the_interval():
    result = interval([1.0, 2.0, -0.5], [np.zeros(10)] * 3, by_seed=[1.0, 2.0, -0.5])
    assert result.by_seed == (1.0, 2.0, -0.5)
    assert result.seed_sd == pytest.approx(np.std([1.0, 2.0, -0.5], ddof=1))
    assert result.agreeing == 2
    assert np.isnan(Interval(0.0, 0.0, 0.0, 1.0, (1.0,)).seed_sd)


def test_student_by_hand():
    """Mean 2, error 1 / sqrt(3), t of 2 degrees of freedom 4.3027."""
    result = student([1.0, 2.0, 3.0])
    assert (result.low, result.high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)
    assert result.p_value == pytest.approx(0.07418, abs=1e-5)
    assert result.contains_zero
    unknown = student([1.0, float("nan"), 3.0])
    assert unknown.difference == 2.0
    assert student([0.0, 0.0]) == Interval(0.0, 0.0, 0.0, 1.0)
    alone = student([5.0])
    assert alone.difference == 5.0
    assert np.isnan([alone.low, alone.high, alone.p_value]).all()
    assert np.isnan(student([float("nan")]).difference)


def test_what_is_not_defined_has_no_interval():
    result = interval([float("nan")], [np.zeros(10)])
    assert np.isnan([result.difference, result.low, result.high, result.p_value]).all()
    assert result.contains_zero
    assert Interval(0.0, 0.0, 0.0, 1.0).contains_zero


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    adjusted = holm([0.01, float("nan"), 0.02])
    assert adjusted[0] == pytest.approx(0.02)
    assert np.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.02)
    assert holm([]) == []
