import numpy as np

from simengine.data.gaps import bar_spacing, find_holes

# Six hourly bars, a night of three hours, three bars, a weekend of ten hours, two bars.
TIMES = np.array([0, 1, 2, 3, 4, 5, 8, 9, 10, 20, 21], dtype=np.int64)


def test_spacing_is_the_most_common_distance():
    assert bar_spacing(TIMES) == 1
    assert bar_spacing(TIMES[:1]) == 0


def test_without_a_limit_holes_are_counted_and_spanned():
    holes = find_holes(TIMES, None)
    assert (holes.short, holes.long) == (2, 0)
    assert holes.same_side(10)[0]


def test_a_limit_tells_nights_from_weekends():
    holes = find_holes(TIMES, 3)
    assert (holes.short, holes.long) == (1, 1)
    assert holes.same_side(2).tolist() == [True] * 7 + [False] * 4
    assert holes.unbroken(3).tolist() == [False, False] + [True] * 7 + [False, False]
    assert holes.unbroken(1).all()


def test_spans_longer_than_the_series():
    holes = find_holes(TIMES[:3], 3)
    assert not holes.same_side(5).any()
    assert not holes.unbroken(5).any()
    assert find_holes(TIMES[:1], 3).crossed.tolist() == [0]
