"""What a strategy is shown, and the accounts that its targets are simulated on."""

import numpy as np
import pytest

from simengine.backtest.costs import FeeSchedule, SlippageModel, Stops
from simengine.config.schema import Backtest
from simengine.plugin.manager import build_registry
from simengine.steps.trade import Account, Signals, spread, strategy_targets, trade

COSTLY = (FeeSchedule(((0.0, 0.01),)), SlippageModel(0.001))


class Watching:
    """Targets are the numbers of the bars, as a fraction; keeps what it was shown."""

    def __init__(self):
        self.shown = {}

    def targets(self, context):
        self.shown[context.symbol] = context
        return np.arange(len(context.bars)) / 1000


class Long:
    """Always long, with stops of its own where given."""

    def __init__(self, stops=None):
        if stops is not None:
            self.stops = lambda: stops

    def targets(self, context):
        return np.ones(len(context.bars))


@pytest.fixture
def scored(make_scored):
    """Scores of the rows 50 to 99 of A (SELL) and 10 to 60 of B (BUY)."""
    groups = np.repeat([0, 1], [50, 51]).astype(np.int16)
    rows = np.concatenate([np.arange(50, 100), np.arange(10, 61)])
    log_proba = np.log(np.where(groups[:, None] == 0, [0.6, 0.3, 0.1], [0.1, 0.3, 0.6]))
    signals = np.where(groups == 0, 0, 2).astype(np.int8)
    return make_scored(np.ones(101), groups=groups, bar_rows=rows, log_proba=log_proba, signals=signals)


def test_a_strategy_sees_the_bars_up_to_the_end_of_the_span_and_the_scores_inside_it(prepared, scored):
    signals = spread(prepared.bars, {"A": (60, 90), "B": (20, 50)}, scored)
    strategy = Watching()
    targets = strategy_targets(strategy, signals)
    for symbol, start, stop, buy, signal in (("A", 60, 90, 0.1, 0), ("B", 20, 50, 0.6, 2)):
        context = strategy.shown[symbol]
        bars = prepared.bars[symbol]
        np.testing.assert_array_equal(context.bars.timestamp, bars.timestamp[:stop])
        assert len(context.proba) == len(context.signals) == stop
        assert np.isnan(context.proba[:start]).all()
        np.testing.assert_allclose(context.proba[start:, 2], buy)
        assert (context.signals[:start] == -1).all()
        assert (context.signals[start:] == signal).all()
        np.testing.assert_array_equal(signals[symbol].traded.timestamp, bars.timestamp[start:stop])
        np.testing.assert_array_equal(targets[symbol], np.arange(start, stop) / 1000)


@pytest.fixture
def signals(prepared):
    """Signals on the last 60 bars of A."""
    bars = prepared.bars["A"]
    n = len(bars)
    return {"A": Signals(bars, 41, np.full((n, 3), 1 / 3), np.ones(n, np.int8))}


def test_net_and_baselines_pay_costs_and_gross_pays_none(signals):
    account = Account(Backtest(), *COSTLY)
    trading = trade(account, Long(), signals, build_registry(discover=False))
    for result in (trading.net, *trading.baselines.values()):
        assert result.costs["fees"] > 0
        assert result.costs["slippage"] > 0
    assert trading.gross.costs["fees"] == trading.gross.costs["slippage"] == 0
    assert trading.gross.equity[-1] > trading.net.equity[-1]
    np.testing.assert_array_equal(trading.gross.timestamp, signals["A"].traded.timestamp)


def test_stops_of_a_strategy_replace_those_of_the_config(signals):
    account = Account(Backtest(stop_loss=0.5, bars_per_year=1234.0), *COSTLY)
    bars = {"A": signals["A"].traded}
    targets = {"A": np.ones(60)}
    tight = account.simulate(bars, targets, Long(Stops(stop_loss=0.0001)))
    assert tight.trades_frame()["exit_reason"].tolist() == ["stop_loss"]
    assert len(account.simulate(bars, targets, Long()).trades) == 0
    assert len(Account(Backtest(stop_loss=0.0001), *COSTLY).simulate(bars, targets, Long()).trades) == 1
    assert tight.bars_per_year == 1234.0
