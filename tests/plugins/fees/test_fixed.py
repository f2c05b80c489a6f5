from __future__ import annotations

import numpy as np
import pytest

from simengine.backtest import FeeSchedule, backtest
from simengine.types import Bars
from simengine_plugins.fees.fixed import Fixed, simengine_register_fees


def test_the_amount_and_the_basis_points_are_passed_on():
    assert Fixed().schedule() == FeeSchedule(((0.0, 0.0),), fixed=1.0)
    assert Fixed(fee=2, fee_bps=5).schedule() == FeeSchedule(((0.0, 0.0005),), fixed=2)


def test_every_fill_pays_the_amount_and_the_fraction():
    price = np.full(3, 100.0)
    bars = Bars("X", np.arange(3) * 10**9, price, price, price, price, price)
    fees = Fixed(fee=1, fee_bps=2)
    result = backtest(bars, targets=[1, 0, np.nan], size=10, size_unit="units", cash=5_000, fees=fees)
    assert result.trades["fees"].tolist() == pytest.approx([2 * 1.20])
    assert result.equity[-1] == pytest.approx(5_000 - 2.40)


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_fees()] == ["fixed"]
