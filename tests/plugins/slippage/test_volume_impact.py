from __future__ import annotations

import numpy as np
import pytest

from simengine.backtest import SlippageModel, backtest
from simengine.types import Bars
from simengine_plugins.slippage.volume_impact import VolumeImpact, simengine_register_slippage


def test_basis_points_become_fractions():
    assert VolumeImpact().model() == SlippageModel(0.0005, impact=0.01)


def test_a_cap_is_passed_on():
    capped = VolumeImpact(max_participation=0.1, remainder="cancel", on_stops=False)
    assert capped.model() == SlippageModel(0.0005, 0.01, 0.1, "cancel", on_stops=False)


def test_nothing_to_cancel_without_a_cap():
    with pytest.raises(ValueError, match=r"^remainder: cancel needs a max_participation, received null$"):
        VolumeImpact(remainder="cancel")


def test_an_order_beyond_the_cap_fills_over_several_bars():
    price = np.full(6, 100.0)
    bars = Bars("X", np.arange(6) * 10**9, price, price, price, price, np.full(6, 1_000.0))
    slippage = VolumeImpact(slippage_bps=0, impact_bps=0, max_participation=0.1)
    result = backtest(bars, targets=[1, *[np.nan] * 5], cash=25_000, slippage=slippage)
    (trade,) = result.open_trades
    assert trade["units"] == pytest.approx(250)
    np.testing.assert_allclose(result.exposure, [0, 0.4, 0.8, 1, 1, 1])


def test_an_order_of_one_percent_of_the_volume_pays_a_tenth_of_the_impact():
    price = np.full(3, 100.0)
    bars = Bars("X", np.arange(3) * 10**9, price, price, price, price, np.full(3, 1e5))
    result = backtest(bars, targets=[1, np.nan, np.nan], cash=100_150, slippage=VolumeImpact())
    (trade,) = result.open_trades
    assert trade["units"] == pytest.approx(1_000)
    assert trade["entry_price"] == pytest.approx(100.15)


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_slippage()] == ["volume_impact"]
