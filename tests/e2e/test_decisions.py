"""Calibrators and decisions are switched on by YAML alone, and their state is restored with the run."""

import json

import numpy as np
import pandas as pd
import pytest

from simengine import api

SMALL = {
    "seed": 3,
    "data": {"source": {"type": "oracle_market", "market": "easy", "symbols": 2, "bars": 2000}},
    "model": {"type": "hist_gradient_boosting", "lags": 2},
    "window": {"length": 20, "train_stride": 2},
    "backtest": {"fees": {"type": "proportional", "fee_bps": 1}, "slippage": None},
}


def run(tmp_path, **inference):
    return api.train({**SMALL, "inference": inference}, out=tmp_path)


def predictions(result, segment="test"):
    table = pd.read_parquet(result.run_dir / "predictions.parquet")
    return table[table["segment"] == segment]


def state(result, name):
    return json.loads((result.run_dir / name).read_text())["state"]


@pytest.mark.parametrize(
    "calibrator", [{"type": "temperature", "objective": "ace"}, "bias_corrected_temperature", "isotonic",
                   "dirichlet"],
)  # fmt: skip
def test_calibrators(tmp_path, calibrator):
    result = run(tmp_path, calibrator=calibrator, decision="prior_matched")
    table = predictions(result)
    raw, made = (table[[f"{p}_sell", f"{p}_hold", f"{p}_buy"]].to_numpy() for p in ("raw", "p"))
    assert np.abs(raw - made).max() > 1e-3
    loaded = api.load_model(result.run_dir)
    again, _ = loaded.decide(np.log(raw))
    np.testing.assert_allclose(again, made, atol=1e-9)


def test_cost_aware_trades_what_it_chose_on_val(tmp_path):
    result = run(tmp_path, decision="cost_aware")
    kept = state(result, "decision.json")
    assert kept["overfitting_"]["trials"] == 36
    assert kept["chosen_"]["trades"]
    signals = predictions(result, "val")["signal"]
    assert (signals == 2).mean() == pytest.approx(kept["chosen_"]["buy_share"], abs=0.02)
    log = (result.run_dir / "log.jsonl").read_text()
    assert f"decision cost_aware: {kept['verdict_']}" in log


def test_cost_aware_stays_out_of_a_market_that_costs_too_much(tmp_path):
    config = {**SMALL, "backtest": {"fees": {"type": "proportional", "fee_bps": 3000}, "slippage": None}}
    result = api.run({**config, "inference": {"decision": "cost_aware"}}, out=tmp_path)
    assert (predictions(result)["signal"] == 1).all()
    assert result.metrics["backtest"]["trades"] == 0
    assert result.metrics["backtest"]["net_return"] == 0


def test_hysteresis_flips_less_and_begins_anew_on_test(tmp_path):
    result, plain = (run(tmp_path, decision=name) for name in ("hysteresis", "prior_matched"))
    flips = []
    for made in (result, plain):
        rows = predictions(made).groupby("symbol")["signal"]
        flips.append(sum(int((np.diff(signals) != 0).sum()) for _, signals in rows))
    assert flips[0] < 0.7 * flips[1]
    table = predictions(result)
    loaded = api.load_model(result.run_dir)
    for _, rows in table.groupby("symbol"):
        logits = np.log(rows[["raw_sell", "raw_hold", "raw_buy"]].to_numpy())
        np.testing.assert_array_equal(loaded.decide(logits, series=True)[1], rows["signal"])
