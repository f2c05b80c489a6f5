"""Fills and trades: how cash and units change, and the rows that are written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.kernel import layout
from simengine.backtest.kernel.compiling import compiled
from simengine.backtest.kernel.layout import Account, Bar, Position, Rules, Work
from simengine.backtest.kernel.prices import fee_of, fee_rate


@compiled
def side_of(units: float) -> float:
    """Return 1 for a long (or nothing), -1 for a short."""
    return -1.0 if units < 0.0 else 1.0


@compiled
def higher(a: float, b: float) -> float:
    """Return the larger of two numbers that are not NaN: the builtin looks for NaN and is slower."""
    return a if a > b else b


@compiled
def lower(a: float, b: float) -> float:
    """Return the smaller of two numbers that are not NaN."""
    return a if a < b else b


@compiled
def flat() -> Position:
    """Return the position of nothing."""
    return Position(0.0, 0.0, -np.inf, np.inf, 0.0, 0.0, 0.0, -1)


@compiled
def emptied(held: Position) -> Position:
    """Return the position after everything is traded away. Only the units count from here on."""
    return Position(0.0, held.average, held.stop, held.goal, held.best, held.worst, held.flow, held.entry_bar)


@compiled
def idle() -> Work:
    """Return the absence of a working order."""
    return Work(False, layout.SIGNAL_EXIT, 0.0, np.nan, np.nan, 0)


@compiled
def buy_in(
    i: int,
    quote: float,
    price: float,
    delta: float,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Book a fill that opens or increases a position (of either side)."""
    held = account.position
    size = abs(delta)
    value = size * price
    fee = fee_of(value, fee_rate(account.traded, rules), rules)
    flow = -(delta * price) - fee
    side = side_of(delta)
    average = price
    best = side * quote
    worst = best
    entry_bar = i
    earned = flow
    fresh = not rules.resizes or held.units == 0.0
    keeps_stop = not fresh and rules.stop_loss < 0.0
    keeps_goal = not fresh and rules.take_profit < 0.0
    if not fresh:
        before = abs(held.units)
        average = (held.average * before + value) / (before + size)
        best = held.best
        worst = held.worst
        entry_bar = held.entry_bar
        earned = held.flow + flow
    if ledger is not None:
        if fresh:
            ledger[layout.BOUGHT] = size
            ledger[layout.PAID] = value
            ledger[layout.RECEIVED] = 0.0
            ledger[layout.TRADE_FEES] = fee
            ledger[layout.TRADE_SLIPPAGE] = size * abs(price - quote)
            ledger[layout.TRADE_FINANCING] = 0.0
        else:
            ledger[layout.BOUGHT] += size
            ledger[layout.PAID] += value
            ledger[layout.TRADE_FEES] += fee
            ledger[layout.TRADE_SLIPPAGE] += size * abs(price - quote)
        ledger[layout.FEES] += fee
        ledger[layout.SLIPPAGE] += size * abs(price - quote)
    if trades is not None and fresh:
        trades[int(account.closed)]["entry_time"] = bar.time
    if orders is not None:
        write_order(i, quote, price, delta, layout.SIGNAL_EXIT, fee, True, bar, orders, ledger)  # type: ignore[arg-type]
    return Account(
        account.cash + flow,
        account.target,
        account.status,
        account.room - size if rules.cap < np.inf else np.inf,
        account.traded + value,
        account.closed,
        account.wins,
        Position(
            delta if fresh else held.units + delta,
            average,
            held.stop if keeps_stop else side * (average * (1.0 - side * abs(rules.stop_loss))),
            held.goal if keeps_goal else side * (average * (1.0 + side * abs(rules.take_profit))),
            best,
            worst,
            earned,
            entry_bar,
        ),
        account.work,
    )


@compiled
def sell_out(
    i: int,
    quote: float,
    price: float,
    delta: float,
    reason: int,
    extra_fee: float,
    closes: bool,
    bar: Bar,
    rules: Rules,
    account: Account,
    trades: NDArray[np.void] | None,
    orders: NDArray[np.void] | None,
    ledger: NDArray[np.float64] | None,
) -> Account:
    """Book a fill that reduces or closes a position (of either side).

    ``closes`` says that nothing is left; it is worth more to the compiler than to the reader.
    """
    held = account.position
    size = abs(delta)
    value = size * price
    fee = fee_of(value, fee_rate(account.traded, rules), rules) + extra_fee * value
    flow = -(delta * price) - fee
    side = side_of(held.units)
    units = held.units + delta
    position = Position(
        units,
        held.average,
        held.stop,
        held.goal,
        higher(held.best, side * quote) if closes else held.best,
        lower(held.worst, side * quote) if closes else held.worst,
        held.flow + flow,
        held.entry_bar,
    )
    if ledger is not None:
        ledger[layout.RECEIVED] += value
        ledger[layout.TRADE_FEES] += fee
        ledger[layout.TRADE_SLIPPAGE] += size * abs(price - quote)
        ledger[layout.FEES] += fee
        ledger[layout.SLIPPAGE] += size * abs(price - quote)
    if orders is not None:
        write_order(i, quote, price, delta, reason, fee, False, bar, orders, ledger)  # type: ignore[arg-type]
    closed = account.closed
    wins = account.wins
    if closes:
        if trades is not None:
            row = trades[int(closed)]
            write_trade(i, bar.time, side, reason, position, ledger, row)  # type: ignore[arg-type]
            add_up(row, i - held.entry_bar, ledger)  # type: ignore[arg-type]
        closed += 1.0
        wins += 1.0 if position.flow > 0.0 else 0.0
        position = emptied(held)
    return Account(
        account.cash + flow,
        account.target,
        account.status,
        account.room - size if rules.cap < np.inf else np.inf,
        account.traded + value,
        closed,
        wins,
        position,
        account.work,
    )


@compiled
def write_trade(
    i: int,
    time: int,
    side: float,
    reason: int,
    position: Position,
    ledger: NDArray[np.float64],
    row: np.void,
) -> None:
    """Write the trade that ends (or is marked) at bar i; its entry time stands in the row already."""
    paid = ledger[layout.PAID]
    bought = ledger[layout.BOUGHT]
    price = paid / bought
    per_price = 1.0 / price
    row["entry_bar"] = position.entry_bar
    row["exit_bar"] = i
    row["symbol"] = 0
    row["side"] = 1 if side > 0.0 else -1
    row["exit_reason"] = reason
    row["exit_time"] = time
    row["units"] = bought
    row["entry_price"] = price
    row["exit_price"] = ledger[layout.RECEIVED] / bought
    row["fees"] = ledger[layout.TRADE_FEES]
    row["slippage"] = ledger[layout.TRADE_SLIPPAGE]
    row["financing"] = ledger[layout.TRADE_FINANCING]
    row["pnl"] = position.flow
    row["return"] = position.flow / paid
    row["mae"] = lower((position.worst - side * price) * per_price, 0.0)
    row["mfe"] = higher((position.best - side * price) * per_price, 0.0)


@compiled
def add_up(row: np.void, bars_held: int, ledger: NDArray[np.float64]) -> None:
    """Add a closed trade to the sums from which the statistics of trades are made."""
    pnl = row["pnl"]
    # Both sums move, one of them by nothing: whether a trade wins is a coin toss to the processor.
    ledger[layout.GAINS] += pnl if pnl > 0.0 else 0.0
    ledger[layout.LOSSES] -= pnl if pnl < 0.0 else 0.0
    ledger[layout.LONGS] += 1.0 if row["side"] > 0 else 0.0
    ledger[layout.BARS_HELD] += bars_held
    earned = row["return"]
    ledger[layout.RETURNS] += earned
    ledger[layout.BEST_RETURN] = higher(ledger[layout.BEST_RETURN], earned)
    ledger[layout.WORST_RETURN] = lower(ledger[layout.WORST_RETURN], earned)
    ledger[layout.MAE] += row["mae"]
    ledger[layout.MFE] += row["mfe"]


@compiled
def write_order(
    i: int,
    quote: float,
    price: float,
    delta: float,
    reason: int,
    fee: float,
    opening: bool,
    bar: Bar,
    orders: NDArray[np.void],
    ledger: NDArray[np.float64],
) -> None:
    """Write a fill to the next row of orders, or only count it when there is no room."""
    k = int(ledger[layout.FILLS])
    ledger[layout.FILLS] = k + 1
    if k < len(orders):
        row = orders[k]
        row["bar"] = i
        row["symbol"] = 0
        row["reason"] = reason
        row["opening"] = opening
        row["time"] = bar.time
        row["units"] = delta
        row["quote"] = quote
        row["price"] = price
        row["fee"] = fee
        row["slippage"] = abs(delta) * abs(price - quote)


@compiled
def mark_open(
    i: int, time: int, close: float, account: Account, ledger: NDArray[np.float64], rows: NDArray[np.void]
) -> None:
    """Complete the row of the trade still open after bar i, marked at its close.

    Its entry time stands in ``rows[0]`` already; its PnL is what closing at that price would give.
    """
    held = account.position
    marked = ledger.copy()
    marked[layout.RECEIVED] += abs(held.units) * close
    position = Position(
        held.units,
        held.average,
        held.stop,
        held.goal,
        held.best,
        held.worst,
        held.flow + held.units * close,
        held.entry_bar,
    )
    write_trade(i, time, side_of(held.units), layout.STILL_OPEN, position, marked, rows[0])
