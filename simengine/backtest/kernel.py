"""The accounting: one compiled step, shared by every driver.

Bar i is handled in this order (fill convention ``open_first``):

1. the target decided at the close of bar i - 1 may give an order, which fills at the open of bar i;
2. stop-loss and take-profit act on the range of bar i, in the entry bar too; if both lie inside the
   bar, the stop-loss counts; a gap through a level fills at the open;
3. equity = cash + units x close.

Every fill has a *quote* (the open, or the stop level) and a *price* (the quote moved against the
order by slippage). The quote lies inside [low, high] of its bar; the price may lie outside. Fees are
charged on |units| x price.

An opening order buys or sells ``size x E / (price x (1 + fee rate))`` units, with E = cash + units x
price before it, so cash is never overdrawn at sizes up to 1. An order across zero closes first and
sizes the new position from what is left.

The state of an account is a float64 array: `STATE_SIZE` numbers indexed by the constants below, then
the fee tiers as pairs (from notional, rate).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numba.extending import intrinsic
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., Any])

CASH = 0
UNITS = 1  # signed
TARGET = 2  # last stated target; under every_bar and band NaN when a stop has cleared it
COST = 3  # average entry price of the units held
STOP = 4  # stop-loss level, NaN when off
GOAL = 5  # take-profit level, NaN when off
HIGH = 6  # highest and lowest quote while in the trade
LOW = 7
TRADED = 8  # notional traded by the account
FEES = 9  # paid by the account
SLIPPAGE = 10  # cost of slippage to the account
STATUS = 11
N_TRADES = 12  # closed trades
ENTRY_BAR = 13
IN_UNITS = 14  # units and notional bought into the open trade, notional taken out of it
IN_VALUE = 15
OUT_VALUE = 16
TRADE_FEES = 17
TRADE_SLIPPAGE = 18
STATE_SIZE = 19

TRADING = 0.0
BANKRUPT = 1.0
UNFILLABLE = 2.0

SIGNAL_EXIT = 0
STOP_LOSS_EXIT = 1
TAKE_PROFIT_EXIT = 2
BANKRUPT_EXIT = 3
STILL_OPEN = 4

CLOSES_PER_BAR = 2
"""A bar can close at most two trades: one at the open by a flip, the new one by a stop."""

TRADE_DTYPE = np.dtype(
    [
        ("symbol", np.int32),
        ("side", np.int32),
        ("entry_bar", np.int64),
        ("exit_bar", np.int64),
        ("entry_time", np.int64),
        ("exit_time", np.int64),
        ("units", np.float64),
        ("entry_price", np.float64),
        ("exit_price", np.float64),
        ("fees", np.float64),
        ("slippage", np.float64),
        ("pnl", np.float64),
        ("return", np.float64),
        ("mae", np.float64),
        ("mfe", np.float64),
        ("bars_held", np.int32),
        ("exit_reason", np.int32),
    ],
    align=True,
)
"""One trade, from flat to flat or to a flip; partial entries and exits are merged.

symbol: index into the result's symbols. side: +1 long, -1 short. entry_bar, exit_bar: rows of the
symbol's bars; entry_time, exit_time: their open times, ns UTC (symbol and times are written by the
engine, the rest by the kernel). units: bought into the trade in total, positive. entry_price,
exit_price: averages of the fill prices. fees, slippage: cost in quote currency. pnl: net of both.
return: pnl / entry notional. mae, mfe: worst (<= 0) and best (>= 0) move from entry_price to a quote
seen while in the trade, as fractions of it in the trade's favour; of the exit bar only the exit quote
counts. bars_held: exit_bar - entry_bar. exit_reason: one of the ``*_EXIT`` constants or `STILL_OPEN`,
whose exit is marked at the last close.
"""


class Market(NamedTuple):
    """The bars of one symbol as the kernel takes them: six read-only arrays of shape (n,)."""

    timestamp: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]


class Bar(NamedTuple):
    """One bar: prices in quote currency, volume in units."""

    open: float
    high: float
    low: float
    close: float
    volume: float


class Rules(NamedTuple):
    """Costs, stops and the rebalancing rule as the kernel takes them; the fee tiers are in the state.

    ``stop_loss`` and ``take_profit`` are NaN when off. ``band`` is NaN for orders on a changed target
    only, 0 for orders on every bar; otherwise an order arises while |exposure - target| > band.
    """

    slippage: float
    impact: float
    stop_loss: float
    take_profit: float
    band: float


def compiled(function: _Function) -> _Function:
    """Compile a function with numba, keeping its type for the type checker."""
    return cast(_Function, njit(cache=True, error_model="numpy", forceinline=True)(function))


def _without_owner(typing_context: Any, array: Any) -> tuple[Any, Any]:  # noqa: ANN401 - numba's own types
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        view.meminfo = view.meminfo.type(None)
        return view._getvalue()

    return array(array), codegen


borrowed = cast(Callable[[NDArray[Any]], NDArray[Any]], intrinsic(_without_owner))
"""View of an array that does not count references; the array itself has to outlive it.

Inner functions would otherwise count state and trades up and down on every bar, with atomic operations
that take three times as long as the accounting.
"""


@compiled
def fee_rate(state: NDArray[np.float64]) -> float:
    """Return the fee rate of the account at the notional it has traded."""
    k = len(state) - 2
    while k > STATE_SIZE and state[TRADED] < state[k]:
        k -= 2
    return float(state[k + 1])


@compiled
def fill_price(quote: float, delta: float, volume: float, rules: Rules) -> float:
    """Return the price of trading ``delta`` units, adverse to its sign."""
    slip = rules.slippage
    if rules.impact > 0.0:
        slip += rules.impact * np.sqrt(abs(delta) / volume)
    return quote * (1.0 + slip) if delta > 0.0 else quote * (1.0 - slip)


@compiled
def _fill(i: int, quote: float, price: float, delta: float, rules: Rules, state: NDArray[np.float64]) -> None:
    """Book the trade of ``delta`` units, which never crosses zero."""
    size = abs(delta)
    value = size * price
    fee = value * fee_rate(state)
    cost = size * abs(price - quote)
    units = state[UNITS]
    if units == 0.0:
        state[ENTRY_BAR] = i
        state[IN_UNITS] = 0.0
        state[IN_VALUE] = 0.0
        state[OUT_VALUE] = 0.0
        state[TRADE_FEES] = 0.0
        state[TRADE_SLIPPAGE] = 0.0
        state[HIGH] = quote
        state[LOW] = quote
    if units * delta >= 0.0:
        held = abs(units)
        average = price if units == 0.0 else (state[COST] * held + value) / (held + size)
        side = 1.0 if delta > 0.0 else -1.0
        state[COST] = average
        state[STOP] = average * (1.0 - side * rules.stop_loss)
        state[GOAL] = average * (1.0 + side * rules.take_profit)
        state[IN_UNITS] += size
        state[IN_VALUE] += value
    else:
        state[OUT_VALUE] += value
    state[CASH] -= delta * price + fee
    state[UNITS] = units + delta
    state[TRADED] += value
    state[FEES] += fee
    state[SLIPPAGE] += cost
    state[TRADE_FEES] += fee
    state[TRADE_SLIPPAGE] += cost


@compiled
def record_trade(i: int, side: float, reason: int, state: NDArray[np.float64], trade: np.void) -> None:
    """Write the trade that ends (or is marked) at bar i; its exits are in ``state[OUT_VALUE]``."""
    entry = int(state[ENTRY_BAR])
    bought = state[IN_UNITS]
    paid = state[IN_VALUE]
    price = paid / bought
    rise = state[HIGH] / price - 1.0
    fall = state[LOW] / price - 1.0
    pnl = side * (state[OUT_VALUE] - paid) - state[TRADE_FEES]
    trade["symbol"] = 0
    trade["side"] = int(side)
    trade["entry_bar"] = entry
    trade["exit_bar"] = i
    trade["units"] = bought
    trade["entry_price"] = price
    trade["exit_price"] = state[OUT_VALUE] / bought
    trade["fees"] = state[TRADE_FEES]
    trade["slippage"] = state[TRADE_SLIPPAGE]
    trade["pnl"] = pnl
    trade["return"] = pnl / paid
    trade["mae"] = min(fall if side > 0.0 else -rise, 0.0)
    trade["mfe"] = max(rise if side > 0.0 else -fall, 0.0)
    trade["bars_held"] = i - entry
    trade["exit_reason"] = reason


@compiled
def _close(
    i: int,
    quote: float,
    reason: int,
    bar: Bar,
    rules: Rules,
    state: NDArray[np.float64],
    trades: NDArray[np.void],
) -> None:
    """Trade all units away and record the trade."""
    units = state[UNITS]
    price = fill_price(quote, -units, bar.volume, rules)
    if not price > 0.0:
        state[STATUS] = UNFILLABLE
        return
    _fill(i, quote, price, -units, rules, state)
    state[HIGH] = max(state[HIGH], quote)
    state[LOW] = min(state[LOW], quote)
    k = int(state[N_TRADES])
    record_trade(i, 1.0 if units > 0.0 else -1.0, reason, state, trades[k])
    state[N_TRADES] = k + 1


@compiled
def _missing(
    quote: float, volume: float, delta: float, scale: float, rules: Rules, cash: float, units: float
) -> float:
    """Return the units still to trade to the wanted size when ``delta`` of them set the price."""
    price = fill_price(quote, delta, volume, rules)
    return scale * (cash / price + units) - units - delta if price > 0.0 else np.nan


@compiled
def _solve_impact(
    quote: float, volume: float, side: float, scale: float, rules: Rules, cash: float, units: float
) -> float:
    """Return the units to trade when price and size determine each other; NaN when no price is left.

    What is missing falls from the smallest order on, except where a worse price asks for more units
    (opening a short); so the bracket may have to grow before it is halved down to the last bit.
    """
    low = 0.0
    high = side * (scale * (cash / fill_price(quote, side * 1e-300, volume, rules) + units) - units)
    if not high > 0.0:
        return 0.0
    missing = side * _missing(quote, volume, side * high, scale, rules, cash, units)
    while missing > 0.0:
        low = high
        high *= 1.5
        missing = side * _missing(quote, volume, side * high, scale, rules, cash, units)
    if missing != missing:
        return np.nan
    middle = 0.5 * (low + high)
    while low < middle < high:
        if side * _missing(quote, volume, side * middle, scale, rules, cash, units) > 0.0:
            low = middle
        else:
            high = middle
        middle = 0.5 * (low + high)
    return side * low


@compiled
def _resize(i: int, size: float, bar: Bar, rules: Rules, state: NDArray[np.float64]) -> None:
    """Trade to the target size at the open; the units held are zero or of the same sign."""
    quote = bar.open
    cash = state[CASH]
    units = state[UNITS]
    scale = size / (1.0 + fee_rate(state))
    side = 1.0 if scale * (cash / quote + units) > units else -1.0
    if rules.impact > 0.0:
        delta = _solve_impact(quote, bar.volume, side, scale, rules, cash, units)
        if delta != delta:
            state[STATUS] = UNFILLABLE
            return
        price = fill_price(quote, delta, bar.volume, rules)
    else:
        price = fill_price(quote, side, bar.volume, rules)
        delta = scale * (cash / price + units) - units
    # Between the quote moved up and the quote moved down by slippage there is nothing worth trading.
    if delta * side > 0.0:
        _fill(i, quote, price, delta, rules, state)


@compiled
def _order(
    i: int, size: float, bar: Bar, rules: Rules, state: NDArray[np.float64], trades: NDArray[np.void]
) -> None:
    """Bring the account to the target ``size`` at the open of bar i."""
    quote = bar.open
    units = state[UNITS]
    if units != 0.0 and (size * units <= 0.0 or state[CASH] + units * quote <= 0.0):
        _close(i, quote, SIGNAL_EXIT, bar, rules, state, trades)
    if size != 0.0 and state[STATUS] == TRADING and state[CASH] + state[UNITS] * quote > 0.0:
        _resize(i, size, bar, rules, state)


@compiled
def _wants_order(i: int, target: float, bar: Bar, rules: Rules, state: NDArray[np.float64]) -> bool:
    """Take note of the target and tell whether it gives an order at the open of bar i."""
    stated = target == target
    if rules.band != rules.band:
        if not stated or target == state[TARGET]:
            return False
        state[TARGET] = target
        return True
    if stated:
        state[TARGET] = target
    size = state[TARGET]
    if size != size:
        return False
    units = state[UNITS]
    if size == 0.0:
        return bool(units != 0.0)
    if rules.band == 0.0:
        return True
    value = units * bar.open
    return bool(abs(value / (state[CASH] + value) - size) > rules.band)


@compiled
def _exit_in_range(
    i: int, bar: Bar, rules: Rules, state: NDArray[np.float64], trades: NDArray[np.void]
) -> None:
    """Let stop-loss and take-profit act on the range of bar i."""
    high = bar.high
    low = bar.low
    stop = state[STOP]
    goal = state[GOAL]
    reason = SIGNAL_EXIT
    quote = 0.0
    # A level that is NaN (off) compares false.
    if state[UNITS] > 0.0:
        if low <= stop:
            reason = STOP_LOSS_EXIT
            quote = min(bar.open, stop)
        elif high >= goal:
            reason = TAKE_PROFIT_EXIT
            quote = max(bar.open, goal)
    elif high >= stop:
        reason = STOP_LOSS_EXIT
        quote = max(bar.open, stop)
    elif low <= goal:
        reason = TAKE_PROFIT_EXIT
        quote = min(bar.open, goal)
    if reason != SIGNAL_EXIT:
        _close(i, quote, reason, bar, rules, state, trades)
        if rules.band == rules.band:
            state[TARGET] = np.nan
        return
    if high > state[HIGH]:
        state[HIGH] = high
    if low < state[LOW]:
        state[LOW] = low


@compiled
def step(
    i: int,
    target: float,
    bar: Bar,
    rules: Rules,
    state: NDArray[np.float64],
    trades: NDArray[np.void],
) -> float:
    """Carry the account from the close of bar i - 1 to the close of bar i.

    Parameters
    ----------
    i : int
        Bar to trade, at least 1.
    target : float
        Exposure decided at the close of bar i - 1, in [-1, 1]; NaN keeps the last one.
    bar, rules
        Bar i and the rules.
    state : float64 array
        From `new_state`. Changed in place. ``state[STATUS]`` becomes `UNFILLABLE` when an order is
        too large for the volume of the bar, and `BANKRUPT` when equity is 0 or less at a close: the
        position is then closed at that close and trading ends.
    trades : structured array of TRADE_DTYPE
        Closed trades are written from row ``state[N_TRADES]`` on; needs room for `CLOSES_PER_BAR`.

    Returns
    -------
    float
        Equity at the close of bar i, in quote currency.
    """
    if state[STATUS] == TRADING:
        if _wants_order(i, target, bar, rules, state):
            _order(i, state[TARGET], bar, rules, state, trades)
        if state[UNITS] != 0.0:
            _exit_in_range(i, bar, rules, state, trades)
    equity = float(state[CASH] + state[UNITS] * bar.close)
    if equity <= 0.0 and state[STATUS] == TRADING:
        if state[UNITS] != 0.0:
            _close(i, bar.close, BANKRUPT_EXIT, bar, rules, state, trades)
        if state[STATUS] == TRADING:
            state[STATUS] = BANKRUPT
        equity = float(state[CASH])
    return equity


@compiled
def run(
    start: int,
    targets: NDArray[np.float64],
    market: Market,
    rules: Rules,
    state: NDArray[np.float64],
    trades: NDArray[np.void],
    equity: NDArray[np.float64],
    units: NDArray[np.float64],
) -> int:
    """Step through the bars from ``start`` on, writing equity and units held at every close.

    Returns
    -------
    int
        The next bar to trade: n at the end; less when ``trades`` has no room left (there is always
        room in n + 1 rows), or when that bar is unfillable (``state[STATUS]``).
    """
    account = borrowed(state)
    table = borrowed(trades)
    n = len(market.close)
    room = len(trades) - CLOSES_PER_BAR
    for i in range(start, n):
        if state[N_TRADES] > room:
            return i
        bar = Bar(market.open[i], market.high[i], market.low[i], market.close[i], market.volume[i])
        equity[i] = step(i, targets[i - 1], bar, rules, account, table)
        units[i] = state[UNITS]
        if state[STATUS] == UNFILLABLE:
            return i
    return n


@compiled
def mark_open(last: int, close: float, state: NDArray[np.float64], trades: NDArray[np.void]) -> None:
    """Write the trade still open after the last bar to ``trades[0]``, marked at the last close."""
    marked = state.copy()
    units = state[UNITS]
    marked[OUT_VALUE] += abs(units) * close
    record_trade(last, 1.0 if units > 0.0 else -1.0, STILL_OPEN, marked, trades[0])


def new_state(
    cash: float, rules: Rules, fee_tiers: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
) -> NDArray[np.float64]:
    """Return the state of a flat account; ``fee_tiers`` as in `FeeSchedule`."""
    state = np.zeros(STATE_SIZE + 2 * len(fee_tiers))
    state[CASH] = cash
    state[STATE_SIZE:] = np.ravel(fee_tiers)
    if rules.band == rules.band:
        state[TARGET] = np.nan
    return state
