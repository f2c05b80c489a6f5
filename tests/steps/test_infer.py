"""Calibrator and decision see val, and every row keeps its own bar."""

from dataclasses import replace

import numpy as np
import pytest

from simengine.config.schema import Backtest
from simengine.errors import ConfigError
from simengine.evaluate.logproba import log_softmax
from simengine.steps.infer import infer, predictions_table
from simengine.steps.trade import Account


def test_calibrator_and_decision_are_fitted_on_val(parts, prepared, run_dir):
    infer(parts, prepared, run_dir)
    uncalibrated = log_softmax(parts.model.predict_logits(prepared.val))
    for fitted, scores in (
        (parts.calibrator, uncalibrated),
        (parts.decision, log_softmax(parts.calibrator.transform(uncalibrated))),
    ):
        seen, labels = fitted.seen
        np.testing.assert_array_equal(labels, prepared.val.labels)
        np.testing.assert_allclose(seen, scores, atol=1e-5)
    np.testing.assert_array_equal(parts.decision.context.train_share, prepared.train_share)
    assert parts.decision.context.horizon_bars == 3


def test_rows_carry_the_time_and_the_forward_return_of_their_bar(parts, prepared, run_dir):
    for scored in infer(parts, prepared, run_dir):
        for group, (symbol, bars) in enumerate(prepared.bars.items()):
            mine = scored.groups == group
            rows = scored.bar_rows[mine]
            np.testing.assert_array_equal(scored.timestamp[mine], bars.timestamp[rows])
            np.testing.assert_array_equal(scored.forward_return[mine], prepared.forward_return[symbol][rows])


def test_the_table_tells_raw_from_calibrated_probabilities(parts, prepared, run_dir):
    val, test = infer(parts, prepared, run_dir)
    table = predictions_table(prepared.dataset.symbols, val=val, test=test)
    logits = np.concatenate([parts.model.predict_logits(w) for w in (prepared.val, prepared.test)])
    raw = np.exp(log_softmax(logits))
    np.testing.assert_allclose(table[["raw_sell", "raw_hold", "raw_buy"]], raw, atol=1e-6)
    tilted = raw * [1, 1, np.e]
    calibrated = tilted / tilted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(table[["p_sell", "p_hold", "p_buy"]], calibrated, atol=1e-6)


def test_a_decision_sees_time_and_symbol_of_its_rows_and_no_market_unless_there_is_one(
    parts, prepared, run_dir
):
    val, _ = infer(parts, prepared, run_dir)
    context = parts.decision.context
    np.testing.assert_array_equal(context.groups, val.groups)
    np.testing.assert_array_equal(context.timestamp, val.timestamp)
    assert context.market is None


def test_the_market_of_a_decision_is_the_validation_span_and_the_configured_account(parts, prepared, run_dir):
    backtest = Backtest(cash=500.0, stop_loss=0.03, capital="shared", fees=None, slippage=None)
    val, _ = infer(parts, prepared, run_dir, backtest)
    market = parts.decision.context.market
    assert market.symbols == tuple(market.bars) == ("A", "B")
    assert market.stops == {"stop_loss": 0.03, "take_profit": None, "trailing_stop": None, "max_bars": None}
    assert market.options == Account.build(backtest, None, None).options(prepared.bars)
    assert market.options["size"] == 0.5
    for group, (symbol, bars) in enumerate(market.bars.items()):
        np.testing.assert_array_equal(
            bars.timestamp[market.rows[market.groups == group]], val.timestamp[val.groups == group]
        )
        start, stop = prepared.dataset.segments[group].val
        np.testing.assert_array_equal(bars.timestamp, prepared.bars[symbol].timestamp[start:stop])
        assert bars.timestamp[-1] < prepared.times.val_end
    spread = market.by_bar(val.proba)
    for group, symbol in enumerate(market.bars):
        rows = market.rows[market.groups == group]
        np.testing.assert_array_equal(spread[symbol][rows], val.proba[val.groups == group])
        others = np.setdiff1d(np.arange(len(market.bars[symbol])), rows)
        assert np.isnan(spread[symbol][others]).all()


def test_a_strategys_own_stops_replace_the_configured_ones(parts, prepared, run_dir):
    class Strategy:
        def stops(self):
            return Backtest(take_profit=0.5)

    infer(replace(parts, strategy=Strategy()), prepared, run_dir, Backtest(stop_loss=0.03))
    stops = parts.decision.context.market.stops
    assert (stops["stop_loss"], stops["take_profit"]) == (None, 0.5)


def test_each_segment_is_decided_on_its_own(parts, prepared, run_dir):
    """A decision on series begins anew on test: nothing of val is carried over."""

    class Series:
        def fit(self, log_proba, labels, context):
            self.calls = []
            return self

        def decide(self, log_proba):
            raise ConfigError("not row by row")

        def decide_series(self, log_proba, groups, timestamp):
            self.calls.append((groups, timestamp))
            return np.ones(len(log_proba), np.int8)

    decision = Series()
    scored = infer(replace(parts, decision=decision), prepared, run_dir)
    assert len(decision.calls) == 2
    for (groups, times), segment in zip(decision.calls, scored, strict=True):
        np.testing.assert_array_equal(groups, segment.groups)
        np.testing.assert_array_equal(times, segment.timestamp)


def test_a_decision_that_needs_a_market_says_so(parts, prepared, run_dir):
    from simengine_plugins.decisions.cost_aware import CostAware

    with pytest.raises(ConfigError, match=r"^decision cost_aware: needs the bars and costs of the val"):
        infer(replace(parts, decision=CostAware()), prepared, run_dir)
