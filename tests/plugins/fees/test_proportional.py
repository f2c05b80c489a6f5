from __future__ import annotations

from simengine.backtest import FeeSchedule
from simengine_plugins.fees.proportional import Proportional, simengine_register_fees


def test_basis_points_become_one_tier():
    assert Proportional().schedule() == FeeSchedule(((0.0, 0.001),))
    assert Proportional(fee_bps=2.5).schedule() == FeeSchedule(((0.0, 0.00025),))


def test_a_least_fee_is_passed_on():
    assert Proportional(minimum=1.5).schedule() == FeeSchedule(((0.0, 0.001),), minimum=1.5)


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_fees()] == ["proportional"]
