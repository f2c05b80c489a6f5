"""What a strategy is shown, and the accounts that its targets are simulated on."""

import numpy as np
import pytest

from simengine.backtest import on_bar
from simengine.backtest.costs import FeeSchedule, SlippageModel, Stops
from simengine.config.schema import Backtest
from simengine.plugin.manager import build_registry
from simengine.steps.trade import NO_FEES, Account, Signals, spread, strategy_targets, trade

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


@pytest.fixture
def asked(monkeypatch):
    """The keyword arguments of the last call of the engine, which does nothing."""
    calls = {}
    monkeypatch.setattr("simengine.backtest.engine.backtest", lambda bars, **given: calls.update(given))
    return calls


TWO = dict.fromkeys("AB")


def test_every_setting_of_the_config_reaches_the_engine(asked):
    given = {
        "cash": 5e4,
        "size": 2.5,
        "leverage": 4.0,
        "initial_margin": 0.5,
        "maintenance_margin": 0.1,
        "liquidation_fee_bps": 50.0,
        "funding": {"rate": 1e-4, "every": "8h"},
        "borrow_rate": 0.05,
        "limit_offset": 0.001,
        "limit_bars": 3,
        "tick_size": 0.01,
        "lot_size": 1.0,
        "min_notional": 10.0,
        "stop_loss": 0.02,
        "take_profit": 0.04,
        "trailing_stop": 0.03,
        "max_bars": 9,
        "rebalance": {"band": 0.05},
        "capital": "shared",
        "fill_convention": "stop_first_drop",
        "bars_per_year": 8766.0,
        "size_unit": "fraction",
    }
    Account(Backtest(**given), *COSTLY).simulate(TWO, {})
    assert asked == {**given, "targets": {}, "fees": COSTLY[0], "slippage": COSTLY[1], "on_bar": None}
    assert set(given) == set(Backtest.model_fields) - {"fees", "slippage"}


@pytest.mark.parametrize(("capital", "size"), [("sleeves", 1.0), ("shared", 0.5)])
def test_symbols_share_one_account_equally(asked, capital, size):
    Account(Backtest(capital=capital), *COSTLY).simulate(TWO, {})
    assert asked["size"] == size


def test_sizes_of_symbols_that_are_not_traded_are_left_out(asked):
    config = Backtest(tick_size={"A": 1.0, "B": 2.0, "C": 3.0}, lot_size={"A": 1.0})
    Account(config, *COSTLY).simulate(TWO, {})
    assert asked["tick_size"] == {"A": 1.0, "B": 2.0}
    assert asked["lot_size"] == {"A": 1.0}  # the engine says that B is missing


def test_a_strategy_brings_all_its_stops_and_its_rule(asked):
    strategy = Long(Stops(trailing_stop=0.1, max_bars=5))
    strategy.on_bar = len
    Account(Backtest(stop_loss=0.5, max_bars=9), *COSTLY).simulate(TWO, {}, strategy)
    exits = {name: asked[name] for name in ("stop_loss", "take_profit", "trailing_stop", "max_bars")}
    assert exits == {"stop_loss": None, "take_profit": None, "trailing_stop": 0.1, "max_bars": 5}
    assert asked["on_bar"] is len


def test_a_rule_in_the_class_body_is_not_bound(asked):
    @on_bar
    def follow(i, target, open, high, low, close, volume, account, memory):
        return target

    class Ruled(Long):
        on_bar = follow

    Account(Backtest(), *COSTLY).simulate(TWO, {}, Ruled())
    assert asked["on_bar"] is follow


def test_baselines_have_plain_orders():
    config = Backtest(
        **dict.fromkeys(("stop_loss", "take_profit", "trailing_stop", "limit_offset"), 0.1),
        max_bars=3,
        rebalance="every_bar",
        borrow_rate=0.1,
    )
    assert Account(config, *COSTLY).plain() == Account(Backtest(borrow_rate=0.1), *COSTLY)


def test_without_costs_holding_is_free_too_but_the_volume_still_limits():
    config = Backtest(
        funding={"rate": 0.1, "every": "1h"}, borrow_rate=0.1, liquidation_fee_bps=5, stop_loss=0.1
    )
    capped = SlippageModel(0.1, 0.2, 0.3, "cancel")
    free = Account(config, COSTLY[0], capped).without_costs()
    assert free == Account(Backtest(stop_loss=0.1), NO_FEES, SlippageModel(0.0, 0.0, 0.3, "cancel"))
