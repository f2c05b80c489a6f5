"""Small random markets with random options: wild ranges, gaps, coarse prices, every feature at times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from reference.book import Options

from simengine.types import Bars

HOUR = 3_600 * 10**9
START = 1_577_836_800 * 10**9  # 2020-01-01


@dataclass(frozen=True)
class Case:
    """One market and the settings it is traded with."""

    seed: int
    bars: list[Bars]
    targets: list[np.ndarray]
    options: Options


def random_bars(
    rng: np.random.Generator, symbol: str, times: np.ndarray, *, vol: float, gap: float, grid: float
) -> Bars:
    n = len(times)
    close = 100 * np.exp(np.cumsum(rng.normal(0, vol, n)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, gap, n) * (rng.random(n) < 0.5))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, vol, n)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, vol, n)))
    prices = [open_, high, low, close]
    if grid:
        prices = [np.maximum(np.round(x / grid), 4) * grid for x in prices]
    return Bars(symbol, times, *prices, np.full(n, 1.0))


def random_volume(rng: np.random.Generator, n: int, *, capped: bool) -> np.ndarray:
    if not capped:
        return rng.uniform(2e4, 1e6, n)
    return np.where(rng.random(n) < 0.15, 0.0, np.round(rng.uniform(500, 20_000, n)))


def random_targets(rng: np.random.Generator, n: int, largest: float) -> np.ndarray:
    kind = rng.integers(4)
    if kind == 0:
        targets = rng.choice([-1.0, 0.0, 1.0], n)
    elif kind == 1:
        targets = rng.choice([-1.0, -0.5, 0.0, 0.3, 0.5, 1.0], n)
    elif kind == 2:
        targets = np.round(rng.uniform(-1, 1, n), 3)
    else:
        targets = np.repeat(rng.choice([-1.0, 0.0, 0.5, 1.0], n), 3)[:n]
    targets = np.where(rng.random(n) < rng.choice([0.0, 0.3, 0.7]), np.nan, targets)
    return targets * largest


def some(rng: np.random.Generator, probability: float, *values: Any) -> Any:
    """One of the values after the first with the probability given, else the first."""
    return values[1 + rng.integers(len(values) - 1)] if rng.random() < probability else values[0]


def random_options(rng: np.random.Generator, n_symbols: int) -> Options:
    leverage = some(rng, 0.45, 1.0, 2.0, 4.0, 5.0, 10.0)
    unit = some(rng, 0.25, "fraction", "units", "cash")
    size = {
        "fraction": some(rng, 0.2, 1.0, 0.5),
        "units": float(rng.integers(50, 900)),
        "cash": float(rng.integers(5, 90)) * 1_013.0,
    }[unit]
    capped = rng.random() < 0.3
    stops = 0.5 if rng.random() < 0.6 else 0.05
    rebalance = some(rng, 0.5, "on_change", "every_bar", 0.1, 0.02)
    if unit != "fraction" and not isinstance(rebalance, str):
        rebalance = "every_bar"
    return Options(
        cash=99_991.37,
        size=size,
        size_unit=unit,
        fee_tiers=some(
            rng, 0.6, ((0.0, 0.0),), ((0.0, 0.001),), ((0.0, 0.01),), ((0.0, 0.002), (317_311.7, 0.0004))
        ),
        fee_fixed=some(rng, 0.2, 0.0, 3.7, 900.0),
        fee_minimum=some(rng, 0.2, 0.0, 11.3, 1_500.0),
        slippage=some(rng, 0.5, 0.0, 0.001, 0.03),
        impact=some(rng, 0.3, 0.0, 0.02, 0.1),
        max_participation=some(rng, 1.0, 0.0, 0.05, 0.3) if capped else float("inf"),
        remainder=some(rng, 0.5, "carry", "cancel"),
        on_stops=rng.random() < 0.8,
        stop_loss=some(rng, stops, None, 0.01, 0.02, 0.05, 0.3),
        take_profit=some(rng, stops, None, 0.01, 0.02, 0.05),
        trailing_stop=some(rng, stops / 2, None, 0.01, 0.03, 0.1),
        max_bars=some(rng, stops / 2, None, 1, 2, 5),
        leverage=leverage,
        initial_margin=some(rng, 0.2, None, 0.5 / leverage, 1.0 / leverage, 1.0),
        maintenance_margin=some(rng, 0.3, 0.0, 0.03 / leverage, 0.5 / leverage),
        liquidation_fee_bps=some(rng, 0.3, 0.0, 50.0),
        funding=some(
            rng,
            0.3,
            None,
            {"rate": 0.001, "every": "8h"},
            {"rate": -0.004, "every": "1h"},
            {"rate": 0.02, "every": "1d"},
        ),
        borrow_rate=some(rng, 0.3, 0.0, 0.1, 3.0),
        limit_offset=some(rng, 0.25, None, 0.005, 0.01, 0.05),
        limit_bars=some(rng, 0.5, 1, 2, 4),
        tick_size=some(rng, 0.25, 0.0, 0.5, 0.01),
        lot_size=some(rng, 0.25, 0.0, 1.0, 0.1, 100.0),
        min_notional=some(rng, 0.2, 0.0, 500.0, 20_000.0),
        rebalance=rebalance,
        capital=some(rng, 0.6, "sleeves", "shared") if n_symbols > 1 else some(rng, 0.3, "sleeves", "shared"),
        fill_convention=some(rng, 0.6, "open_first", "stop_first_drop", "open_first_skip_entry"),
    )


def random_case(seed: int) -> Case:
    """The market of a seed; one symbol in half of the cases, else two to four with spans of their own."""
    rng = np.random.default_rng([20_240_501, seed])
    n_symbols = int(some(rng, 0.5, 1, 2, 3, 4))
    options = random_options(rng, n_symbols)
    n = int(rng.integers(5, 41))
    step = int(some(rng, 0.3, 1, 4, 24)) * HOUR
    all_times = START + np.cumsum(np.where(rng.random(n) < 0.9, 1, 3)) * step
    vol = rng.choice([0.004, 0.02, 0.06, 0.15])
    grid = rng.choice([0.0, 0.5])
    bars, targets = [], []
    for k in range(n_symbols):
        times = all_times
        if k and rng.random() < 0.5:
            first, last = int(rng.integers(0, n - 3)), int(rng.integers(3, n + 1))
            times = times[first : max(last, first + 3)]
        if k and rng.random() < 0.3 and len(times) > 4:
            times = times[np.sort(rng.permutation(len(times))[: max(3, len(times) * 3 // 4)])]
        made = random_bars(rng, f"S{k}", times, vol=vol, gap=rng.choice([0.0, 0.01, 0.05]), grid=grid)
        capped = options.max_participation < float("inf")
        made.volume[:] = random_volume(rng, len(times), capped=capped)
        bars.append(made)
        largest = options.leverage / options.size if options.size_unit == "fraction" else 1.0
        bound = min(options.leverage, largest)
        targets.append(random_targets(rng, len(times), bound if rng.random() < 0.5 else min(1.0, bound)))
    if n_symbols == 1 and options.funding is not None and rng.random() < 0.4:
        rates = rng.choice([0.0, 0.0, 0.001, -0.003], n)
        options = replace(options, funding=tuple(rates.tolist()))
    return Case(seed, bars, targets, options)
