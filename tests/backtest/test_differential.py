"""The engine against an independent, slow one that keeps a ledger of fills and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.optimize import brentq

from simengine.backtest import FeeSchedule, SlippageModel, backtest


@dataclass
class Ledger:
    """Every quantity is recomputed from the list of fills (bar, quote, price, delta, fee, reason)."""

    cash0: float
    tiers: tuple[tuple[float, float], ...]
    slippage: SlippageModel
    fills: list[tuple[int, float, float, float, float, str]] = field(default_factory=list)

    def cash(self) -> float:
        return self.cash0 - sum(delta * price + fee for _, _, price, delta, fee, _ in self.fills)

    def rate(self) -> float:
        traded = sum(abs(delta) * price for _, _, price, delta, _, _ in self.fills)
        return [rate for start, rate in self.tiers if traded >= start][-1]

    def price(self, quote: float, delta: float, volume: float) -> float:
        slip = self.slippage.rate + self.slippage.impact * math.sqrt(abs(delta) / volume)
        return quote * (1 + math.copysign(slip, delta))

    def trade(self, bar: int, quote: float, delta: float, volume: float, reason: str) -> None:
        price = self.price(quote, delta, volume)
        self.fills.append((bar, quote, price, delta, abs(delta) * price * self.rate(), reason))

    def round_trips(self) -> tuple[list[list], list]:
        """Return the fills of the closed trades, and those of the open one."""
        closed, current, units = [], [], 0.0
        for fill in self.fills:
            current.append(fill)
            units += fill[3]
            if fill[5] != "resize":
                closed.append(current)
                current, units = [], 0.0
        return closed, current


def order_units(ledger: Ledger, held: float, size: float, quote: float, volume: float) -> float:
    """Find the order that, at the price it causes itself, reaches the size wanted."""

    def missing(delta: float) -> float:
        price = ledger.price(quote, delta, volume)
        return size * (ledger.cash() / price + held) / (1 + ledger.rate()) - held - delta

    at_quote = size * (ledger.cash() / quote + held) / (1 + ledger.rate()) - held
    smallest = math.copysign(1e-12, at_quote)
    if abs(at_quote) < 1e-9 or missing(smallest) * at_quote <= 0:
        return 0.0
    largest = 2 * at_quote
    while missing(largest) * at_quote > 0:
        largest *= 2
    return brentq(missing, smallest, largest, xtol=1e-13, rtol=1e-15)


def slow_backtest(bars, targets, *, cash, tiers, slippage, stop_loss, take_profit, rebalance):
    book = Ledger(cash, tiers, slippage)
    units, entry, standing = 0.0, math.nan, (0.0 if rebalance == "on_change" else None)
    equity, held = [cash], [0.0]
    for i in range(1, len(bars)):
        o, h, low, c = bars.open[i], bars.high[i], bars.low[i], bars.close[i]
        volume, target = bars.volume[i], targets[i - 1]
        stated = not math.isnan(target)
        if rebalance == "on_change":
            order = stated and target != standing
        else:
            goal = target if stated else standing
            if goal is None or not (goal or units):
                order = False
            elif not goal or rebalance == "every_bar":
                order = True
            else:
                order = abs(units * o / (book.cash() + units * o) - goal) > rebalance["band"]
        if stated:
            standing = target
        if order:
            if units and units * standing <= 0:
                book.trade(i, o, -units, volume, "signal")
                units = 0.0
            delta = order_units(book, units, standing, o, volume) if standing else 0.0
            if delta:
                price = book.price(o, delta, volume)
                book.trade(i, o, delta, volume, "resize")
                if units * delta >= 0:
                    entry = price if not units else (entry * units + price * delta) / (units + delta)
                units += delta
        if units:
            side = math.copysign(1, units)
            worst, best = (low, h) if side > 0 else (h, low)
            stop = entry * (1 - side * stop_loss) if stop_loss else -side * math.inf
            level = entry * (1 + side * take_profit) if take_profit else side * math.inf
            quote, why = None, ""
            if side * worst <= side * stop:
                quote, why = side * min(side * o, side * stop), "stop_loss"
            elif side * best >= side * level:
                quote, why = side * max(side * o, side * level), "take_profit"
            if quote is not None:
                assert low <= quote <= h
                book.trade(i, quote, -units, volume, why)
                units, standing = 0.0, (standing if rebalance == "on_change" else None)
        equity.append(book.cash() + units * c)
        held.append(units)
    return np.array(equity), np.array(held), book


def random_case(seed: int, random_bars):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 60))
    bars = random_bars(seed, n, vol=rng.choice([0.005, 0.02]))
    levels = rng.choice([-1.0, -0.5, 0.0, 0.3, 1.0, np.nan], n)
    continuous = np.where(rng.random(n) < 0.3, np.nan, rng.uniform(-1, 1, n))
    tiers = ((0.0, rng.choice([0.0, 0.001])), (317_311.0, 0.0004)) if rng.random() < 0.5 else ((0.0, 0.002),)
    impact = rng.choice([0.0, 0.05])
    return (
        bars,
        levels if rng.random() < 0.6 else continuous,
        {
            "cash": 1e5,
            "tiers": tuple((float(a), float(b)) for a, b in tiers),
            "slippage": SlippageModel(float(rng.choice([0.0, 0.001])), float(impact)),
            "stop_loss": rng.choice([None, 0.01, 0.04]),
            "take_profit": rng.choice([None, 0.01, 0.05]),
            "rebalance": rng.choice([0, 1, 2]),
        },
    )


@pytest.mark.parametrize("block", range(8))
def test_agrees_with_the_ledger_on_random_markets(block, random_bars):
    seen = set()
    for seed in range(50 * block, 50 * block + 50):
        bars, targets, given = random_case(seed, random_bars)
        given["rebalance"] = ["on_change", "every_bar", {"band": 0.1}][given["rebalance"]]
        equity, held, book = slow_backtest(bars, targets, **given)
        fast = backtest(bars, targets=targets, fees=FeeSchedule(given.pop("tiers")), **given)
        np.testing.assert_allclose(fast.equity, equity, rtol=1e-10)
        np.testing.assert_allclose(fast.value, held * bars.close, rtol=1e-9, atol=1e-6)
        closed, rest = book.round_trips()
        frame = fast.trades_frame()
        assert frame["exit_reason"].tolist() == [trip[-1][5] for trip in closed]
        assert fast.trades["entry_bar"].tolist() == [trip[0][0] for trip in closed]
        assert fast.trades["exit_bar"].tolist() == [trip[-1][0] for trip in closed]
        assert len(fast.open_trades) == (1 if rest else 0)
        pnl = [-sum(d * p + f for _, _, p, d, f, _ in trip) for trip in closed]
        np.testing.assert_allclose(fast.trades["pnl"], pnl, atol=1e-6)
        fees = sum(fill[4] for fill in book.fills)
        slip = sum(abs(d) * abs(p - q) for _, q, p, d, _, _ in book.fills)
        assert fast.costs["fees"] == pytest.approx(fees, abs=1e-6)
        assert fast.costs["slippage"] == pytest.approx(slip, abs=1e-6)
        seen |= set(frame["exit_reason"])
    assert seen == {"signal", "stop_loss", "take_profit"}
