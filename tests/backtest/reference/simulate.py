"""Sleeves or one shared account: the ledger's answer to a whole backtest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from reference.book import Options, Trade
from reference.ledger import Run

from simengine.types import Bars


@dataclass
class Outcome:
    """What both engines are asked for."""

    timestamp: np.ndarray
    equity: np.ndarray
    value: np.ndarray
    trades: list[Trade]
    open_trades: list[Trade]
    costs: dict[str, float]
    counts: dict[str, int]
    bankrupt: tuple[str, ...]
    log: list[str]


def simulate(bars: list[Bars], targets: list[np.ndarray], options: Options) -> Outcome:
    """Run sleeves or a shared account over one or several symbols."""
    symbols = list(range(len(bars)))
    groups = [symbols] if options.capital == "shared" else [[k] for k in symbols]
    cash = options.cash / len(groups)
    runs = []
    for group in groups:
        run = Run([bars[k] for k in group], [np.asarray(targets[k], float) for k in group], options, cash)
        run.run()
        runs.append((group, run))
    times = np.unique(np.concatenate([run.times for _, run in runs]))
    equity, value = np.zeros(len(times)), np.zeros(len(times))
    for _, run in runs:
        last = np.searchsorted(run.times, times, side="right")
        equity += np.array([cash, *run.equity])[last]
        value += np.array([0.0, *run.value])[last]
    accounts = [(group, run.account) for group, run in runs]
    named = [
        [replace(trade, symbol=group[trade.symbol]) for trade in account.trades]
        for group, account in accounts
    ]
    still = [
        replace(
            account.trade(k, "open", account.mark[k]),
            symbol=group[k],
            exit_time=int(bars[group[k]].timestamp[-1]),
        )
        for group, account in accounts
        for k in account.held()
    ]
    fills = [fill for _, account in accounts for fill in account.fills]
    return Outcome(
        timestamp=times,
        equity=equity,
        value=value,
        trades=[trade for trades in named for trade in trades],
        open_trades=still,
        costs={
            "fees": sum(f.fee for f in fills),
            "slippage": sum(f.slippage for f in fills),
            "funding": sum(a.funding for _, a in accounts),
            "borrow": sum(a.borrow for _, a in accounts),
            "traded": sum(abs(f.delta) * f.price for f in fills),
            "net": float(equity[-1]) - options.cash,
        },
        counts={name: sum(a.counts[name] for _, a in accounts) for name in accounts[0][1].counts},
        bankrupt=tuple(bars[k].symbol for group, a in accounts if a.bankrupt for k in group),
        log=[line for group, a in accounts for line in [f"account of {group}", *a.log]],
    )
