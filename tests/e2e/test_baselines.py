"""What a run is held against does not move with the strategy's own rules."""

import pytest

from simengine import api


@pytest.mark.parametrize("rules", [["backtest.stop_loss=0.003"], ["backtest.rebalance=every_bar"]])
def test_buy_and_hold_has_no_stops_and_no_rebalancing(small_run, rules):
    ruled = api.backtest(small_run.run_dir, overrides=rules).metrics
    assert ruled["backtest"]["buy_and_hold_return"] == small_run.metrics["backtest"]["buy_and_hold_return"]
    assert ruled["baselines"] == small_run.metrics["baselines"]


def test_random_shifts_rank_the_very_strategy_that_is_reported(small_run):
    rules = ["backtest.stop_loss=0.003", "backtest.rebalance=every_bar"]
    money = api.backtest(small_run.run_dir, overrides=rules).metrics["backtest"]
    assert money["random_shifts"]["net_return"] == pytest.approx(money["net_return"], abs=1e-12)
