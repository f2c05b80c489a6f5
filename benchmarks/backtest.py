"""The engine beside bare loops and its peers: python benchmarks/backtest.py [--only ROW,...] [--json].

Every row runs its contestants in turn in one process on the same arrays and gives the best of several
rounds, in CPU seconds; before that they must have agreed on the result. vectorbt and backtesting.py
take part when they are installed (pip install '.[bench]').

  single     1,000,000 bars, stops, one trade per three bars; equity, trades and statistics read once
  call       100,000 bars of the same
  sweep      1,000 variants of a threshold rule on 50,000 bars; threads, memory, overfitting statistics
  portfolio  100 symbols x 50,000 bars on one cash account
  cold       a new process to its first result of 100,000 bars, compiled code cached
  peer       20,000 bars in backtesting.py
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import bare_loops
import numpy as np
import peers
from random_market import SEED, as_side, make_bars, make_probabilities, make_signals

from simengine.backtest import backtest, sweep

STOPS = {"stop_loss": 0.005, "take_profit": 0.01}
TERMS = peers.Terms(**STOPS)
ONE_UNIT = {"size": 1.0, "size_unit": "units", "rebalance": "every_bar", "fill_convention": "stop_first_drop"}
COSTS = {"cash": TERMS.cash, "fee_bps": TERMS.fee_bps, "slippage_bps": TERMS.slippage_bps}

BARE, OURS, VECTORBT = "bare loop", "backtest(), all read once", "vectorbt and 6 metrics"


@dataclass
class Row:
    """Seconds by contestant, and figures measured against what they should be."""

    name: str
    title: str
    seconds: dict[str, float] = field(default_factory=dict)
    figures: list[dict[str, object]] = field(default_factory=list)

    def figure(
        self,
        what: str,
        value: float,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        unit: str = "x",
    ) -> None:
        """Add a figure, and whether it is where it should be."""
        target, met = None, None
        if at_most is not None:
            target, met = f"<= {at_most:g}", value <= at_most
        elif at_least is not None:
            target, met = f">= {at_least:g}", value >= at_least
        self.figures.append({"what": what, "value": value, "unit": unit, "target": target, "met": met})

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.title}"]
        lines += [f"  {name:<44}{seconds * 1e3:12,.2f} ms" for name, seconds in self.seconds.items()]
        for found in self.figures:
            line = f"  {found['what']:<44}{found['value']:12,.2f} {found['unit']}"
            if found["target"] is not None:
                line = f"{line:<64} {found['target']:<9} {'met' if found['met'] else 'MISSED'}"
            lines.append(line)
        return "\n".join(lines)


def race(
    contestants: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Return the least seconds of each; one that took over a second runs no more than three times."""
    best = dict.fromkeys(contestants, math.inf)
    for number in range(rounds):
        for name, call in contestants.items():
            if number >= 3 and best[name] > 1:
                continue
            start = clock()
            result = call()
            best[name] = min(best[name], clock() - start)
            del result
    return best


def read_once(result: object) -> tuple[object, ...]:
    return result.equity, result.trades, result.stats


def must_agree(one: peers.Outcome, other: peers.Outcome) -> None:
    difference = peers.compare(one, other)
    if not difference.equity <= 1e-9 or difference.trades:
        raise SystemExit(f"the contestants disagree, their times mean nothing: {difference}")


def single(name: str, n: int, rounds: int, faster_than_vectorbt: float) -> Row:
    """One symbol through the public call."""
    bars, signals = make_bars(n), make_signals(n)
    prices, side, plan = peers.as_prices(bars), as_side(signals), peers.as_plan(TERMS)
    equity, trades = np.empty(n), np.empty((n + 1, len(bare_loops.TRADE_COLUMNS)))
    convention = bare_loops.CONVENTIONS.index("stop_first_drop")
    contestants = {
        BARE: lambda: bare_loops.run_into(prices, side, plan, convention, equity, trades),
        "backtest()": lambda: peers.call_ours(bars, signals, TERMS, "stop_first_drop"),
        OURS: lambda: read_once(peers.call_ours(bars, signals, TERMS, "stop_first_drop")),
    }
    expected = peers.bare(bars, signals, TERMS, "stop_first_drop")
    found = peers.call_ours(bars, signals, TERMS, "stop_first_drop")
    must_agree(peers.read(found), expected)
    if peers.import_peer("vectorbt"):
        must_agree(peers.vectorbt(bars, signals, TERMS), expected)
        contestants["vectorbt"] = lambda: peers.call_vectorbt(bars, signals, TERMS)
        contestants[VECTORBT] = lambda: peers.six_metrics(peers.call_vectorbt(bars, signals, TERMS))
    row = Row(name, f"{n:,} bars, {len(expected.trades):,} trades, {len(found.stats)} statistics")
    for call in contestants.values():
        call()
    row.seconds = race(contestants, rounds)
    row.figure("backtest() / bare", row.seconds["backtest()"] / row.seconds[BARE])
    row.figure("all read once / bare", row.seconds[OURS] / row.seconds[BARE], at_most=2.5)
    if VECTORBT in row.seconds:
        ratio = row.seconds[VECTORBT] / row.seconds[OURS]
        row.figure("vectorbt and 6 metrics / all read once", ratio, at_least=faster_than_vectorbt)
    return row


def grid() -> dict[str, list[float]]:
    return {
        "thresholds": np.linspace(0.40, 0.70, 10).tolist(),
        "stop_losses": np.linspace(0.002, 0.02, 10).tolist(),
        "take_profits": np.linspace(0.002, 0.04, 10).tolist(),
    }


def run_sweep(n: int, jobs: int = 1) -> Callable[[], object]:
    bars, proba = make_bars(n), make_probabilities(n)
    return lambda: sweep(bars, proba, **grid(), jobs=jobs, **ONE_UNIT, **COSTS)


def sweep_row(n: int = 50_000) -> Row:
    """Many variants: CPU time against the scalar loop, wall time of two threads, memory."""
    bars, proba = make_bars(n), make_probabilities(n)
    sell, buy = np.ascontiguousarray(proba[:, 0]), np.ascontiguousarray(proba[:, 2])
    variants = np.array(np.meshgrid(*grid().values(), indexing="ij")).reshape(3, -1).T.copy()
    out = np.empty((len(variants), len(bare_loops.METRICS)))
    plan = peers.as_plan(peers.Terms())
    prices = peers.as_prices(bars)
    scalar, engine, two = "scalar bare loop, 6 metrics", "sweep(), 10 columns", "sweep(jobs=2)"
    contestants = {
        scalar: lambda: bare_loops.run_sweep(prices, buy, sell, variants, plan, out),
        engine: run_sweep(n),
    }
    contestants[scalar]()
    found = contestants[engine]()
    np.testing.assert_allclose(found.table["final_equity"], out[:, 0], rtol=1e-9)
    np.testing.assert_array_equal(found.table["trades"], out[:, 3])
    np.testing.assert_allclose(found.table["fees"], out[:, 5], rtol=1e-9)
    row = Row("sweep", f"{len(variants):,} variants x {n:,} bars")
    row.seconds = race(contestants, 5)
    row.figure("scalar bare loop / sweep()", row.seconds[scalar] / row.seconds[engine], at_least=4)
    wall = race({engine: run_sweep(n), two: run_sweep(n, jobs=2)}, 5, time.perf_counter)
    row.figure("wall time of one thread / two threads", wall[engine] / wall[two], at_least=1.8)
    start = time.process_time()
    _ = found.overfitting
    row.figure("overfitting statistics", time.process_time() - start, at_most=1, unit="s")
    row.figure("memory above the data", in_new_process("sweep", str(n))["megabytes"], at_most=40, unit="MB")
    return row


def portfolio(symbols: int = 100, n: int = 50_000) -> Row:
    """Several symbols on one cash account."""
    names = [f"S{k:03d}" for k in range(symbols)]
    bars = {name: make_bars(n, SEED + k, name) for k, name in enumerate(names)}
    signals = {name: make_signals(n, SEED + 1000 + k) for k, name in enumerate(names)}
    by_bar = {c: np.stack([getattr(b, c) for b in bars.values()], axis=1) for c in bare_loops.Prices._fields}
    prices = bare_loops.Prices(**by_bar)
    side = np.stack([as_side(s) for s in signals.values()], axis=1)
    plan, equity = peers.as_plan(TERMS), np.empty(n)
    one_account, read = "backtest(capital='shared')", "and all statistics"

    def engine():
        return backtest(bars, signals=signals, capital="shared", **ONE_UNIT, **COSTS, **STOPS)

    contestants = {
        BARE: lambda: bare_loops.run_portfolio(prices, side, plan, equity),
        one_account: engine,
        read: lambda: read_once(engine()),
    }
    contestants[BARE]()
    found = engine()
    np.testing.assert_allclose(found.equity, equity, rtol=1e-9)
    row = Row("portfolio", f"{symbols} symbols x {n:,} bars, one cash account, {len(found.trades):,} trades")
    del found
    if peers.import_peer("vectorbt"):
        shared = peers.call_vectorbt_shared(list(bars.values()), side, TERMS)
        np.testing.assert_allclose(shared.value().to_numpy(), equity, rtol=1e-9)
        del shared
        contestants["vectorbt"] = lambda: peers.call_vectorbt_shared(list(bars.values()), side, TERMS)
    row.seconds = race(contestants, 5)
    row.figure("backtest() / bare", row.seconds[one_account] / row.seconds[BARE], at_most=1.3)
    if "vectorbt" in row.seconds:
        row.figure("vectorbt / backtest()", row.seconds["vectorbt"] / row.seconds[one_account])
    return row


def in_new_process(*arguments: str) -> dict[str, float]:
    """Return what `new_process.py` printed."""
    script = Path(__file__).with_name("new_process.py")
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script.name} {' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def cold(n: int = 100_000) -> Row:
    """Start to first result, against the import of numba, in CPU seconds of the processes."""
    imported, first = "import numba", "import, backtest() and statistics"
    in_new_process("cold", str(n))  # fills the cache of compiled code
    row = Row("cold", f"a new process, {n:,} bars from arrays")
    found = [in_new_process("cold", str(n)) for _ in range(5)]
    if any(f["cache_misses"] or f["pandas"] for f in found):
        raise SystemExit(f"compiled again, or pandas imported: {found}")
    base = [in_new_process("numba") for _ in range(5)]
    row.seconds = {imported: min(f["cpu"] for f in base), first: min(f["cpu"] for f in found)}
    row.figure("above import numba", row.seconds[first] - row.seconds[imported], at_most=0.4, unit="s")
    wall = [min(f["wall"] for f in runs) for runs in (found, base)]
    row.figure("the same in wall time", wall[0] - wall[1], at_most=0.4, unit="s")
    row.figure("functions loaded from the cache", found[0]["cache_hits"], unit="")
    return row


def peer(n: int = 20_000) -> Row:
    """backtesting.py, in its convention and without slippage, which it has on entries only."""
    row = Row("peer", f"{n:,} bars in backtesting.py")
    if not peers.import_peer("backtesting"):
        row.title += ": not installed"
        return row
    bars, signals, terms = make_bars(n), make_signals(n), peers.Terms(slippage_bps=0, **STOPS)
    must_agree(
        peers.ours(bars, signals, terms, "open_first_skip_entry"), peers.backtesting_py(bars, signals, terms)
    )
    theirs = "backtesting.py"
    contestants = {
        OURS: lambda: read_once(peers.call_ours(bars, signals, terms, "open_first_skip_entry")),
        theirs: lambda: peers.backtesting_py(bars, signals, terms),
    }
    row.seconds = race(contestants, 20)
    row.figure("backtesting.py / all read once", row.seconds[theirs] / row.seconds[OURS])
    return row


ROWS: dict[str, Callable[[], Row]] = {
    "single": lambda: single("single", 1_000_000, 10, 6),
    "call": lambda: single("call", 100_000, 40, 20),
    "sweep": sweep_row,
    "portfolio": portfolio,
    "cold": cold,
    "peer": peer,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(ROWS), help="rows, separated by commas")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"unknown row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    rows = []
    for name in names:
        rows.append(ROWS[name]())
        if not options.json:
            print(rows[-1], flush=True)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
