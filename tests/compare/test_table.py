"""Entries in one table: what they share, what is refused, what the figures are."""

from __future__ import annotations

import copy
import json

import numpy as np
import pandas as pd
import pytest

from simengine.compare import compare_entries
from simengine.errors import RunError
from simengine.evaluate.logproba import as_log_proba
from simengine.evaluate.scores import macro_f1, nll, skill


def test_one_entry_gives_its_own_figures(make_entry):
    entry = make_entry()
    table = compare_entries([entry])
    row = table.rows[0]
    frame = entry.predictions
    log_proba = as_log_proba(frame[["p_sell", "p_hold", "p_buy"]].to_numpy())
    labels = frame["label"].to_numpy()
    figures = row["classification"]
    assert figures["n"] == 300
    assert figures["nll"] == pytest.approx(nll(log_proba, labels), abs=1e-12)
    assert figures["skill"] == pytest.approx(skill(log_proba, labels, np.array([0.3, 0.3, 0.4])), abs=1e-12)
    assert figures["macro_f1"] == macro_f1(labels, frame["signal"].to_numpy())
    assert figures["label_share"] == [1 / 3, 1 / 3, 1 / 3]
    curve = entry.equity["equity"].to_numpy()
    assert row["backtest"]["net_return"] == pytest.approx(curve[-1] / curve[0] - 1)
    assert row["backtest"]["gross_return"] == pytest.approx(1.002**299 - 1)
    assert row["backtest"]["max_drawdown"] == pytest.approx((1 - curve / np.maximum.accumulate(curve)).max())
    low, high = row["backtest"]["net_return_interval"]
    assert low < row["backtest"]["net_return"] < high
    assert table.notes == []
    assert table.span == {
        "first": "2021-01-01T00:00:00+00:00",
        "last": "2021-01-13T11:00:00+00:00",
        "bars": 300,
        "windows": 300,
    }


def test_trades_turnover_and_sharpe_by_hand(make_entry):
    entry = make_entry()
    figures = compare_entries([entry]).rows[0]["backtest"]
    curve = entry.equity["equity"].to_numpy()
    years = 299 / (365.25 * 24)
    assert figures["trades"] == 3
    assert figures["fees"] == 9.0
    assert figures["turnover"] == pytest.approx(3 * 2 * (100 + 110) / curve.mean() / years)
    returns = np.diff(curve) / curve[:-1]
    assert figures["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1) * np.sqrt(365.25 * 24))


def test_a_configured_year_annualises(make_entry, data):
    plain = compare_entries([make_entry()]).rows[0]["backtest"]["sharpe"]
    fixed = make_entry(backtest={**data.COSTS, "bars_per_year": 4 * 365.25 * 24})
    assert compare_entries([fixed]).rows[0]["backtest"]["sharpe"] == pytest.approx(2 * plain)


def test_figures_are_those_of_the_common_times(make_entry):
    wide, narrow = make_entry("wide"), make_entry("narrow", start=40, n=100)
    table = compare_entries([wide, narrow])
    assert (table.span["bars"], table.span["windows"]) == (100, 100)
    for row in table.rows:
        assert row["classification"]["n"] == 100
        assert row["backtest"]["gross_return"] == pytest.approx(1.002**99 - 1)
        assert row["backtest"]["trades"] == 1
        assert row["backtest"]["fees"] == 3.0
    # The same probabilities on the same rows: nothing depends on what lies outside.
    assert table.rows[0]["classification"] == table.rows[1]["classification"]


def test_rows_are_matched_by_symbol_and_time_not_by_position(make_entry, data):
    entry = make_entry(predictions=data.predictions(0, 200, ("AAA", "BBBB")), equity=data.equity(0, 200))
    shuffled = entry.predictions.sample(frac=1.0, random_state=3).reset_index(drop=True)
    other = make_entry("b", predictions=shuffled, equity=data.equity(0, 200).iloc[::-1])
    first, second = compare_entries([entry, other]).rows
    assert first["classification"] == second["classification"]
    assert first["backtest"] == second["backtest"]
    assert first["classification"]["n"] == 400


def test_rows_without_label_and_val_rows_do_not_count(make_entry, data):
    frame = data.predictions(0, 300)
    frame.loc[:9, "segment"] = "val"
    frame.loc[290:, "label"] = np.int8(-1)
    frame.loc[290:, "forward_return"] = np.nan
    assert compare_entries([make_entry(predictions=frame)]).span["windows"] == 280


def test_paired_difference_of_nll(make_entry):
    first = make_entry("first")
    better = first.predictions.copy()
    hit = np.eye(3)[better["label"].to_numpy()]
    old = better[["p_sell", "p_hold", "p_buy"]].to_numpy()
    better[["p_sell", "p_hold", "p_buy"]] = 0.5 * old + 0.5 * hit
    table = compare_entries([first, make_entry("better", predictions=better)])
    own, other = (row["classification"] for row in table.rows)
    assert own["nll_difference"] == 0.0
    assert own["nll_difference_interval"] == [0.0, 0.0]
    assert other["nll_difference"] == pytest.approx(other["nll"] - own["nll"])
    low, high = other["nll_difference_interval"]
    assert low < other["nll_difference"] < high < 0.0


def test_difference_is_the_mean_over_rows_on_a_ragged_panel(make_entry, data):
    ragged = pd.concat([data.predictions(0, 300), data.predictions(250, 50, ("BBBB",))], ignore_index=True)
    other = ragged.copy()
    other[["p_sell", "p_hold", "p_buy"]] = [0.2, 0.3, 0.5]
    rows = compare_entries([make_entry(predictions=ragged), make_entry("b", predictions=other)]).rows
    a, b = (row["classification"] for row in rows)
    assert b["nll_difference"] == pytest.approx(b["nll"] - a["nll"])
    low, high = b["nll_difference_interval"]
    assert low < b["nll_difference"] < high


def test_other_labels_are_scored_but_not_paired(make_entry, data):
    relabelled = data.predictions(0, 300)
    relabelled["label"] = ((relabelled["label"] + 1) % 3).astype(np.int8)
    table = compare_entries([make_entry(), make_entry("b", predictions=relabelled)])
    assert table.notes == [
        "labels differ between entries: each is scored against its own, without nll_difference"
    ]
    assert table.rows[1]["classification"]["nll_difference"] is None


def test_strategies_of_one_run(make_entry, data):
    run = make_entry("follow_signal")
    lazy = run.with_strategy("buy_and_hold", data.equity(0, 300, 1.0005), data.trades([]))
    table = compare_entries([run, lazy])
    first, second = table.rows
    assert first["classification"] == second["classification"]
    assert second["backtest"]["trades"] == 0
    assert second["backtest"]["turnover"] == 0.0
    assert first["backtest"]["net_return"] > second["backtest"]["net_return"]


def test_without_train_share_there_is_no_skill(make_entry):
    assert compare_entries([make_entry(train_share=None)]).rows[0]["classification"]["skill"] is None


def test_frame_and_dict(make_entry):
    table = compare_entries([make_entry("a"), make_entry("b", start=10)])
    frame = table.to_frame()
    assert list(frame.index) == ["a", "b"]
    assert frame.loc["a", "label_share_buy"] == pytest.approx(1 / 3, abs=0.01)
    assert {"nll_difference_interval_low", "net_return_interval_high", "turnover"} <= set(frame.columns)
    assert json.loads(json.dumps(table.to_dict(), allow_nan=False)) == table.to_dict()


def test_other_data_is_refused(make_entry):
    pair = [make_entry("a"), make_entry("b", data_sha256="cd")]
    with pytest.raises(RunError) as error:
        compare_entries(pair)
    assert str(error.value) == (
        "b: other data than a (data_sha256 differs); such figures do not compare: pass --allow-different "
        "to see them anyway"
    )
    assert compare_entries(pair, allow_different=True).notes == ["b: other data than a (data_sha256 differs)"]


def test_other_costs_are_refused(make_entry, data):
    dear = copy.deepcopy(data.COSTS)
    dear["fees"]["fee_bps"] = 25
    with pytest.raises(RunError) as error:
        compare_entries([make_entry("a"), make_entry("b", backtest=dear)])
    assert str(error.value) == (
        "b: other costs than a (backtest.fees.fee_bps: 25 instead of 10); such figures do not compare: pass "
        "--allow-different to see them anyway"
    )
    tiered = {**data.COSTS, "fees": {"type": "tiered", "tiers": [[0, 10]]}}
    notes = compare_entries([make_entry("a"), make_entry("b", backtest=tiered)], allow_different=True).notes
    assert notes == [
        "b: other costs than a (backtest.fees.fee_bps: not set instead of 10)",
        "b: other costs than a (backtest.fees.tiers: [[0, 10]] instead of not set)",
        "b: other costs than a (backtest.fees.type: tiered instead of proportional)",
    ]


def test_stops_limits_and_rebalancing_are_choices_to_compare(make_entry, data):
    stopped = {**data.COSTS, "stop_loss": 0.02, "max_bars": 9, "limit_bars": 2, "rebalance": {"band": 0.05}}
    assert compare_entries([make_entry("a"), make_entry("b", backtest=stopped)]).notes == []


def test_what_cannot_be_compared_at_all(make_entry, data):
    with pytest.raises(RunError) as error:
        compare_entries([])
    assert str(error.value) == "compare: no run was given; name at least one run directory"
    with pytest.raises(RunError) as error:
        compare_entries([make_entry("a"), make_entry("a")])
    assert str(error.value) == "compare: 'a' was given twice; give every entry its own label"
    with pytest.raises(RunError) as error:
        compare_entries([make_entry("a"), make_entry("b", start=300)])
    assert str(error.value) == (
        "compare: the entries share no labelled test window (symbol and time); choose runs that overlap"
    )
    with pytest.raises(RunError) as error:
        compare_entries([make_entry("a"), make_entry("b", equity=data.equity(299, 9))])
    assert (
        str(error.value)
        == "compare: the entries share fewer than two bars of equity; choose runs that overlap"
    )


def test_entries_refuse_log_probabilities(make_entry, data):
    frame = data.predictions(0, 9)
    frame[["p_sell", "p_hold", "p_buy"]] = np.log([0.2, 0.3, 0.5])
    with pytest.raises(
        RunError, match=r"^a: row 0: p_sell \+ p_hold \+ p_buy = -3.507, expected probabilities"
    ):
        make_entry(predictions=frame)
