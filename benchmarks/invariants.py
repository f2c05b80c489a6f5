"""The laws of accounting on a million small random markets with random rules.

Every market goes through the compiled driver of one symbol, every tenth also through that of a shared
account with one to four symbols, and some through `backtest` itself. Each is run again with another future,
other units of price and other amounts of money. The command says how many markets have used each feature, so
that no law holds for want of a case, and ends with 1 when a law is broken or a feature was never used.

    python benchmarks/invariants.py [--markets 1000000] [--seed 1] [--public 2000] [--json]
    python benchmarks/invariants.py --show 1234567 [--symbols 3]     one market, by the number reported
"""

# ruff: noqa: NPY002 - numba goes on with the generator that `random_case` has seeded

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
from alike import fills_before, prefix_is_kept, same_returns, same_trades
from laws import (
    CUT,
    DRIVERS,
    FEATURES,
    LAWS,
    MONEY_SCALED,
    MONEY_UNIT,
    PREFIX,
    PRICE_SCALED,
    PRICE_UNIT,
    Run,
    broken,
    check,
)
from numpy.typing import NDArray
from small_markets import (
    NEVER,
    Case,
    as_market,
    as_panel,
    compiled,
    copy_of,
    largest_target,
    own_account,
    random_case,
    with_another_future,
)

from simengine.backtest import FeeSchedule, SlippageModel, backtest
from simengine.backtest.inputs import FILL_CONVENTIONS, SIZE_UNITS
from simengine.backtest.kernel import booking, layout, panel, shared, single
from simengine.backtest.result import BacktestResult
from simengine.types import Bars

TRADE, ORDER = layout.TRADE_DTYPE, layout.ORDER_DTYPE
FILLS_PER_BAR = 8
SHARED_EVERY = 10
BLOCK = 20_000
SCALES = (0.25, 1024.0, 0.001, 37.0)  # the first two round the same way


@compiled
def new_ledger() -> NDArray[np.float64]:
    ledger = np.zeros(layout.LEDGER_SIZE)
    ledger[layout.BEST_RETURN], ledger[layout.WORST_RETURN] = -np.inf, np.inf
    return ledger


@compiled
def run_single(case: Case) -> Run:
    """Run the only symbol of a case on an account of its own."""
    n = len(case.time)
    trades, orders = np.empty(n + 3, TRADE), np.empty(FILLS_PER_BAR * n, ORDER)
    ledger, equity, value = new_ledger(), np.empty(n), np.empty(n)
    market = as_market(case)
    start = 0.0 if np.isnan(case.rules.band) else np.nan
    targets = case.decided.reshape(n)
    most = largest_target(case)
    rules = own_account(case)
    end = single.run_whole(
        targets, most, market, rules, case.cash, start, trades, orders, ledger, equity, value
    )
    account = end.account
    closed = int(account.closed)
    still = trades[closed : closed + 1]
    if account.position.units != 0.0:
        booking.mark_open(n - 1, market.timestamp[n - 1], market.close[n - 1], account, ledger, still)
    else:
        still = trades[closed:closed]
    fills = int(ledger[layout.FILLS])
    finished = account.status != layout.UNFILLABLE and end.fault == 0 and fills <= len(orders)
    return Run(
        equity, value, orders[:fills], trades[:closed], still, ledger, account.wins, account.traded, finished
    )


@compiled
def run_shared(case: Case) -> Run:
    """Run all symbols of a case on one account."""
    n, symbols = case.row.shape
    ledgers = np.empty((symbols, layout.LEDGER_SIZE))
    rounding = np.empty((symbols, 3))
    for k in range(symbols):
        ledgers[k] = new_ledger()
        rounding[k, 0], rounding[k, 1], rounding[k, 2] = case.rules.tick, case.rules.lot, case.rules.minimum
    table = np.zeros((symbols, panel.COLUMNS))
    table[:, panel.STOP], table[:, panel.GOAL] = -np.inf, np.inf
    table[:, panel.ENTRY_BAR] = -1.0
    table[:, panel.WANTED] = np.nan
    table[:, panel.LIMIT] = np.nan
    table[:, panel.STATED] = 0.0 if np.isnan(case.rules.band) else np.nan
    table[:, panel.ROOM] = np.inf
    trades = np.empty(symbols * (n + 3), TRADE)
    orders = np.empty(FILLS_PER_BAR * n * symbols, ORDER)
    books = panel.Books(table, ledgers, trades, orders, rounding, np.empty((2, symbols), np.int64))
    equity, value, gross = np.empty(n), np.empty(n), np.empty(n)
    empty = panel.Purse(case.cash, layout.TRADING, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
    bars = as_panel(case)
    purse, end = shared.run_whole(True, bars, case.rules, empty, books, equity, value, gross)
    closed = held = int(purse.closed)
    for k in range(symbols):
        if table[k, panel.UNITS] != 0.0:
            j = 0
            for t in range(n):
                j = t if case.row[t, k] >= 0 else j
            account = panel.load(k, purse, table)
            row = trades[held : held + 1]
            booking.mark_open(case.row[j, k], case.time[j], case.close[j, k], account, ledgers[k], row)
            row[0]["symbol"] = k
            held += 1
    fills = int(purse.fills)
    return Run(
        equity,
        value,
        orders[:fills],
        trades[:closed],
        trades[closed:held],
        one_ledger(ledgers, fills),
        purse.wins,
        purse.traded,
        end == n and purse.status != layout.UNFILLABLE and fills <= len(orders),
    )


@compiled
def one_ledger(ledgers: NDArray[np.float64], fills: int) -> NDArray[np.float64]:
    ledger = ledgers.sum(axis=0)
    ledger[layout.FILLS] = fills
    return ledger


@compiled
def run(case: Case, together: bool) -> Run:
    return run_shared(case) if together else run_single(case)


@compiled
def scales(case: Case, of_money: bool) -> bool:
    """Tell whether a case has nothing that is fixed in units of price, or of money."""
    r = case.rules
    if r.lot > 0.0 or r.unit == layout.UNITS:
        return False
    if not of_money:
        return r.tick == 0.0
    volume = r.impact > 0.0 or r.cap < np.inf
    amounts = r.fixed_fee > 0.0 or r.minimum_fee > 0.0 or r.minimum > 0.0 or r.tiered
    return not volume and not amounts and r.unit == layout.FRACTION


@compiled
def examine(seed: int, symbols: int, together: bool, seen: NDArray[np.int64]) -> int:
    """Return the laws that the market of a seed breaks, one bit each; -1 when its orders had no price."""
    case = random_case(seed, symbols)
    base = run(case, together)
    if not base.finished:
        return -1
    mask = check(case, base, seen)
    if together and symbols == 1:
        alone = run_single(case)
        mask |= broken(DRIVERS, not prefix_is_kept(len(case.time) - 1, case.time, base, alone))
        mask |= broken(DRIVERS, base.equity[-1] != alone.equity[-1] or len(base.orders) != len(alone.orders))
        mask |= broken(DRIVERS, not same_trades(base, alone))
    cut = np.random.randint(1, len(case.time))
    other = run(with_another_future(cut, case), together)
    mask |= broken(PREFIX, not prefix_is_kept(cut, case.time, base, other))
    seen[CUT] |= 0 < fills_before(case.time[cut], base.orders) < len(base.orders)
    k = np.random.randint(0, 4 if case.smooth else 2)
    scale = SCALES[k]
    if scales(case, False):
        other = run(copy_of(case, scale, 1.0, 1.0 / scale), together)
        mask |= broken(PRICE_UNIT, not same_returns(base, other, 1.0, k < 2))
        seen[PRICE_SCALED] |= len(base.orders) > 0
    if scales(case, True):
        other = run(copy_of(case, 1.0, scale, 1.0), together)
        mask |= broken(MONEY_UNIT, not same_returns(base, other, scale, k < 2))
        seen[MONEY_SCALED] |= len(base.orders) > 0
    return mask


@compiled
def seed_of(seed: int, market: int) -> int:
    return (seed * 1_000_003 + market) % 4_294_967_291


@compiled
def symbols_of(market: int) -> int:
    return 1 + (market // SHARED_EVERY) % 4


@compiled
def examine_many(
    seed: int,
    first: int,
    last: int,
    used: NDArray[np.int64],
    failures: NDArray[np.int64],
    where: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> None:
    """Examine markets ``first`` up to ``last``; add up features, broken laws and sizes."""
    for market in range(first, last):
        for together in range(2 if market % SHARED_EVERY == 0 else 1):
            symbols = symbols_of(market) if together == 1 else 1
            seen = np.zeros(len(FEATURES), np.int64)
            mask = examine(seed_of(seed, market), symbols, together == 1, seen)
            sizes[together] += 1
            if mask < 0:
                sizes[2] += 1
                continue
            used += seen
            for law in range(len(LAWS)):
                if mask & (1 << law):
                    if failures[law] == 0:
                        where[law, 0], where[law, 1] = market, symbols if together == 1 else 0
                    failures[law] += 1


@compiled
def one(seed: int, symbols: int, together: bool) -> tuple[Case, Run]:
    case = random_case(seed, symbols)
    return case, run(case, together)


def as_options(case: Case, *, together: bool) -> dict[str, Any]:
    """Say the rules of a case in the words of `backtest`."""
    r = case.rules

    def on(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    tiers = tuple((float(start), float(rate)) for start, rate in r.fees)
    band = {"band": float(r.band)} if r.band > 0 else "every_bar"
    hours = case.every // (3_600 * 10**9)
    return {
        "size": r.size,
        "size_unit": SIZE_UNITS[r.unit],
        "cash": case.cash,
        "fees": FeeSchedule(tiers, r.fixed_fee, r.minimum_fee),
        "slippage": SlippageModel(
            r.slippage, r.impact, r.cap, "carry" if r.carry else "cancel", r.stop_share > 0
        ),
        "stop_loss": on(r.stop_loss),
        "take_profit": on(r.take_profit),
        "trailing_stop": on(r.trailing),
        "max_bars": r.max_bars or None,
        "leverage": case.leverage,
        "initial_margin": r.margin,
        "maintenance_margin": r.maintenance,
        "liquidation_fee_bps": round(r.liquidation_fee * 1e4),
        "funding": None if case.every == NEVER else {"rate": case.rate, "every": f"{hours}h"},
        "borrow_rate": r.borrow,
        "limit_offset": on(r.offset),
        "limit_bars": r.limit_bars,
        "tick_size": r.tick,
        "lot_size": r.lot,
        "min_notional": r.minimum,
        "rebalance": "on_change" if np.isnan(r.band) else band,
        "capital": "shared" if together else "sleeves",
        "fill_convention": FILL_CONVENTIONS[r.convention],
    }


def publicly(case: Case, *, together: bool) -> BacktestResult:
    """Run a case through the public call."""
    bars, targets = {}, {}
    for k in range(case.row.shape[1]):
        here = case.row[:, k] >= 0
        columns = (case.open, case.high, case.low, case.close, case.volume)
        bars[f"S{k}"] = Bars(f"S{k}", case.time[here], *(column[here, k] for column in columns))
        targets[f"S{k}"] = case.decided[here, k]
    return backtest(bars, targets=targets, **as_options(case, together=together))


def as_run(result: BacktestResult) -> Run:
    """Return what a result holds as the laws take it."""
    orders, trades, still = (np.array(rows) for rows in (result.orders, result.trades, result.open_trades))
    ledger = np.array(result.ledger)
    ledger[layout.FILLS] = len(orders)
    return Run(
        np.array(result.equity),
        np.array(result.value),
        orders,
        trades,
        still,
        ledger,
        float(result.wins),
        float(result.traded),
        True,
    )


def examine_publicly(seed: int, market: int, seen: NDArray[np.int64]) -> int:
    """Return the laws that a market breaks through `backtest`, whose result must be the driver's."""
    together = market % 2 == 1
    symbols = 1 + (market // 2) % 4 if together else 1
    case, direct = one(seed_of(seed, market), symbols, together)
    if not direct.finished:
        return 0
    result = as_run(publicly(case, together=together))
    mask = check(case, result, seen)
    same = result.equity.tobytes() == direct.equity.tobytes()
    same &= all(np.array_equal(result.orders[name], direct.orders[name]) for name in ORDER.names)
    same &= same_trades(result, direct)
    return mask | broken(DRIVERS, not same)


def differs(case: Case, base: Run, other: Run, name: str) -> None:
    """Print the first fill of the other run that happened in another bar or for another reason."""
    for a, b in zip(base.orders.tolist(), other.orders.tolist(), strict=False):
        if a[:5] != b[:5]:
            print(f"{name}: first\n  {a}\n  {b}")
            return
    far = np.abs(other.equity / other.equity[0] - base.equity / base.equity[0]).argmax()
    counts = len(base.orders), len(other.orders)
    print(f"{name}: fills {counts}, furthest apart at {far}: {base.equity[far]!r} and {other.equity[far]!r}")


def show(market: int, seed: int, symbols: int) -> None:
    """Print one market: its rules, bars, decisions, fills and trades, and the laws it breaks."""
    together = symbols > 0
    number = seed_of(seed, market)
    seen = np.zeros(len(FEATURES), np.int64)
    mask = examine(number, max(symbols, 1), together, seen)
    case, result = one(number, max(symbols, 1), together)
    print({name: value for name, value in case.rules._asdict().items() if name != "fees"})
    print("fees", case.rules.fees.tolist(), "leverage", case.leverage, "funding", case.rate, case.every)
    for k in range(case.row.shape[1]):
        print("symbol", k, "\nrow  open  high  low  close  volume  decided")
        for j, row in enumerate(case.row[:, k]):
            prices = (case.open, case.high, case.low, case.close, case.volume, case.decided)
            print(
                f"{row:3d} ", "  ".join(f"{p[j, k]:.6g}" for p in prices), f"  equity {result.equity[j]:.8g}"
            )
    for name, rows in (("fills", result.orders), ("trades", result.trades), ("open", result.still)):
        print(name, rows.dtype.names, *rows.tolist(), sep="\n  ")
    if together and case.row.shape[1] == 1:
        _, alone = one(number, 1, False)
        differs(case, result, alone, "on an account of its own")
    for scale in SCALES:
        differs(case, result, run(copy_of(case, scale, 1.0, 1 / scale), together), f"prices x {scale:g}")
        differs(case, result, run(copy_of(case, 1.0, scale, 1.0), together), f"money x {scale:g}")
    print("breaks:", [LAWS[law] for law in range(len(LAWS)) if mask >= 0 and mask & (1 << law)] or "nothing")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Examine all markets and return what was found."""
    used, failures = np.zeros(len(FEATURES), np.int64), np.zeros(len(LAWS), np.int64)
    where, sizes = np.zeros((len(LAWS), 2), np.int64), np.zeros(3, np.int64)
    began = time.perf_counter()
    for first in range(0, options.markets, BLOCK):
        last = min(first + BLOCK, options.markets)
        examine_many(options.seed, first, last, used, failures, where, sizes)
        if sys.stderr.isatty():
            print(f"\r{last:,} of {options.markets:,}", end="", file=sys.stderr, flush=True)
    public = np.zeros(len(LAWS), np.int64)
    for market in range(options.public):
        mask = examine_publicly(options.seed, market, np.zeros(len(FEATURES), np.int64))
        public += [mask >> law & 1 for law in range(len(LAWS))]
    return {
        "markets": int(sizes[0]),
        "shared": int(sizes[1]),
        "without_price": int(sizes[2]),
        "public": options.public,
        "seconds": round(time.perf_counter() - began, 1),
        "broken": {
            LAWS[law]: {"times": int(failures[law]), "first": where[law].tolist(), "public": int(public[law])}
            for law in range(len(LAWS))
        },
        "used": dict(zip(FEATURES, used.tolist(), strict=True)),
    }


def main() -> int:
    """Examine the markets, print what was found, and return 1 when a law is broken or a feature unused."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--markets", type=int, default=1_000_000, help="with one symbol")
    parser.add_argument("--public", type=int, default=2_000, help="of them also through backtest()")
    parser.add_argument("--seed", type=int, default=1, help="of all markets")
    parser.add_argument("--show", type=int, metavar="MARKET", help="print one market instead")
    parser.add_argument("--symbols", type=int, default=0, help="of the one shown; 0: an account of its own")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.show is not None:
        show(options.show, options.seed, options.symbols)
        return 0
    found = measure(options)
    wrong = any(law["times"] or law["public"] for law in found["broken"].values())
    unused = [name for name, times in found["used"].items() if not times]
    if options.json:
        print(json.dumps(found | {"unused": unused}))
        return 1 if wrong or unused else 0
    print(
        f"{found['markets']:,} markets, {found['shared']:,} on a shared account, {found['public']:,} through "
        f"backtest(), {found['without_price']:,} without a price for an order; {found['seconds']:.0f} s\n"
    )
    for law, times in found["broken"].items():
        at = f"broken {times['times']} times, first in market {times['first']}" if times["times"] else "holds"
        print(f"{law:85s} {at}{'; PUBLIC ' + str(times['public']) if times['public'] else ''}")
    print("\nmarkets that used")
    for name, times in found["used"].items():
        print(f"  {name:30s} {times:>10,}")
    return 1 if wrong or unused else 0


if __name__ == "__main__":
    sys.exit(main())
