"""What the kernel works on: bars, rules, the account, and the rows it writes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TRADING = 0.0
BANKRUPT = 1.0
UNFILLABLE = 2.0
UNSURE = 3.0
"""Only in a sweep: something rare happened that the fast path leaves to the scalar one."""

SIGNAL_EXIT = 0
STOP_LOSS_EXIT = 1
TAKE_PROFIT_EXIT = 2
TRAILING_STOP_EXIT = 3
TIME_STOP_EXIT = 4
LIQUIDATION_EXIT = 5
BANKRUPT_EXIT = 6
STILL_OPEN = 7

FRACTION = 0
CASH = 1
UNITS = 2

OPEN_FIRST = 0
STOP_FIRST_DROP = 1
OPEN_FIRST_SKIP_ENTRY = 2

NOTHING = 1e-12
"""Equity up to this share of the notional traded is none: rounding left it."""

FITS = 1.0 + 1e-12
"""An order beyond what the volume lets through by less than this factor fits: it only rounds differently."""

CLOSES_PER_BAR = 2
"""A bar can close at most two trades: one at the open by a flip, the new one by a stop."""

TRADE_DTYPE = np.dtype(
    [
        ("entry_bar", np.int32),
        ("exit_bar", np.int32),
        ("symbol", np.int32),
        ("side", np.int16),
        ("exit_reason", np.int16),
        ("entry_time", np.int64),
        ("exit_time", np.int64),
        ("units", np.float64),
        ("entry_price", np.float64),
        ("exit_price", np.float64),
        ("fees", np.float64),
        ("slippage", np.float64),
        ("financing", np.float64),
        ("pnl", np.float64),
        ("return", np.float64),
        ("mae", np.float64),
        ("mfe", np.float64),
    ]
)
"""One trade, from flat to flat or to a flip; partial entries and exits are merged.

entry_bar, exit_bar: rows of the symbol's bars; entry_time, exit_time: their open times, ns UTC.
symbol: index into the result's symbols. side: +1 long, -1 short. exit_reason: one of the ``*_EXIT``
constants or `STILL_OPEN`, whose exit is marked at the last close. units: bought into the trade in
total, positive. entry_price, exit_price: averages of the fill prices. fees, slippage, financing (funding
and borrow): costs in quote currency. pnl: net of fees, slippage and financing. return: pnl / entry
notional. mae, mfe: worst (<= 0) and best (>= 0) move from entry_price to a quote seen while in the
trade, as fractions of it in the trade's favour; of the exit bar only the exit quote counts.
"""

ORDER_DTYPE = np.dtype(
    [
        ("bar", np.int32),
        ("symbol", np.int32),
        ("reason", np.int16),
        ("opening", np.int16),
        ("time", np.int64),
        ("units", np.float64),
        ("quote", np.float64),
        ("price", np.float64),
        ("fee", np.float64),
        ("slippage", np.float64),
    ]
)
"""One fill of an order.

bar, time: where it happened. reason: as in `TRADE_DTYPE`; opening: 1 when the fill opens or increases
a position, then the reason is `SIGNAL_EXIT`. units: signed, bought positive. quote, price: before and
after slippage. fee, slippage: in quote currency.
"""


class Market(NamedTuple):
    """The bars of one symbol as the kernel takes them: read-only arrays of shape (n,).

    ``funding`` holds rates per bar, or nothing (shape (0,)) without financing.
    """

    timestamp: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    funding: NDArray[np.float64]


class Bar(NamedTuple):
    """One bar: open time, prices in quote currency, volume in units, and what came before it.

    ``before``: close of the bar before. ``funding``: rate due at the open. ``years``: time since the
    bar before.
    """

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    before: float
    funding: float
    years: float


class Rules(NamedTuple):
    """Everything that is fixed for an account, as the kernel takes it.

    A negative stop or goal is one whose level was moved: an increase of the position leaves it there.
    An infinite stop, goal, trail or cap is off; so are a tick, lot, minimum or impact of 0 and a
    ``max_bars`` of 0. ``band`` is NaN for orders on a changed target only, 0 for orders on every bar.
    ``fees`` has one row per tier: traded notional from which it holds, rate. ``offset`` is NaN for
    market entries. ``rounds`` says that any of tick, lot and minimum
    is on. ``resizes`` is False when an order always closes before it opens. ``straight``: only ordinary
    rules are on (see `plain`). ``watches`` is
    True in a sweep, where rare events only mark the account as `UNSURE`.
    """

    size: float
    unit: int
    fees: NDArray[np.float64]
    fee: float
    tiered: bool
    fixed_fee: float
    minimum_fee: float
    slippage: float
    stop_share: float
    impact: float
    cap: float
    carry: bool
    stop_loss: float
    take_profit: float
    trailing: float
    max_bars: int
    margin: float
    maintenance: float
    liquidation_fee: float
    financed: bool
    borrow: float
    tick: float
    lot: float
    minimum: float
    rounds: bool
    offset: float
    limit_bars: int
    band: float
    convention: int
    resizes: bool
    straight: bool
    watches: bool


class Position(NamedTuple):
    """What is held of a symbol. Levels and extremes are signed: multiplied by the side of the position.

    So a short is a long in the mirrored market, and one comparison serves both. ``average``: entry
    price of the units held; ``best`` and ``worst``: quotes seen; ``flow``: cash flows of the trade so
    far, its PnL once it is closed.
    """

    units: float
    average: float
    stop: float
    goal: float
    best: float
    worst: float
    flow: float
    entry_bar: int


class Work(NamedTuple):
    """The working order of a symbol.

    ``closing``: the position held is to be closed first, for ``reason``. ``target``: what is then
    to be held, 0 for nothing; ``wanted``: the same in units once sized, else NaN. ``limit``: NaN for a
    market order; valid up to bar ``until``.
    """

    closing: bool
    reason: int
    target: float
    wanted: float
    limit: float
    until: int


class Account(NamedTuple):
    """One symbol's account between two bars, as far as the next bar depends on it.

    ``target``: last one stated. ``room``: what the volume of the current bar still lets through, in
    units. ``traded``: notional so far. ``closed``, ``wins``: closed trades, and those with a PnL
    above 0. What only the result needs is in the ledger.
    """

    cash: float
    target: float
    status: float
    room: float
    traded: float
    closed: float
    wins: float
    position: Position
    work: Work


# The ledger: a float64 array. First the open trade.
BOUGHT = 0  # units
PAID = 1  # their notional
RECEIVED = 2  # notional taken out
TRADE_FEES = 3
TRADE_SLIPPAGE = 4
TRADE_FINANCING = 5
# Then the account.
FEES = 6
SLIPPAGE = 7
FUNDING = 8
BORROW = 9
NOT_SENT = 10  # orders
MARGIN_LIMITED = 11
EXPIRED = 12
CANCELLED = 13
FILLS = 14
# Then sums over its closed trades.
GAINS = 15
LOSSES = 16
RETURNS = 17
BEST_RETURN = 18
WORST_RETURN = 19
MAE = 20
MFE = 21
LONGS = 22
BARS_HELD = 23
LEDGER_SIZE = 24


def new_ledger() -> NDArray[np.float64]:
    """Return the ledger of an account that has done nothing."""
    ledger = np.zeros(LEDGER_SIZE)
    ledger[BEST_RETURN], ledger[WORST_RETURN] = -np.inf, np.inf
    return ledger
