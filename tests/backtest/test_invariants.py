"""Laws that hold on every market."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.backtest import backtest

RULES = st.fixed_dictionaries(
    {
        "fee_bps": st.sampled_from([0.0, 10.0, 250.0]),
        "slippage_bps": st.sampled_from([0.0, 5.0, 300.0]),
        "stop_loss": st.sampled_from([None, 0.005, 0.03]),
        "take_profit": st.sampled_from([None, 0.005, 0.03]),
        "trailing_stop": st.sampled_from([None, 0.01]),
        "max_bars": st.sampled_from([None, 1, 5]),
        "rebalance": st.sampled_from(["on_change", "every_bar", {"band": 0.05}]),
        "fill_convention": st.sampled_from(["open_first", "stop_first_drop", "open_first_skip_entry"]),
    }
)
LEVERED = st.fixed_dictionaries(
    {
        "size": st.sampled_from([0.5, 1.0, 4.0]),
        "leverage": st.just(4.0),
        "maintenance_margin": st.sampled_from([0.0, 0.1]),
        "liquidation_fee_bps": st.sampled_from([0.0, 50.0]),
        "borrow_rate": st.sampled_from([0.0, 2.0]),
        "funding": st.sampled_from([None, {"rate": 0.001, "every": "3h"}, {"rate": -0.001, "every": "1h"}]),
        "limit_offset": st.sampled_from([None, 0.002]),
        "limit_bars": st.sampled_from([1, 3]),
    }
)
SEED = st.integers(0, 2**32 - 1)
CASH = 100_000.0


def random_targets(seed: int, n: int, levels=(-1.0, -0.4, 0.0, 0.7, 1.0, np.nan)) -> np.ndarray:
    return np.random.default_rng(seed).choice(levels, n)


@settings(max_examples=150, deadline=None)
@given(seed=SEED, rules=RULES, levered=LEVERED, n=st.integers(2, 80))
def test_the_books_balance(seed, rules, levered, n, random_bars):
    bars = random_bars(seed, n)
    result = backtest(bars, targets=random_targets(seed, n), cash=CASH, **rules, **levered)
    every = np.concatenate([result.trades, result.open_trades])
    change = result.equity[-1] - CASH
    assert every["pnl"].sum() == pytest.approx(change, abs=1e-9 * CASH)
    assert every["fees"].sum() == pytest.approx(result.costs["fees"], abs=1e-9 * CASH)
    assert every["slippage"].sum() == pytest.approx(result.costs["slippage"], abs=1e-9 * CASH)
    gross = (every["side"] * every["units"] * (every["exit_price"] - every["entry_price"])).sum()
    paid = every["fees"].sum() + every["financing"].sum()
    assert gross - paid == pytest.approx(change, abs=1e-9 * CASH)
    costs = result.costs
    assert every["financing"].sum() == pytest.approx(costs["funding"] + costs["borrow"], abs=1e-9 * CASH)
    paid = sum(costs[name] for name in ("fees", "slippage", "funding", "borrow"))
    assert costs["gross"] - paid == pytest.approx(change, abs=1e-9 * CASH)


@settings(max_examples=100, deadline=None)
@given(seed=SEED, rules=RULES, n=st.integers(2, 80))
def test_long_only_cash_is_never_overdrawn(seed, rules, n, random_bars):
    targets = random_targets(seed, n, (0.0, 0.3, 0.7, 1.0, np.nan))
    result = backtest(random_bars(seed, n), targets=targets, cash=CASH, **rules)
    assert (result.equity - result.value).min() >= -1e-9 * CASH
    assert result.exposure.min() >= 0


@settings(max_examples=100, deadline=None)
@given(seed=SEED, rules=RULES, n=st.integers(2, 80))
def test_trades_fill_after_the_decision_and_inside_the_bar(seed, rules, n, random_bars):
    bars = random_bars(seed, n)
    targets = random_targets(seed, n)
    result = backtest(bars, targets=targets, cash=CASH, **rules | {"slippage_bps": 0.0})
    trades = result.trades
    assert (trades["entry_bar"] >= 1).all()
    assert (trades["exit_bar"] >= trades["entry_bar"]).all()
    if rules["rebalance"] == "on_change":
        whole = random_targets(seed, n, (-1.0, 0.0, 1.0, np.nan))
        single = backtest(bars, targets=whole, cash=CASH, **rules | {"slippage_bps": 0.0}).trades
        assert (whole[single["entry_bar"] - 1] == single["side"]).all()
        assert single["entry_price"] == pytest.approx(bars.open[single["entry_bar"]], rel=1e-12)
        for edge, sign in (("low", 1), ("high", -1)):
            limit = getattr(bars, edge)[single["exit_bar"]]
            assert (sign * single["exit_price"] >= sign * limit * (1 - sign * 1e-12)).all()
    assert (trades["mae"] <= 0).all()
    assert (trades["mfe"] >= 0).all()


@settings(max_examples=50, deadline=None)
@given(seed=SEED, rules=RULES, levered=LEVERED, n=st.integers(3, 80), data=st.data())
def test_nothing_after_a_bar_changes_the_account_up_to_it(seed, rules, levered, n, data, random_bars):
    rules |= levered
    cut = data.draw(st.integers(1, n - 1))
    bars, targets = random_bars(seed, n), random_targets(seed, n)
    future = {name: np.concatenate([column[:cut], column[cut:] * 3]) for name, column in bars.columns()}
    other = targets.copy()
    other[cut:] = -1
    before = backtest(bars, targets=targets, cash=CASH, **rules)
    after = backtest(replace(bars, **future), targets=other, cash=CASH, **rules)
    assert before.equity[:cut].tobytes() == after.equity[:cut].tobytes()
    assert before.value[:cut].tobytes() == after.value[:cut].tobytes()


@settings(max_examples=50, deadline=None)
@given(seed=SEED, rules=RULES, n=st.integers(2, 80), scale=st.sampled_from([2**-12, 4.0, 1e-3, 37.0]))
def test_the_unit_of_price_does_not_matter(seed, rules, n, scale, random_bars):
    bars, targets = random_bars(seed, n), random_targets(seed, n)
    scaled = replace(bars, **{k: getattr(bars, k) * scale for k in ("open", "high", "low", "close")})
    one = backtest(bars, targets=targets, cash=CASH, **rules)
    other = backtest(scaled, targets=targets, cash=CASH, **rules)
    if scale in (2**-12, 4.0):
        assert one.equity.tobytes() == other.equity.tobytes()  # powers of two round the same way
    np.testing.assert_allclose(one.equity, other.equity, rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=SEED, rules=RULES, n=st.integers(2, 80))
def test_a_flat_account_is_constant(seed, rules, n, random_bars):
    result = backtest(random_bars(seed, n), targets=np.zeros(n), cash=CASH, **rules)
    assert (result.equity == CASH).all()
    assert len(result.trades) == len(result.open_trades) == 0


@settings(max_examples=30, deadline=None)
@given(seed=SEED, n=st.integers(3, 80))
def test_without_costs_and_stops_equity_compounds_exposure_times_return(seed, n, random_bars):
    bars = random_bars(seed, n, gap=0.0)
    targets = random_targets(seed, n, (-1.0, 0.0, 1.0))
    result = backtest(bars, targets=targets, cash=CASH, rebalance="every_bar")
    returns = bars.close[1:] / bars.open[1:] - 1
    np.testing.assert_allclose(result.equity[1:], CASH * np.cumprod(1 + targets[:-1] * returns), rtol=1e-9)


def test_costs_only_ever_take_away(random_bars):
    bars, targets = random_bars(3, 500), random_targets(3, 500)
    free = backtest(bars, targets=targets).equity[-1]
    with_fee = backtest(bars, targets=targets, fee_bps=10).equity[-1]
    with_both = backtest(bars, targets=targets, fee_bps=10, slippage_bps=5).equity[-1]
    assert free > with_fee > with_both


def test_the_same_input_gives_the_same_bytes_and_is_not_changed(random_bars):
    bars, targets = random_bars(4, 300), random_targets(4, 300)
    copies = {name: column.copy() for name, column in bars.columns()}, targets.copy()
    runs = [backtest(bars, targets=targets, fee_bps=10, stop_loss=0.02) for _ in range(2)]
    assert runs[0].equity.tobytes() == runs[1].equity.tobytes()
    assert runs[0].trades.tobytes() == runs[1].trades.tobytes()
    assert all((copies[0][name] == column).all() for name, column in bars.columns())
    np.testing.assert_array_equal(copies[1], targets)
