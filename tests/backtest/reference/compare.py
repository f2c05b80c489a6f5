"""Run both engines on a case and say where they differ.

From ``tests/backtest``: ``python -m reference.compare 17 --trace`` prints the market of seed 17, what
the ledger did with it and every difference (``--ledger``: the ledger alone);
``python -m reference.compare 0 1000`` runs a thousand seeds and lists those that differ.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from reference.book import Options, Trade
from reference.markets import Case, random_case
from reference.simulate import Outcome, simulate

from simengine.backtest import FeeSchedule, SlippageModel, backtest

TOLERANCE = 1e-9
PLAIN = (
    *("size", "size_unit", "stop_loss", "take_profit", "trailing_stop", "max_bars", "leverage"),
    *("initial_margin", "maintenance_margin", "liquidation_fee_bps", "borrow_rate", "limit_offset"),
    *("limit_bars", "tick_size", "lot_size", "min_notional", "capital", "fill_convention"),
)


def changed(options: Options) -> dict[str, Any]:
    """The options that are not the default ones."""
    plain = Options()
    values = {f.name: getattr(options, f.name) for f in fields(options)}
    return {name: value for name, value in values.items() if value != getattr(plain, name)}


def engine_options(options: Options) -> dict[str, Any]:
    """Say the same to `backtest`, which is told only what differs from its defaults."""
    given = changed(options)
    made: dict[str, Any] = {name: given[name] for name in PLAIN if name in given}
    made["cash"] = options.cash
    fees = {"fixed": options.fee_fixed, "minimum": options.fee_minimum}
    made["fees"] = FeeSchedule(options.fee_tiers, **{k: v for k, v in fees.items() if v})
    slippage = {
        name: given[name]
        for name in ("impact", "max_participation", "remainder", "on_stops")
        if name in given
    }
    made["slippage"] = SlippageModel(options.slippage, **slippage)
    if "funding" in given:
        made["funding"] = (
            given["funding"] if isinstance(given["funding"], dict) else np.array(given["funding"])
        )
    if "rebalance" in given:
        rule = given["rebalance"]
        made["rebalance"] = rule if isinstance(rule, str) else {"band": rule}
    return made


def run_ledger(case: Case) -> Outcome:
    return simulate(case.bars, case.targets, case.options)


def run_engine(case: Case) -> Outcome:
    """The result of `backtest` in the words of the ledger."""
    if len(case.bars) == 1:
        result = backtest(case.bars[0], targets=case.targets[0], **engine_options(case.options))
    else:
        names = [b.symbol for b in case.bars]
        result = backtest(
            dict(zip(names, case.bars, strict=True)),
            targets=dict(zip(names, case.targets, strict=True)),
            **engine_options(case.options),
        )
    order = [b.symbol for b in case.bars]
    index = [order.index(name) for name in result.symbols]
    frame = result.trades_frame(include_open=True)
    rows = np.concatenate([result.trades, result.open_trades])
    trades = [read_trade(row, reason, index) for row, reason in zip(rows, frame["exit_reason"], strict=True)]
    return Outcome(
        timestamp=result.timestamp,
        equity=result.equity,
        value=result.value,
        trades=trades[: len(result.trades)],
        open_trades=trades[len(result.trades) :],
        costs=dict(result.costs),
        counts=dict(getattr(result, "counts", {})),
        bankrupt=tuple(result.bankrupt),
        log=[],
    )


def read_trade(row: np.void, reason: str, index: list[int]) -> Trade:
    names = row.dtype.names
    values = {f.name: row[f.name].item() for f in fields(Trade) if f.name in names}
    return Trade(
        **(
            values
            | {"financing": values.get("financing", 0.0), "reason": reason, "symbol": index[row["symbol"]]}
        )
    )


def differences(case: Case, ledger: Outcome, engine: Outcome) -> list[str]:
    """Every disagreement in one line each; none when the engines agree."""
    found: list[str] = []
    scale = case.options.cash

    def near(name: str, ours: float, theirs: float, size: float) -> None:
        if not abs(ours - theirs) <= TOLERANCE * max(abs(ours), abs(theirs), size):
            found.append(f"{name}: ledger {ours!r}, engine {theirs!r}")

    if not np.array_equal(ledger.timestamp, engine.timestamp):
        return [f"times: ledger {len(ledger.timestamp)}, engine {len(engine.timestamp)}"]
    for i in range(len(ledger.equity)):
        near(f"equity[{i}]", ledger.equity[i], engine.equity[i], scale)
        near(f"value[{i}]", ledger.value[i], engine.value[i], scale)
    one_clock = len(case.bars) == 1
    for kind in ("trades", "open_trades"):
        for k in range(len(case.bars)):
            ours = [t for t in getattr(ledger, kind) if t.symbol == k]
            theirs = [t for t in getattr(engine, kind) if t.symbol == k]
            if len(ours) != len(theirs):
                found.append(f"{kind} of {k}: ledger {len(ours)}, engine {len(theirs)}")
            for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
                compare_trades(f"{kind} of {k} [{i}]", a, b, one_clock, scale, found, near)
    for name in ("fees", "slippage", "traded", "net"):
        near(f"costs {name}", ledger.costs[name], engine.costs[name], scale)
    paid = ledger.costs["funding"] + ledger.costs["borrow"]
    near("costs funding + borrow", paid, engine.costs["funding"] + engine.costs.get("borrow", 0.0), scale)
    for name, count in engine.counts.items():
        if name in ledger.counts and ledger.counts[name] != count:
            found.append(f"counts {name}: ledger {ledger.counts[name]}, engine {count}")
    if bool(ledger.bankrupt) != bool(engine.bankrupt) or (
        case.options.capital == "sleeves" and set(ledger.bankrupt) != set(engine.bankrupt)
    ):
        found.append(f"bankrupt: ledger {ledger.bankrupt}, engine {engine.bankrupt}")
    return found


def compare_trades(
    name: str, a: Trade, b: Trade, one_clock: bool, scale: float, found: list[str], near: Any
) -> None:
    exact = ["side", "reason", "entry_time", "exit_time"]
    if one_clock:
        exact += ["entry_bar", "exit_bar"]
    for field in exact:
        if getattr(a, field) != getattr(b, field):
            found.append(f"{name} {field}: ledger {getattr(a, field)}, engine {getattr(b, field)}")
    sizes = {"units": 0, "entry_price": 0, "exit_price": 0, "mae": 1, "mfe": 1}
    for field in ("units", "entry_price", "exit_price", "fees", "slippage", "financing", "pnl", "mae", "mfe"):
        near(f"{name} {field}", getattr(a, field), getattr(b, field), sizes.get(field, scale))


def trace(case: Case, ledger: Outcome) -> str:
    """The options, what the ledger did bar by bar, and its trades."""
    lines = [
        f"seed {case.seed}: {len(case.bars)} symbols",
        *(f"  {k}: {v}" for k, v in changed(case.options).items()),
    ]
    lines += ledger.log
    for kind, trades in (("trade", ledger.trades), ("open trade", ledger.open_trades)):
        lines += [f"{kind} {asdict(trade)}" for trade in trades]
    return "\n".join([*lines, f"costs {ledger.costs}", f"counts {ledger.counts} bankrupt {ledger.bankrupt}"])


def check(seed: int) -> tuple[Case, Outcome, list[str]]:
    case = random_case(seed)
    ledger = run_ledger(case)
    return case, ledger, differences(case, ledger, run_engine(case))


def main(arguments: list[str]) -> None:
    numbers = [int(a) for a in arguments if not a.startswith("-")]
    seeds = range(*numbers) if len(numbers) == 2 else numbers
    bad: Counter[str] = Counter()
    for seed in seeds:
        if "--trace" in arguments:
            case = random_case(seed)
            sys.stdout.write(trace(case, run_ledger(case)) + "\n")
            if "--ledger" in arguments:
                continue
        try:
            case, _, found = check(seed)
        except Exception as error:  # noqa: BLE001 - a crash is a difference too
            case, found = random_case(seed), [f"{type(error).__name__}: {error}"]
        if found:
            sys.stdout.write(f"seed {seed}: {found[0]} ({len(found)} differences)\n")
            if "--trace" in arguments:
                sys.stdout.write("\n".join(found) + "\n")
            bad.update(f"{k}={v}" for k, v in changed(case.options).items())
            bad["seeds"] += 1
    sys.stdout.write(f"{bad.pop('seeds', 0)} of {len(list(seeds))} seeds differ\n")
    for name, count in bad.most_common(12):
        sys.stdout.write(f"  {count:5d} with {name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
