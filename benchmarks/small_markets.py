"""Small random markets with random rules: every feature of the engine has a chance of its own."""

# ruff: noqa: NPY002 - numba seeds its legacy generator, which gives every market a number of its own
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simengine.backtest.kernel.compiling import VERSION
from simengine.backtest.kernel.layout import CASH, FRACTION, UNITS, Market, Rules
from simengine.backtest.kernel.panel import Panel
from simengine.backtest.kernel.single import NS_PER_YEAR

HOUR = 3_600 * 10**9
START = 1_577_836_800 * 10**9  # 2020-01-01
MONEY = 99_991.37
NEVER = 0
"""Interval of a market without funding."""
FILES = tuple(
    Path(__file__).with_name(f"{name}.py") for name in ("small_markets", "laws", "alike", "invariants")
)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function, cached until the kernel or one of these files changes."""
    dispatcher = njit(cache=True, error_model="numpy")(function)
    changed = [file.stat().st_mtime_ns for file in FILES]
    dispatcher._cache._cache_file._version = f"{VERSION} {changed}"
    return dispatcher


class Case(NamedTuple):
    """Bars of S symbols at T times, what is decided at their closes, and the rules of the account.

    Arrays have the shape (T, S), ``time`` (T,). ``row``: the symbol's own bar number, -1 where it has none.
    ``decided``: the target stated at the close, NaN for none. ``rules.margin`` is the initial margin.
    ``rate``, ``every``: of funding, every in ns. ``smooth``: no two prices are equal by construction.
    """

    time: NDArray[np.int64]
    row: NDArray[np.int32]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    decided: NDArray[np.float64]
    rules: Rules
    cash: float
    leverage: float
    rate: float
    every: int
    smooth: bool


@compiled
def happens(chance: float) -> bool:
    return np.random.random() < chance


@compiled
def log_uniform(low: float, high: float) -> float:
    return low * (high / low) ** np.random.random()


@compiled
def maybe(chance: float, otherwise: float, low: float, high: float) -> float:
    """Return a number between low and high with a chance, else the other one."""
    return log_uniform(low, high) if happens(chance) else otherwise


@compiled
def random_fees() -> NDArray[np.float64]:
    fees = np.zeros((2 if happens(0.25) else 1, 2))
    fees[0, 1] = maybe(0.6, 0.0, 1e-4, 2e-2)
    if len(fees) == 2:
        fees[1, 0] = log_uniform(5e4, 1e6)
        fees[1, 1] = fees[0, 1] * np.random.random()
    return fees


@compiled
def random_rules(leverage: float, financed: bool, borrow: float) -> Rules:
    unit = FRACTION
    if happens(0.25):
        unit = CASH if happens(0.5) else UNITS
    size = maybe(0.3, 1.0, 0.2, 1.0) * min(leverage, 1.0)
    if unit == CASH:
        size = log_uniform(5e3, 1e5)
    if unit == UNITS:
        size = np.floor(log_uniform(50.0, 900.0))
    band = np.nan
    if happens(0.5):
        band = maybe(0.5, 0.0, 0.02, 0.3) if unit == FRACTION else 0.0
    cap = maybe(0.3, np.inf, 0.02, 0.5)
    fees = random_fees()
    initial = min(1.0, 1.0 / leverage)
    if happens(0.2):
        initial = log_uniform(0.5 * initial, 1.0)
    tick = maybe(0.2, 0.0, 0.01, 1.0)
    lot = maybe(0.2, 0.0, 0.05, 150.0)
    minimum = maybe(0.15, 0.0, 300.0, 3e4)
    rounds = tick > 0.0 or lot > 0.0 or minimum > 0.0
    stops = 0.5 if happens(0.6) else 0.05
    stop_share = 1.0 if happens(0.8) else 0.0
    max_bars = np.random.randint(1, 8) if happens(0.5 * stops) else 0
    maintenance = initial * np.random.random() * 0.9 if happens(0.3) else 0.0
    convention = 0 if happens(0.4) else np.random.randint(1, 3)
    return Rules(
        size=size,
        unit=unit,
        fees=fees,
        fee=fees[0, 1],
        tiered=len(fees) > 1,
        fixed_fee=maybe(0.15, 0.0, 1.0, 900.0),
        minimum_fee=maybe(0.15, 0.0, 1.0, 1500.0),
        slippage=maybe(0.5, 0.0, 1e-4, 3e-2),
        stop_share=stop_share,
        impact=maybe(0.25, 0.0, 1e-3, 0.1),
        cap=cap,
        carry=happens(0.6),
        stop_loss=maybe(stops, np.inf, 0.005, 0.3),
        take_profit=maybe(stops, np.inf, 0.005, 0.2),
        trailing=maybe(0.5 * stops, np.inf, 0.005, 0.3),
        max_bars=max_bars,
        margin=initial,
        maintenance=maintenance,
        liquidation_fee=np.round(maybe(0.3, 0.0, 1.0, 200.0)) * 1e-4,
        financed=financed,
        borrow=borrow,
        tick=tick,
        lot=lot,
        minimum=minimum,
        rounds=rounds,
        offset=maybe(0.25, np.nan, 1e-3, 0.05),
        limit_bars=np.random.randint(1, 5),
        band=band,
        convention=convention,
        resizes=True,
        straight=False,
        watches=False,
    )


@compiled
def own_account(case: Case) -> Rules:
    """Return the rules as one symbol's own account takes them: what is affordable needs no margin."""
    r = case.rules
    affordable = r.unit == FRACTION and case.leverage <= 1.0 and r.cap == np.inf
    margin = 0.0 if affordable else r.margin
    return Rules(
        size=r.size,
        unit=r.unit,
        fees=r.fees,
        fee=r.fee,
        tiered=r.tiered,
        fixed_fee=r.fixed_fee,
        minimum_fee=r.minimum_fee,
        slippage=r.slippage,
        stop_share=r.stop_share,
        impact=r.impact,
        cap=r.cap,
        carry=r.carry,
        stop_loss=r.stop_loss,
        take_profit=r.take_profit,
        trailing=r.trailing,
        max_bars=r.max_bars,
        margin=margin,
        maintenance=r.maintenance,
        liquidation_fee=r.liquidation_fee,
        financed=r.financed,
        borrow=r.borrow,
        tick=r.tick,
        lot=r.lot,
        minimum=r.minimum,
        rounds=r.rounds,
        offset=r.offset,
        limit_bars=r.limit_bars,
        band=r.band,
        convention=r.convention,
        resizes=True,
        straight=False,
        watches=False,
    )


@compiled
def on_grid(price: float, grid: float) -> float:
    return max(np.round(price / grid), 4.0) * grid if grid > 0.0 else price


@compiled
def fill_prices(k: int, vol: float, gap: float, grid: float, quiet: float, case: Case) -> None:
    """Write a random walk with gaps, jumps and bars without a range (with the chance ``quiet``)."""
    last = 100.0
    for j in range(len(case.time)):
        if case.row[j, k] < 0:
            continue
        jump = np.exp(np.random.normal(0.0, gap)) if happens(0.5) else 1.0
        if happens(0.01):
            jump *= log_uniform(0.2, 3.0)
        o = on_grid(last * jump, grid)
        c = o if happens(quiet) else on_grid(o * np.exp(np.random.normal(0.0, vol)), grid)
        h, l = max(o, c), min(o, c)  # noqa: E741
        if not happens(quiet):
            h = max(h, on_grid(h * np.exp(abs(np.random.normal(0.0, vol))), grid))
            l = min(l, on_grid(l * np.exp(-abs(np.random.normal(0.0, vol))), grid))  # noqa: E741
        case.open[j, k], case.high[j, k], case.low[j, k], case.close[j, k] = o, h, l, c
        last = c


@compiled
def fill_volume(case: Case) -> None:
    capped = case.rules.cap < np.inf
    for j in range(len(case.time)):
        for k in range(case.row.shape[1]):
            volume = np.round(log_uniform(500.0, 2e4)) if capped else log_uniform(2e4, 1e6)
            case.volume[j, k] = 0.0 if capped and happens(0.15) else volume


@compiled
def random_target(kind: int) -> float:
    if kind == 0:
        return float(np.random.randint(-1, 2))
    if kind == 1:
        return float(np.random.randint(0, 2))
    if kind == 2:
        return np.round(np.random.uniform(-1.0, 1.0), 2)
    return np.round(np.random.uniform(0.0, 1.0), 1)


@compiled
def fill_targets(k: int, largest: float, case: Case) -> None:
    kind = np.random.randint(0, 4)
    stays = (0.0, 0.3, 0.7)[np.random.randint(0, 3)]
    target = np.nan
    for j in range(len(case.time)):
        if np.isnan(target) or not happens(stays):
            target = random_target(kind) * largest
        case.decided[j, k] = np.nan if happens(stays) else target


@compiled
def fill_rows(case: Case) -> None:
    """Let all symbols but the first start late, end early or have holes at times."""
    n = len(case.time)
    for k in range(case.row.shape[1]):
        first, last, hole = 0, n, 0.0
        if k > 0 and happens(0.5):
            first = np.random.randint(0, n // 2)
            last = np.random.randint(n // 2 + 3, n + 1)
        if k > 0 and happens(0.3):
            hole = 0.25
        row = 0
        for j in range(n):
            inside = first <= j < last and not (j > first + 2 and happens(hole))
            case.row[j, k] = row if inside else -1
            row += 1 if inside else 0


@compiled
def blank(n: int, symbols: int, rules: Rules, leverage: float, rate: float, every: int, smooth: bool) -> Case:
    shape = (n, symbols)
    return Case(
        time=np.empty(n, np.int64),
        row=np.empty(shape, np.int32),
        open=np.zeros(shape),
        high=np.zeros(shape),
        low=np.zeros(shape),
        close=np.zeros(shape),
        volume=np.zeros(shape),
        decided=np.full(shape, np.nan),
        rules=rules,
        cash=MONEY,
        leverage=leverage,
        rate=rate,
        every=every,
        smooth=smooth,
    )


@compiled
def random_case(seed: int, symbols: int) -> Case:
    """Return the market of a seed (0 to 2^32 - 1) with 10 to 40 times."""
    np.random.seed(seed)
    n = np.random.randint(10, 41)
    leverage = 1.0
    if happens(0.45):
        leverage = np.round(log_uniform(0.5, 12.0), 1)
    rate = np.random.normal(0.0, 0.01) if happens(0.3) else 0.0
    borrow = maybe(0.3, 0.0, 0.05, 3.0)
    every = (1, 8, 24)[np.random.randint(0, 3)] * HOUR if rate != 0.0 else NEVER
    rules = random_rules(leverage, rate != 0.0 or borrow > 0.0, borrow)
    grid = 0.5 if happens(0.3) else 0.0
    quiet = 0.1 if happens(0.3) else 0.0
    smooth = grid == 0.0 and quiet == 0.0
    case = blank(n, symbols, rules, leverage, rate, every, smooth)
    step = (1, 4, 24)[np.random.randint(0, 3)] * HOUR
    now = START
    for j in range(n):
        now += step * (1 if happens(0.9) else 3)
        case.time[j] = now
    fill_rows(case)
    fill_volume(case)
    vol = (0.004, 0.02, 0.06, 0.15)[np.random.randint(0, 4)]
    most = largest_target(case)
    for k in range(symbols):
        fill_prices(k, vol, (0.0, 0.01, 0.05)[np.random.randint(0, 3)], grid, quiet, case)
        fill_targets(k, most if happens(0.5) else min(most, 1.0), case)
    return case


@compiled
def largest_target(case: Case) -> float:
    """Return the largest target that is allowed."""
    if case.rules.unit == FRACTION:
        return case.leverage / case.rules.size
    return max(1.0, case.leverage)


@compiled
def copy_of(case: Case, price: float, money: float, volume: float) -> Case:
    """Return the case with prices, starting cash and volumes in another unit."""
    return Case(
        time=case.time.copy(),
        row=case.row,
        open=case.open * price,
        high=case.high * price,
        low=case.low * price,
        close=case.close * price,
        volume=case.volume * volume,
        decided=case.decided.copy(),
        rules=case.rules,
        cash=case.cash * money,
        leverage=case.leverage,
        rate=case.rate,
        every=case.every,
        smooth=case.smooth,
    )


@compiled
def with_another_future(cut: int, case: Case) -> Case:
    """Return the case with other bars from time ``cut`` on, and other decisions from the close before."""
    other = copy_of(case, 1.0, 1.0, 1.0)
    most = largest_target(case)
    for j in range(cut - 1, len(case.time)):
        for k in range(case.row.shape[1]):
            other.decided[j, k] = np.random.uniform(-most, most) if happens(0.8) else np.nan
            if j >= cut:
                factor = log_uniform(0.3, 3.0)
                other.open[j, k] *= factor
                other.high[j, k] *= factor * 1.2
                other.low[j, k] *= factor * 0.8
                other.close[j, k] *= factor
                other.volume[j, k] *= log_uniform(0.3, 3.0)
        if j >= cut:
            other.time[j] += HOUR
    return other


@compiled
def rates_of(case: Case) -> NDArray[np.float64]:
    """Return the funding rate due at each bar."""
    rates = np.zeros(case.row.shape)
    if case.every == NEVER:
        return rates
    for k in range(case.row.shape[1]):
        last = -1
        for j in range(len(case.time)):
            if case.row[j, k] >= 0:
                if last >= 0:
                    rates[j, k] = case.rate * (case.time[j] // case.every - case.time[last] // case.every)
                last = j
    return rates


@compiled
def as_market(case: Case) -> Market:
    """Return the bars of the only symbol."""
    n = len(case.time)
    return Market(
        case.time,
        case.open.reshape(n),
        case.high.reshape(n),
        case.low.reshape(n),
        case.close.reshape(n),
        case.volume.reshape(n),
        rates_of(case).reshape(n),
    )


@compiled
def as_panel(case: Case) -> Panel:
    """Return the bars of all symbols side by side: arrays of shape (S, T)."""
    n, symbols = case.row.shape
    shape = (symbols, n)
    before, target, years = np.zeros(shape), np.full(shape, np.nan), np.zeros(shape)
    for k in range(symbols):
        last = -1
        for j in range(n):
            if case.row[j, k] >= 0:
                if last >= 0:
                    before[k, j] = case.close[last, k]
                    target[k, j] = case.decided[last, k]
                    years[k, j] = (case.time[j] - case.time[last]) / NS_PER_YEAR
                last = j
    return Panel(
        case.time,
        np.ascontiguousarray(case.row.T),
        np.ascontiguousarray(case.open.T),
        np.ascontiguousarray(case.high.T),
        np.ascontiguousarray(case.low.T),
        np.ascontiguousarray(case.close.T),
        np.ascontiguousarray(case.volume.T),
        before,
        target,
        np.ascontiguousarray(rates_of(case).T),
        years,
    )
