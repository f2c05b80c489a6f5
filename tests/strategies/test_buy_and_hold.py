from __future__ import annotations

import pytest

from simengine.backtest import backtest
from simengine_strategies.buy_and_hold import BuyAndHold, simengine_register_strategies


def test_any_span_starts_with_one_order_and_has_no_other(make_context):
    context = make_context([100, 100, 110, 121])
    targets = BuyAndHold().targets(context)
    result = backtest(context.bars.slice(1, 4), targets=targets[1:], cash=1_000)
    assert result.equity.tolist() == [1_000, 1_000, 1_100]
    assert result.open_trades["units"].tolist() == [pytest.approx(1_000 / 110, rel=1e-15)]
    assert len(result.trades) == 0


def test_causal(assert_causal):
    assert_causal(BuyAndHold())


def test_registered_under_its_name():
    assert [component.name for component in simengine_register_strategies()] == ["buy_and_hold"]
