"""Laws that hold on every market, and a checker that notices when one does not.

``benchmarks/invariants.py`` checks the same laws on a million markets.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simengine.backtest import backtest

# The markets and the laws are those of the benchmark.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import alike
import invariants
import laws
import small_markets

SEED = st.integers(0, 2**32 - 1)
EVERY = settings(max_examples=150, deadline=None)
CASH = 100_000.0


def prepared(seed, symbols, together):
    """A market, its result and the same as the laws take it."""
    case = small_markets.random_case(seed, symbols)
    return case, invariants.as_run(invariants.publicly(case, together=together))


def broken_by(case, run, seen=None):
    """The names of the laws that a run breaks."""
    mask = laws.check(case, run, np.zeros(len(laws.FEATURES), np.int64) if seen is None else seen)
    return {name for law, name in enumerate(laws.LAWS) if mask >> law & 1}


@EVERY
@given(seed=SEED)
def test_one_symbol_keeps_the_laws(seed):
    assert broken_by(*prepared(seed, 1, False)) == set()


@EVERY
@given(seed=SEED, symbols=st.integers(1, 4))
def test_a_shared_account_keeps_the_laws(seed, symbols):
    assert broken_by(*prepared(seed, symbols, True)) == set()


@EVERY
@given(seed=SEED)
def test_a_shared_account_of_one_symbol_is_its_own(seed):
    _, together = prepared(seed, 1, True)
    _, alone = prepared(seed, 1, False)
    assert together.equity.tobytes() == alone.equity.tobytes()
    assert together.orders.tobytes() == alone.orders.tobytes()
    assert together.trades.tobytes() == alone.trades.tobytes()


@settings(max_examples=75, deadline=None)
@given(seed=SEED, symbols=st.integers(1, 3), together=st.booleans(), data=st.data())
def test_nothing_after_a_bar_changes_what_came_before(seed, symbols, together, data):
    symbols = symbols if together else 1
    case, run = prepared(seed, symbols, together)
    cut = data.draw(st.integers(1, len(case.time) - 1))
    other = invariants.as_run(
        invariants.publicly(small_markets.with_another_future(cut, case), together=together)
    )
    assert alike.prefix_is_kept(cut, case.time, run, other)


@settings(max_examples=75, deadline=None)
@given(seed=SEED, power=st.integers(-12, 12), of_money=st.booleans())
def test_the_units_of_price_and_money_do_not_matter(seed, power, of_money):
    case, run = prepared(seed, 1, False)
    if not invariants.scales(case, of_money):
        return
    scale = 2.0**power
    scaled = small_markets.copy_of(case, *((1.0, scale, 1.0) if of_money else (scale, 1.0, 1.0 / scale)))
    other = invariants.as_run(invariants.publicly(scaled, together=False))
    # Powers of two round the same way: the last bit has to agree.
    assert alike.same_returns(run, other, scale if of_money else 1.0, True)


def test_the_markets_use_every_feature():
    used = np.zeros(len(laws.FEATURES), np.int64)
    for seed in range(250):
        for together in (False, True):
            seen = np.zeros(len(laws.FEATURES), np.int64)
            laws.check(*prepared(seed, 1 + seed % 3 if together else 1, together), seen)
            used += seen
    by_the_command = {"price unit changed", "money unit changed", "cut with fills"}
    unused = {name for name, times in zip(laws.FEATURES, used, strict=True) if times == 0}
    assert unused <= by_the_command | {"bankrupt"}


@pytest.fixture(scope="module")
def busy():
    """A market with several trades, fees and slippage, on which all of the faults below show."""
    for seed in range(1000):
        case = small_markets.random_case(seed, 1)
        rules = case.rules
        costly = rules.fee > 0 and rules.slippage > 0
        if costly and not rules.rounds and rules.cap == np.inf:
            case, run = prepared(seed, 1, False)
            if len(run.trades) >= 3:
                return case, run
    raise AssertionError("no such market")


def changed(run, what, row, field=None, by=1e-6):
    """The run with one number moved by a share of itself."""
    rows = getattr(run, what).copy()
    if field is None:
        rows[row] *= 1 + by
    else:
        rows[field][row] = rows[field][row] * (1 + by)
    return run._replace(**{what: rows})


def moved(run, field):
    """The run with one whole number of a trade one too high."""
    trades = run.trades.copy()
    trades[field][1] += 1
    return run._replace(trades=trades)


EQUITY, PNL, GROSS, RANGE, DECISION, COSTS, FLAT = laws.LAWS[:7]
OVERDRAFT, ROUNDING, VOLUME, TRADES, TOTALS = laws.LAWS[7:12]
FAULTS = {
    "equity": (lambda run: changed(run, "equity", 5), EQUITY),
    "last-equity": (lambda run: changed(run, "equity", -1), PNL),
    "fee": (lambda run: changed(run, "orders", 0, "fee"), COSTS),
    "slippage": (lambda run: changed(run, "orders", 0, "slippage", 1e-3), COSTS),
    "price-in-favour": (lambda run: changed(run, "orders", 0, "price", -0.2 * run.orders["units"][0]), COSTS),
    "quote-outside": (lambda run: changed(run, "orders", 0, "quote", 5.0), RANGE),
    "bar-of-a-fill": (lambda run: changed(run, "orders", 0, "bar", 1.0), RANGE),
    "units": (lambda run: changed(run, "orders", 0, "units"), EQUITY),
    "wrong-side": (lambda run: changed(run, "orders", 0, "units", -2.0), DECISION),
    "pnl": (lambda run: changed(run, "trades", 0, "pnl"), TRADES),
    "entry-price": (lambda run: changed(run, "trades", 1, "entry_price"), TRADES),
    "exit-price": (lambda run: changed(run, "trades", 1, "exit_price"), TRADES),
    "exit-reason": (lambda run: moved(run, "exit_reason"), TRADES),
    "exit-bar": (lambda run: moved(run, "exit_bar"), TRADES),
    "lost-trade": (lambda run: run._replace(trades=run.trades[:-1]), TRADES),
    "lost-fill": (lambda run: run._replace(orders=run.orders[1:]), EQUITY),
    "total-of-fees": (lambda run: changed(run, "ledger", invariants.layout.FEES), TOTALS),
    "wins": (lambda run: run._replace(wins=run.wins + 1), TOTALS),
    "slippage-lost": (lambda run: changed(run, "ledger", invariants.layout.SLIPPAGE), GROSS),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_noticed(name, busy):
    case, run = busy
    fault, law = FAULTS[name]
    assert broken_by(case, run) == set()
    assert law in broken_by(case, fault(run))


def test_equity_that_moves_while_flat_is_noticed(busy):
    case, _ = busy
    idle = case._replace(decided=np.full_like(case.decided, np.nan))
    flat = invariants.as_run(invariants.publicly(idle, together=False))
    assert broken_by(idle, flat) == set()
    moving = flat._replace(equity=flat.equity + 1e-9 * np.arange(len(flat.equity)))
    assert broken_by(idle, moving) == {FLAT}


@pytest.mark.parametrize(
    ("rules", "law"),
    [
        ({"lot": 0.7}, ROUNDING),
        ({"tick": 0.7}, ROUNDING),
        ({"minimum": 1e9}, ROUNDING),
        ({"cap": 1e-6}, VOLUME),
        ({"fee": 0.5, "fees": np.array([[0.0, 0.5]])}, COSTS),
        ({"slippage": 0.0, "impact": 0.0}, COSTS),
        ({"financed": True, "borrow": 1e3}, EQUITY),
    ],
)
def test_results_under_other_rules_are_noticed(rules, law, busy):
    case, run = busy
    assert law in broken_by(case._replace(rules=case.rules._replace(**rules)), run)


def test_an_overdraft_is_noticed():
    """A long bought with twice the money, told to the laws as an account without leverage."""
    price = np.full((12, 1), 100.0)
    case = small_markets.random_case(1, 1)
    off = dict.fromkeys(
        (
            "fee",
            "fixed_fee",
            "minimum_fee",
            "slippage",
            "impact",
            "maintenance",
            "borrow",
            "tick",
            "lot",
            "minimum",
        ),
        0.0,
    )
    never = dict.fromkeys(("cap", "stop_loss", "take_profit", "trailing"), np.inf)
    words = {"size": 1.0, "unit": 0, "fees": np.zeros((1, 2)), "max_bars": 0, "margin": 0.5, "convention": 0}
    missing = {"offset": np.nan, "band": np.nan, "tiered": False, "financed": False, "rounds": False}
    plain = case.rules._replace(**off, **never, **words, **missing)
    case = case._replace(
        **dict.fromkeys(("open", "high", "low", "close", "volume"), price),
        time=small_markets.START + np.arange(12) * small_markets.HOUR,
        row=np.arange(12, dtype=np.int32)[:, None],
        decided=np.full((12, 1), 2.0),
        rules=plain,
        leverage=2.0,
        every=small_markets.NEVER,
        rate=0.0,
    )
    run = invariants.as_run(invariants.publicly(case, together=False))
    assert broken_by(case, run) == set()
    assert broken_by(case._replace(leverage=1.0), run) == {OVERDRAFT}


def test_changed_history_is_noticed(busy):
    case, run = busy
    last = len(case.time) - 1
    assert alike.prefix_is_kept(last, case.time, run, run)
    assert not alike.prefix_is_kept(last, case.time, run, changed(run, "equity", 3, by=1e-15 * 10))
    assert not alike.prefix_is_kept(last, case.time, run, changed(run, "orders", 0, "units", 1e-12))
    assert not alike.same_returns(run, changed(run, "equity", 3, by=1e-8), 1.0, False)
    assert not alike.same_returns(run, changed(run, "equity", 3, by=1e-14), 1.0, True)


def random_targets(seed: int, n: int, levels=(-1.0, -0.4, 0.0, 0.7, 1.0, np.nan)) -> np.ndarray:
    return np.random.default_rng(seed).choice(levels, n)


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


@settings(max_examples=30, deadline=None)
@given(seed=SEED, scale=st.sampled_from([1e-3, 37.0]))
def test_prices_in_cents_give_the_same_equity(seed, scale, random_bars):
    bars, targets = random_bars(seed, 60), random_targets(seed, 60)
    scaled = replace(bars, **{k: getattr(bars, k) * scale for k in ("open", "high", "low", "close")})
    terms = {"cash": CASH, "fee_bps": 10, "stop_loss": 0.02, "rebalance": {"band": 0.05}}
    one, other = (backtest(b, targets=targets, **terms) for b in (bars, scaled))
    np.testing.assert_allclose(one.equity, other.equity, rtol=1e-9)


def test_the_same_input_gives_the_same_bytes_and_is_not_changed(random_bars):
    bars, targets = random_bars(4, 300), random_targets(4, 300)
    copies = {name: column.copy() for name, column in bars.columns()}, targets.copy()
    runs = [backtest(bars, targets=targets, fee_bps=10, stop_loss=0.02) for _ in range(2)]
    assert runs[0].equity.tobytes() == runs[1].equity.tobytes()
    assert runs[0].trades.tobytes() == runs[1].trades.tobytes()
    assert all((copies[0][name] == column).all() for name, column in bars.columns())
    np.testing.assert_array_equal(copies[1], targets)
