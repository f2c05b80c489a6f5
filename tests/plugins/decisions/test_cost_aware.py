import logging
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.backtest import backtest, sweep
from simengine.errors import ConfigError, DataError
from simengine.evaluate.logproba import log_softmax
from simengine.types import Bars, DecisionContext, DecisionMarket, Signal
from simengine_plugins.decisions.cost_aware import NEVER, CostAware

SELL, HOLD, BUY = Signal


def draw(seed, n=240, symbols=1, edge=0.003):
    """Scores with some skill, and the market that they foresee."""
    rng = np.random.default_rng(seed)
    scores = log_softmax(rng.normal(size=(n * symbols, 3)) * 0.7 + np.log([0.28, 0.34, 0.38]))
    labels = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1).astype(np.int8)
    groups, rows = np.repeat(np.arange(symbols), n), np.tile(np.arange(n), symbols)
    bars = {}
    for index in range(symbols):
        steps = edge * (labels[groups == index].astype(float) - 1) + rng.normal(0, 0.002, n)
        close = 100 * np.exp(np.append(0.0, steps.cumsum()))
        open_ = np.append(100.0, close[:-1])
        edges = np.maximum(open_, close) * 1.001, np.minimum(open_, close) / 1.001
        times = np.arange(n + 1) * 3_600 * 10**9
        bars[f"S{index}"] = Bars(f"S{index}", times, open_, *edges, close, np.full(n + 1, 1e6))
    return scores, labels, bars, groups, rows


def context_of(bars, groups, rows, stops=None, **options):
    market = DecisionMarket(bars, tuple(bars), groups, rows, {"fee_bps": 5.0, **options}, stops or {})
    return DecisionContext(np.full(3, 1 / 3), 12, groups=groups, timestamp=rows, market=market)


def traded(signals, bars, groups, rows, on_hold="keep", **options):
    """Simulate signals the way `follow_signal` trades them."""
    targets = {}
    for index, (symbol, b) in enumerate(bars.items()):
        target = np.full(len(b), np.nan)
        mine = signals[groups == index]
        held = np.nan if on_hold == "keep" else 0.0
        target[rows[groups == index]] = np.select([mine == BUY, mine == SELL], [1.0, -1.0], held)
        targets[symbol] = target
    return backtest(bars, targets=targets, **{"fee_bps": 5.0, **options})


@pytest.mark.parametrize("on_hold", ["keep", "flat"])
@pytest.mark.parametrize("symbols", [1, 2])
def test_the_choice_is_the_best_of_all_pairs_simulated_one_by_one(symbols, on_hold):
    scores, labels, *market = draw(1, 240, symbols)
    shares = (0.0, 0.1, 0.3)
    rule = CostAware(shares=shares, on_hold=on_hold).fit(scores, labels, context_of(*market))
    proba, returns = np.exp(scores), {}
    for buy_share in shares:
        for sell_share in shares:
            if buy_share == sell_share == 0 or (on_hold == "keep" and not buy_share * sell_share):
                continue
            limits = [
                np.sort(p)[::-1][round(share * len(p)) - 1] if share else np.inf
                for p, share in ((proba[:, SELL], sell_share), (proba[:, BUY], buy_share))
            ]
            sell, buy = proba[:, SELL] >= limits[0], proba[:, BUY] >= limits[1]
            signals = np.select([buy & ~sell, sell & ~buy], [BUY, SELL], HOLD).astype(np.int8)
            both = np.flatnonzero(sell & buy)
            ratio = proba[both, BUY] / _middle(proba[:, BUY], buy_share) >= (
                proba[both, SELL] / _middle(proba[:, SELL], sell_share)
            )
            signals[both] = np.where(ratio, BUY, SELL)
            returns[buy_share, sell_share] = traded(signals, *market, on_hold).stats["net_return"]
    best = max(returns, key=returns.get)
    assert rule.chosen_["net_return"] == pytest.approx(returns[best], abs=1e-12)
    assert (rule.chosen_["buy_share"], rule.chosen_["sell_share"]) == pytest.approx(best, abs=1e-9)
    assert rule.overfitting_["trials"] == len(returns) == (4 if on_hold == "keep" else 8)
    assert returns[best] > 0
    assert rule.chosen_["trades"]


def _middle(values, share):
    ordered, k = np.sort(values)[::-1], round(share * len(values))
    return (ordered[k - 1] + ordered[k]) / 2 if k else np.inf


def test_a_side_is_left_out_only_where_the_other_is_closed_again():
    """Otherwise BUY alone, where HOLD keeps, is to buy once and hold to the end of val."""
    scores, labels, *market = draw(9)
    trials = {
        (on_hold, stops): CostAware(shares=(0.0, 0.1, 0.3), on_hold=on_hold)
        .fit(scores, labels, context_of(*market, dict([stops])))
        .overfitting_["trials"]
        for on_hold in ("keep", "flat")
        for stops in (("stop_loss", None), ("max_bars", 5))
    }
    assert list(trials.values()) == [4, 8, 8, 8]


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000))
def test_what_is_decided_is_what_was_simulated(seed):
    scores, labels, *market = draw(seed, 100, 2)
    rule = CostAware(shares=(0.0, 0.2, 0.5)).fit(scores, labels, context_of(*market))
    if rule.chosen_["trades"]:
        simulated = traded(rule.decide(scores), *market)
        assert simulated.stats["net_return"] == pytest.approx(rule.chosen_["net_return"], abs=1e-12)
        assert simulated.stats["trades"] == rule.chosen_["trades_closed"]


def test_stops_and_conventions_of_the_account_are_used():
    scores, labels, *market = draw(2)
    account = {"fill_convention": "stop_first_drop", "cash": 5_000.0}
    context = context_of(*market, {"stop_loss": 0.004, "max_bars": 3}, **account)
    rule = CostAware(shares=(0.1, 0.3)).fit(scores, labels, context)
    simulated = traded(rule.decide(scores), *market, stop_loss=0.004, max_bars=3, **account)
    assert simulated.stats["net_return"] == pytest.approx(rule.chosen_["net_return"], abs=1e-12)
    plain = traded(rule.decide(scores), *market)
    assert plain.stats["net_return"] != pytest.approx(rule.chosen_["net_return"], abs=1e-6)


def test_the_rule_by_hand():
    rule = CostAware()
    rule.buy_threshold_, rule.sell_threshold_ = 0.4, 0.2
    proba = np.array([
        [0.1, 0.5, 0.4],    # neither exceeds
        [0.1, 0.4, 0.5],    # BUY
        [0.21, 0.45, 0.34],  # SELL
        [0.3, 0.2, 0.5],    # both: .5 / .4 = 1.25 < .3 / .2 = 1.5
        [0.22, 0.18, 0.6],  # both: 1.5 > 1.1
    ])  # fmt: skip
    np.testing.assert_array_equal(rule.decide(np.log(proba)), [HOLD, BUY, SELL, SELL, BUY])
    rule.sell_threshold_ = NEVER
    np.testing.assert_array_equal(rule.decide(np.log(proba)), [HOLD, BUY, HOLD, BUY, BUY])
    rule.buy_threshold_, rule.sell_threshold_ = NEVER, 0.2
    np.testing.assert_array_equal(rule.decide(np.log(proba)), [HOLD, HOLD, SELL, SELL, SELL])


def test_not_to_trade_is_an_answer(caplog):
    scores, labels, *market = draw(3)
    with caplog.at_level(logging.INFO, logger="simengine"):
        rule = CostAware().fit(scores, labels, context_of(*market, fee_bps=5000.0))
    assert rule.chosen_["net_return"] < 0
    assert not rule.chosen_["trades"]
    assert (rule.decide(scores) == HOLD).all()
    assert traded(rule.decide(scores), *market).stats["trades"] == 0
    best = f"{rule.chosen_['net_return']:+.2%}"
    assert caplog.messages[-1] == (
        f"decision cost_aware: do not trade: the best of 36 pairs of thresholds nets {best} on val "
        "(in-sample), so that every signal is HOLD"
    )
    assert caplog.records[-1].fields["overfitting"]["trials"] == 36


def test_a_best_pair_that_is_not_believed_is_not_traded():
    scores, labels, *market = draw(4, edge=0.0, n=120)
    context = context_of(*market, fee_bps=0.0)
    eager = CostAware().fit(scores, labels, context)
    assert eager.chosen_["trades"]  # on noise: what the docs warn of
    assert eager.overfitting_["deflated_sharpe"] < 0.9
    careful = CostAware(min_deflated_sharpe=0.9).fit(scores, labels, context)
    assert (careful.decide(scores) == HOLD).all()
    assert careful.overfitting_ == eager.overfitting_
    assert careful.verdict_.startswith("do not trade: the best of 36 pairs of thresholds nets +")
    assert "short of min_deflated_sharpe 90.0%; every signal is HOLD" in careful.verdict_


def test_the_statistics_are_those_of_a_sweep_over_the_same_pairs():
    """Thresholds of BUY alone are a plain sweep, whose statistics are the engine's own."""
    scores, labels, bars, groups, rows = draw(5)
    proba = np.exp(scores)
    proba[:, HOLD] += proba[:, SELL] - 1e-9
    proba[:, SELL] = 1e-9
    rule = CostAware(shares=(0.0, 0.1, 0.3))
    pairs = [(b, s) for b, s in rule._pairs(proba, one_sided=True) if s == NEVER]
    assert len(pairs) == 2
    rule._pairs = lambda proba, one_sided: pairs
    rule.fit(np.log(proba), labels, context_of(bars, groups, rows))
    padded = np.vstack([proba, np.full(3, np.nan)])
    swept = sweep(bars, {"S0": padded}, thresholds=[b for b, _ in pairs], fee_bps=5.0)
    own, theirs = rule.overfitting_, swept.overfitting_dict()
    best = int(np.argmax(swept.table["net_return"]))
    assert rule.chosen_["net_return"] == pytest.approx(swept.table["net_return"][best], abs=1e-9)
    assert best == theirs["best"]
    for name in own:
        assert own[name] == pytest.approx(theirs[name], rel=1e-6, nan_ok=True)


def test_without_a_market_it_is_refused():
    scores, labels, *_ = draw(6)
    with pytest.raises(ConfigError) as error:
        CostAware().fit(scores, labels, DecisionContext(np.full(3, 1 / 3), 12))
    assert str(error.value) == (
        "decision cost_aware: needs the bars and costs of the validation rows (context.market), received "
        "none; use it in a run, or another decision"
    )


def test_scores_that_cannot_be_told_apart_are_refused():
    _, labels, *market = draw(7)
    with pytest.raises(DataError) as error:
        CostAware().fit(np.log(np.full((240, 3), 1 / 3)), labels, context_of(*market))
    assert str(error.value) == (
        "decision cost_aware: 240 validation rows with 1 distinct scores leave under two thresholds to "
        "choose from; use other shares, a model with finer scores or a longer validation segment"
    )


def test_a_share_that_is_there_twice_is_refused():
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        CostAware(shares=(0.1, 0.2, 0.1))
    assert str(error.value) == "shares: each counts as a trial, give it once; received [0.1, 0.2, 0.1]"


def test_decide_before_fit_is_refused():
    with pytest.raises(DataError, match=r"^decision cost_aware: decide was called before fit$"):
        CostAware().decide(np.zeros((1, 3)))


def test_a_symbol_without_bars_to_trade_plays_no_part():
    scores, labels, bars, groups, rows = draw(8, 120, 2)
    only = context_of({"S0": bars["S0"]}, groups, rows).market
    market = DecisionMarket(only.bars, ("S0", "S1"), groups, rows, only.options)
    context = DecisionContext(np.full(3, 1 / 3), 12, market=market)
    rule = CostAware(shares=(0.1, 0.3)).fit(scores, labels, context)
    if math.isfinite(rule.buy_threshold_):
        signals = rule.decide(scores)[groups == 0]
        first = groups[groups == 0], rows[groups == 0]
        found = traded(signals, {"S0": bars["S0"]}, *first).stats["net_return"]
        assert found == pytest.approx(rule.chosen_["net_return"], abs=1e-12)


@pytest.mark.parametrize("traded_as", ["keep", "flat"])
def test_what_hold_does_is_what_it_does_in_the_strategy(traded_as, caplog):
    scores, labels, *market = draw(1)
    context = context_of(*market)
    context = replace(context, market=replace(context.market, on_hold=traded_as))
    rule, told = (CostAware(on_hold=given).fit(scores, labels, context) for given in (None, traded_as))
    assert rule.chosen_ == told.chosen_
    assert "another rule" not in caplog.text
    other = "flat" if traded_as == "keep" else "keep"
    assert CostAware(on_hold=other).fit(scores, labels, context).chosen_ != rule.chosen_
    assert (
        f"decision cost_aware: on_hold is {other}, but the strategy trades with on_hold {traded_as}: the "
        "thresholds are fitted on another rule than is traded; leave inference.decision.on_hold out"
    ) in caplog.text
