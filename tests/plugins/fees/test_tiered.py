from __future__ import annotations

import re

import numpy as np
import pytest

from simengine.backtest import FeeSchedule, backtest
from simengine.types import Bars
from simengine_plugins.fees.tiered import Tiered, simengine_register_fees


def test_basis_points_become_rates():
    assert Tiered(tiers=((0, 10), (1_000, 5))).schedule() == FeeSchedule(((0.0, 0.001), (1_000.0, 0.0005)))


def test_a_least_fee_is_passed_on():
    assert Tiered(tiers=((0, 10),), minimum=2).schedule() == FeeSchedule(((0.0, 0.001),), minimum=2)


def test_the_lower_fee_applies_once_the_notional_is_traded():
    price = np.full(6, 100.0)
    bars = Bars("X", np.arange(6) * 10**9, price, price, price, price, price)
    fees = Tiered(tiers=((0, 100), (1_500, 0)))
    result = backtest(bars, targets=[1, 0, 1, 0, 1, 0], cash=1_000, fees=fees)
    assert result.trades["fees"].tolist() == pytest.approx([1_000 / 1.01 * 0.02, 0.0])


@pytest.mark.parametrize(
    ("tiers", "text"),
    [
        (((5, 10),), "tiers must start at 0 and increase, received the starts [5]"),
        (((0, 10), (0, 5)), "tiers must start at 0 and increase, received the starts [0, 0]"),
        (((0, -1),), "the fee of a tier must be in [0, 10000) basis points, received -1"),
    ],
)
def test_tiers_that_make_no_sense(tiers, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Tiered(tiers=tiers)


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_fees()] == ["tiered"]
