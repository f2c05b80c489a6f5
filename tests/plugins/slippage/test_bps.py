from __future__ import annotations

from simengine.backtest import SlippageModel
from simengine_plugins.slippage.bps import Bps, simengine_register_slippage


def test_basis_points_become_a_rate():
    assert Bps().model() == SlippageModel(0.0005)
    assert Bps(slippage_bps=0).model() == SlippageModel(0.0)


def test_stops_can_be_left_out():
    assert Bps(on_stops=False).model() == SlippageModel(0.0005, on_stops=False)


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_slippage()] == ["bps"]
