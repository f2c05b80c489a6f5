"""On a market without signal nothing is earned before costs, and a planted leak is seen."""

import pytest

from simengine import api

NULL = (
    "data.source.market=null",
    "data.source.bars=12000",
    "model={type: hist_gradient_boosting, max_iter: 40}",
)


@pytest.mark.slow
def test_the_null_market_earns_nothing(root, tmp_path):
    money = api.run(root / "config.yaml", overrides=NULL, out=tmp_path).metrics["backtest"]
    assert abs(money["gross_t"]) <= 4.5
    assert money["trades"] >= 200


@pytest.mark.slow
def test_features_one_bar_early_are_seen_in_gross_pnl(root, tmp_path):
    leak = (f"plugins=['{root / 'benchmarks' / 'one_bar_early.py'}']", "features=one_bar_early")
    result = api.run(root / "config.yaml", overrides=(*NULL, *leak), out=tmp_path)
    assert result.metrics["backtest"]["gross_t"] > 10
