"""Grids and lists of variants: their order, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simengine.backtest.variants import FIELDS, VARIANT_DTYPE, Variants
from simengine.errors import ConfigError

OFF = {"stop_loss": None, "take_profit": None, "trailing_stop": None, "max_bars": None}


def test_the_first_list_changes_slowest_and_the_last_one_fastest():
    found = list(Variants.grid([0.4, 0.5], [None, 0.02], max_bars=[None, 3]))
    assert [(v["threshold"], v["stop_loss"], v["max_bars"]) for v in found] == [
        (0.4, None, None),
        (0.4, None, 3),
        (0.4, 0.02, None),
        (0.4, 0.02, 3),
        (0.5, None, None),
        (0.5, None, 3),
        (0.5, 0.02, None),
        (0.5, 0.02, 3),
    ]


def test_off_is_nan_and_for_bars_zero():
    rows = Variants.grid([0.0]).rows
    assert rows.dtype == VARIANT_DTYPE
    threshold, *levels, bars = rows[0].item()
    assert (threshold, bars) == (0.0, 0.0)
    assert all(map(math.isnan, levels))


def test_rows_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        Variants.grid([0.4]).rows["threshold"] = 0.5


def test_a_list_keeps_its_order_and_what_is_left_out_is_off():
    found = list(Variants.listed([{"threshold": 0.5, "stop_loss": 0.1}, {"threshold": 0.4, "max_bars": 7}]))
    assert found == [
        {"threshold": 0.5, **OFF, "stop_loss": 0.1},
        {"threshold": 0.4, **OFF, "max_bars": 7},
    ]


levels = st.none() | st.floats(1e-6, 0.999)
fields = st.tuples(st.floats(0, 0.999), levels, levels, levels, st.none() | st.integers(1, 10**6))


@given(st.lists(fields, min_size=1, max_size=20, unique=True))
def test_what_goes_in_comes_out(rows):
    given = [dict(zip(FIELDS, row, strict=True)) for row in rows]
    assert list(Variants.listed(given)) == given


def test_numpy_values_become_plain_numbers():
    [found] = Variants.grid(np.array([0.5]), np.array([0.02]), max_bars=np.array([4]))
    assert found == {"threshold": 0.5, **OFF, "stop_loss": 0.02, "max_bars": 4}
    assert {type(value) for value in found.values() if value is not None} == {float, int}


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"thresholds": [1.0]}, "thresholds: a threshold is a probability in [0, 1), received 1.0"),
        ({"thresholds": [math.nan]}, "thresholds: a threshold is a probability in [0, 1), received nan"),
        ({"thresholds": [True]}, "thresholds: a threshold is a probability in [0, 1), received True"),
        ({"thresholds": [None]}, "thresholds: a threshold is a probability in [0, 1), received None"),
        ({"thresholds": 0.5}, "thresholds must be a list of values, received 0.5"),
        ({"thresholds": []}, "thresholds must hold at least one value, received an empty list"),
        (
            {"thresholds": [0.4], "stop_losses": []},
            "stop_losses must hold at least one value, received an empty list; leave it out, or write [None] "
            "for off",
        ),
        (
            {"thresholds": [0.4, 0.5, 0.4]},
            "thresholds holds 0.4 twice; every variant counts as a trial, so give each value once",
        ),
        (
            {"thresholds": [0.4], "stop_losses": [0]},
            "stop_losses: stop_loss is a fraction of the entry price above 0 (0.02 = 2 %) or None, "
            "received 0",
        ),
        (
            {"thresholds": [0.4], "trailing_stops": [1.0]},
            "trailing_stops: trailing_stop is a fraction of the best price in (0, 1) or None, received 1.0",
        ),
        (
            {"thresholds": [0.4], "max_bars": [2.5]},
            "max_bars: max_bars is a whole number of bars, 1 or more, or None, received 2.5",
        ),
        (
            {"thresholds": np.arange(1001) / 1002, "stop_losses": np.arange(1, 1001) / 1002},
            "a sweep takes at most 1,000,000 variants, received 1001 x 1000 x 1 x 1 x 1 = 1,001,000",
        ),
    ],
)
def test_a_grid_that_is_not_valid_is_one_line(axes, message):
    with pytest.raises(ConfigError) as caught:
        Variants.grid(**axes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([], "a sweep needs at least one variant, received an empty list"),
        ({"threshold": 0.4}, "variants must be a list of mappings, received dict"),
        ([0.4], "variant 0: expected a mapping such as {'threshold': 0.4}, received 0.4"),
        ([{"stop_loss": 0.1}], "variant 0: threshold is missing"),
        (
            [{"threshold": 0.4}, {"threshold": 0.4, "stop_los": 0.1}],
            "variant 1: unknown key 'stop_los' (did you mean 'stop_loss'?); known: max_bars, stop_loss, "
            "take_profit, threshold, trailing_stop",
        ),
        (
            [{"threshold": 0.4}, {"threshold": 0.5}, {"threshold": 0.4, "max_bars": None}],
            "variants 0 and 2 are the same; every variant counts as a trial, so give each of them once",
        ),
        (
            [{"threshold": 0.4, "take_profit": -1}],
            "variant 0: take_profit is a fraction of the entry price above 0 (0.02 = 2 %) or None, "
            "received -1",
        ),
    ],
)
def test_a_list_that_is_not_valid_is_one_line(variants, message):
    with pytest.raises(ConfigError) as caught:
        Variants.listed(variants)
    assert str(caught.value) == message
