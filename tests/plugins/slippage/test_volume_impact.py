from __future__ import annotations

import numpy as np
import pytest

from simengine.backtest import SlippageModel, backtest
from simengine.types import Bars
from simengine_plugins.slippage.volume_impact import VolumeImpact, simengine_register_slippage


def test_basis_points_become_fractions():
    assert VolumeImpact().model() == SlippageModel(0.0005, impact=0.01)


def test_an_order_of_one_percent_of_the_volume_pays_a_tenth_of_the_impact():
    price = np.full(3, 100.0)
    bars = Bars("X", np.arange(3) * 10**9, price, price, price, price, np.full(3, 1e5))
    result = backtest(bars, targets=[1, np.nan, np.nan], cash=100_150, slippage=VolumeImpact())
    (trade,) = result.open_trades
    assert trade["units"] == pytest.approx(1_000)
    assert trade["entry_price"] == pytest.approx(100.15)


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_slippage()] == ["volume_impact"]
