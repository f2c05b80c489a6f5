"""The engine against vectorbt and backtesting.py, each in the fill convention of its own.

They come with the ``bench`` extra; without it their tests are skipped, and the bare loops of the
benchmarks, which agree with them, still check all three conventions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simengine.backtest import FeeSchedule, backtest
from simengine.backtest.inputs import FILL_CONVENTIONS

STOPS = [
    pytest.param({}, id="no-stops"),
    pytest.param({"stop_loss": 0.005, "take_profit": 0.01}, id="stops"),
    pytest.param({"stop_loss": 0.001, "take_profit": 0.002}, id="tight-stops"),
    pytest.param({"stop_loss": 0.002}, id="stop-loss-alone"),
    pytest.param({"take_profit": 0.002}, id="take-profit-alone"),
]


@pytest.fixture(scope="module")
def bench():
    """The modules that the benchmarks use."""
    from types import SimpleNamespace

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        import bare_loops
        import peers
        import random_market

        yield SimpleNamespace(loops=bare_loops, peers=peers, market=random_market)


@pytest.fixture
def vectorbt(bench):
    """vectorbt with its compiled engine."""
    module = bench.peers.import_peer("vectorbt")
    if not module or not bench.peers.import_peer("vectorbt_rust"):
        pytest.skip("vectorbt is not installed; pip install '.[bench]'")
    return module


@pytest.fixture
def backtesting(bench):
    module = bench.peers.import_peer("backtesting")
    if not module:
        pytest.skip("backtesting.py is not installed; pip install '.[bench]'")
    return module


@pytest.fixture(scope="module")
def case(bench):
    """Bars and signals, made once per size."""
    made = {}

    def make(n):
        if n not in made:
            made[n] = bench.market.make_bars(n), bench.market.make_signals(n)
        return made[n]

    return make


def assert_agree(bench, ours, theirs, *, trades=1_000):
    difference = bench.peers.compare(ours, theirs)
    assert difference.equity <= 1e-9
    assert difference.trades == 0
    assert len(theirs.trades) > trades


@pytest.mark.parametrize("stops", STOPS)
@pytest.mark.parametrize("convention", FILL_CONVENTIONS)
def test_agrees_with_the_bare_loop(bench, case, convention, stops):
    bars, signals = case(20_000)
    terms = bench.peers.Terms(**stops)
    ours = bench.peers.ours(bars, signals, terms, convention)
    assert_agree(bench, ours, bench.peers.bare(bars, signals, terms, convention))


@pytest.mark.parametrize("stops", STOPS)
def test_agrees_with_vectorbt(bench, vectorbt, case, stops):
    bars, signals = case(50_000)
    terms = bench.peers.Terms(**stops)
    ours = bench.peers.ours(bars, signals, terms, "stop_first_drop")
    assert_agree(bench, ours, bench.peers.vectorbt(bars, signals, terms))


def test_trailing_stops_agree_with_vectorbt(bench, vectorbt, case):
    """vectorbt trails from the bar after the entry, so the fill has to be beyond the entry bar's range."""
    bars, signals = case(100_000)
    kept = np.random.default_rng(5).random(len(signals)) < 0.03
    signals = np.where(kept, signals, 1).astype(np.int8)
    terms = bench.peers.Terms(slippage_bps=100, trailing_stop=0.012)
    assert max((bars.high / bars.open).max() - 1, 1 - (bars.low / bars.open).min()) < 0.01
    ours = bench.peers.ours(bars, signals, terms, "stop_first_drop")
    assert_agree(bench, ours, bench.peers.vectorbt(bars, signals, terms))
    # The trail matters: with a stop that stays where it was the trades are others.
    fixed = bench.peers.Terms(slippage_bps=100, stop_loss=0.012)
    assert bench.peers.compare(ours, bench.peers.vectorbt(bars, signals, fixed)).trades > 100


def test_all_cash_with_stops_agrees_with_vectorbt(bench, vectorbt, case):
    """Sized by all the money there is, fees included, long or flat; equity compounds over every trade."""
    bars, signals = case(20_000)
    terms = bench.peers.Terms(fee_bps=1, slippage_bps=1, stop_loss=0.005, take_profit=0.01)
    # A band that no drift reaches: orders only where the position differs, a stop waits for a new signal.
    ours = backtest(
        bars,
        targets=np.array([0.0, np.nan, 1.0])[signals],
        size=1.0,
        size_unit="fraction",
        rebalance={"band": 0.5},
        fill_convention="stop_first_drop",
        **terms._asdict(),
    )
    shifted = np.concatenate([[1], signals[:-1]])
    portfolio = bench.peers.call_vectorbt(
        bars,
        signals,
        terms,
        entries=shifted == 2,
        exits=shifted == 0,
        short_entries=None,
        upon_opposite_entry=None,
        size=np.inf,
    )
    assert_agree(bench, bench.peers.read(ours), bench.peers.read_vectorbt(portfolio))


@pytest.mark.parametrize("rebalance", ["on_change", "every_bar"])
def test_target_exposures_without_costs_agree_with_vectorbt(bench, vectorbt, case, rebalance):
    """Exposures of either sign, resized on every bar or when another is stated."""
    bars, signals = case(20_000)
    stated = np.array([-0.7, np.nan, 0.8])[signals]
    ours = backtest(bars, targets=stated, size_unit="fraction", rebalance=rebalance, cash=1e6)
    standing = bench.market.forward_filled(stated)
    if rebalance == "on_change":
        changes = np.append(True, standing[1:] != standing[:-1])
        standing = np.where(changes, standing, np.nan)
    assert_agree_equity(bench, ours, bench.peers.vectorbt_targets(bars, standing, cash=1e6))


def assert_agree_equity(bench, ours, equity):
    np.testing.assert_allclose(ours.equity, equity, rtol=1e-9)
    assert len(ours.trades) > 1_000


@pytest.mark.parametrize("stops", STOPS)
def test_agrees_with_backtesting_py(bench, backtesting, case, stops):
    bars, signals = case(20_000)
    # Its spread moves entries only, so there is no slippage here.
    terms = bench.peers.Terms(slippage_bps=0, **stops)
    ours = bench.peers.ours(bars, signals, terms, "open_first_skip_entry")
    assert_agree(bench, ours, bench.peers.backtesting_py(bars, signals, terms))


def test_fixed_fees_agree_with_backtesting_py(bench, backtesting, case):
    """A flip is two orders and pays twice, as there; vectorbt sends one order for it."""
    bars, signals = case(5_000)
    terms = bench.peers.Terms(slippage_bps=0, fee_bps=0, stop_loss=0.002, take_profit=0.004)
    fees = FeeSchedule(((0.0, 0.0005),), fixed=0.25)
    ours = bench.peers.ours(bars, signals, terms, "open_first_skip_entry", fees=fees)
    assert_agree(bench, ours, bench.peers.backtesting_py(bars, signals, terms, commission=(0.25, 0.0005)))


def test_the_conventions_differ_on_the_same_signals(bench, case):
    bars, signals = case(20_000)
    terms = bench.peers.Terms(stop_loss=0.001, take_profit=0.002)
    final = {c: bench.peers.ours(bars, signals, terms, c).equity[-1] - terms.cash for c in FILL_CONVENTIONS}
    assert len({round(value, 2) for value in final.values()}) == 3
    # Without stops there is nothing to disagree about.
    plain = [bench.peers.ours(bars, signals, bench.peers.Terms(), c) for c in FILL_CONVENTIONS]
    assert len({outcome.equity.tobytes() for outcome in plain}) == 1
