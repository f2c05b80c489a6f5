"""The laws of accounting, checked on what a backtest wrote: it replays the fills and trusts nothing else.

`check` takes the fills as given and works out from them alone what cash, positions, equity, fees, financing
and trades must have been. It shares no accounting with the engine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from small_markets import HOUR, Case, as_panel, compiled

from simengine.backtest.kernel import layout

TOLERANCE = 1e-9

LAWS = (
    "equity = cash + sum of units x close",
    "change of equity = PnL of the trades",
    "gross PnL of the fills at their quotes = net + fees + slippage + funding + borrow",
    "no quote outside the bar of its fill",
    "a fill follows a decision of an earlier bar",
    "prices are adverse, fees and slippage as the rules say",
    "flat => equity is constant",
    "no overdraft by longs without leverage",
    "whole lots, prices on ticks, no order below the minimum",
    "no more than the volume lets through",
    "trades = fills from flat to flat",
    "totals = sums over fills and trades",
    "nothing after a bar changes what came before",
    "another unit of price: the same returns",
    "another amount of money: the same returns",
    "all drivers agree to the last bit",
)
(
    EQUITY,
    PNL,
    GROSS,
    RANGE,
    DECISION,
    COSTS,
    FLAT,
    OVERDRAFT,
    ROUNDING,
    VOLUME,
    TRADES,
    TOTALS,
    PREFIX,
    PRICE_UNIT,
    MONEY_UNIT,
    DRIVERS,
) = range(len(LAWS))

FEATURES = (
    *("long", "short", "flip", "increase", "reduction", "open at the end", "several symbols", "missing bars"),
    *("fraction", "cash", "units", "on_change", "every_bar", "band"),
    *("open_first", "stop_first_drop", "open_first_skip_entry"),
    *("exit by signal", "stop_loss", "take_profit", "trailing_stop", "time_stop", "liquidation", "bankrupt"),
    *("stopped in its entry bar", "gap through a level", "exit without slippage"),
    *("second fee tier", "fixed fee", "minimum fee binds", "slippage", "impact"),
    *("volume cap binds", "order filled in parts", "exit in parts", "rest carried", "rest cancelled"),
    *("limit at the open", "limit inside the bar", "limit expired"),
    *("exposure above equity", "cut to buying power", "maintenance margin", "liquidation fee"),
    *("funding", "borrow"),
    *("tick", "lot", "minimum notional", "order not sent"),
    *("overdraft ruled out", "flat bars", "price unit changed", "money unit changed", "cut with fills"),
)
(
    LONG,
    SHORT,
    FLIP,
    INCREASE,
    REDUCTION,
    OPEN_END,
    SEVERAL,
    MISSING,
    IN_FRACTION,
    IN_CASH,
    IN_UNITS,
    ON_CHANGE,
    EVERY_BAR,
    BAND,
    OPEN_FIRST,
    STOP_FIRST_DROP,
    SKIP_ENTRY,
    BY_SIGNAL,
    BY_STOP,
    BY_GOAL,
    BY_TRAIL,
    BY_TIME,
    BY_LIQUIDATION,
    BY_BANKRUPTCY,
    ENTRY_BAR_EXIT,
    GAP,
    NO_SLIP,
    TIERED,
    FIXED,
    LEAST,
    SLIPPED,
    IMPACT,
    CAPPED,
    IN_PARTS,
    EXIT_IN_PARTS,
    CARRIED,
    CANCELLED,
    LIMIT_OPEN,
    LIMIT_INSIDE,
    EXPIRED,
    LEVERED,
    MARGIN_CUT,
    MAINTENANCE,
    LIQUIDATION_FEE,
    FUNDED,
    BORROWED,
    TICK,
    LOT,
    MINIMUM,
    NOT_SENT,
    SOLVENT,
    FLAT_BARS,
    PRICE_SCALED,
    MONEY_SCALED,
    CUT,
) = range(len(FEATURES))


class Run(NamedTuple):
    """What a backtest wrote: arrays over times, its fills, closed and open trades, and its totals.

    ``ledger`` is that of the account, of several symbols their sum. ``finished`` is False when an order was
    too large for the volume of its bar; nothing else is to be relied on then.
    """

    equity: NDArray[np.float64]
    value: NDArray[np.float64]
    orders: NDArray[np.void]
    trades: NDArray[np.void]
    still: NDArray[np.void]
    ledger: NDArray[np.float64]
    wins: float
    traded: float
    finished: bool


class Book(NamedTuple):
    """What the replay keeps: one row per symbol (``held``), and the account (``sums``)."""

    held: NDArray[np.float64]
    sums: NDArray[np.float64]
    seen: NDArray[np.int64]


# Columns of the symbols: position, mark, last row, stated target; the trade in progress; the bar.
U, MARK, ROW, STATED = range(4)
SIDE, ENTRY, BOUGHT, PAID, RECEIVED, FEES, SLIP, FINANCING, FLOW, INS, OUTS = range(4, 15)
USED, CLOSED_NOW = range(15, 17)
# The account.
CASH, TRADED, ALL_FEES, ALL_SLIP, FUNDING, BORROW, AT_QUOTES = range(7)
PNL_SUM, WINS, GAINS, LOSSES, LONGS, BARS, TRADE_COUNT, WORST_CASH, EVER_SHORT = range(7, 16)


@compiled
def apart(a: float, b: float, scale: float) -> bool:
    """Tell whether two numbers differ by more than rounding; NaN always does."""
    return not abs(a - b) <= TOLERANCE * max(abs(a), abs(b), scale)


@compiled
def broken(law: int, wrong: bool) -> int:
    return 1 << law if wrong else 0


@compiled
def is_whole(amount: float, step: float) -> bool:
    ratio = abs(amount) / step
    return abs(ratio - np.round(ratio)) <= 1e-7 * max(1.0, ratio)


@compiled
def finance(j: int, case: Case, funding: NDArray[np.float64], years: NDArray[np.float64], book: Book) -> None:
    """Charge what was held before the orders of time j."""
    held, sums = book.held, book.sums
    owed = max(0.0, -sums[CASH])
    longs = 0.0
    for k in range(len(held)):
        longs += max(0.0, held[k, U] * held[k, MARK])
    elapsed = (case.time[j] - case.time[j - 1]) / (365.25 * 24.0 * HOUR)
    for k in range(len(held)):
        worth = held[k, U] * held[k, MARK]
        here = case.row[j, k] >= 0
        due = funding[k, j] * worth if here else 0.0
        interest = 0.0
        if worth < 0.0 and here:
            interest = case.rules.borrow * years[k, j] * -worth
        if worth > 0.0:
            interest = case.rules.borrow * elapsed * owed * worth / longs
        sums[FUNDING] += due
        sums[BORROW] += interest
        sums[CASH] -= due + interest
        held[k, FINANCING] += due + interest
        held[k, FLOW] -= due + interest
        book.seen[FUNDED] |= due != 0.0
        book.seen[BORROWED] |= interest != 0.0


@compiled
def expected_fee(value: float, reason: int, book: Book, case: Case) -> float:
    """Return the fee of a fill by the schedule."""
    r = case.rules
    rate = r.fees[0, 1]
    for tier in range(1, len(r.fees)):
        if book.sums[TRADED] >= r.fees[tier, 0]:
            rate = r.fees[tier, 1]
            book.seen[TIERED] = 1
    fee = r.fixed_fee + rate * value
    book.seen[FIXED] |= r.fixed_fee > 0.0
    book.seen[LEAST] |= fee < r.minimum_fee
    fee = max(fee, r.minimum_fee)
    if reason == layout.LIQUIDATION_EXIT:
        fee += r.liquidation_fee * value
        book.seen[LIQUIDATION_FEE] |= r.liquidation_fee > 0.0
    return fee


@compiled
def in_bar(j: int, k: int, quote: float, order: np.void, case: Case, book: Book) -> bool:
    """Tell whether a quote was seen in the bar of its fill."""
    row = case.row[j, k]
    if row < 0:
        # A symbol without a bar is traded only when the whole account ends, at its last close.
        ends = order["reason"] == layout.LIQUIDATION_EXIT or order["reason"] == layout.BANKRUPT_EXIT
        last = order["bar"] == int(book.held[k, ROW])
        return ends and last and not apart(quote, book.held[k, MARK], 0.0)
    low, high = case.low[j, k], case.high[j, k]
    inside = low * (1.0 - TOLERANCE) <= quote <= high * (1.0 + TOLERANCE)
    return inside and order["bar"] == row


@compiled
def costs_fit(units: float, quote: float, price: float, order: np.void, case: Case, book: Book) -> bool:
    """Tell whether price and fee of a fill are what the rules allow."""
    side = 1.0 if units > 0.0 else -1.0
    r = case.rules
    size = abs(units)
    fits = side * (price - quote) >= -TOLERANCE * quote and price > 0.0
    most = quote * (r.slippage + r.impact) + r.tick
    if r.impact > 0.0 and r.cap == np.inf:
        most = np.inf
    fits &= abs(price - quote) <= most * (1.0 + 1e-7) + TOLERANCE * quote
    fits &= not apart(order["slippage"], size * abs(price - quote), TOLERANCE * size * quote)
    return fits and not apart(order["fee"], expected_fee(size * price, order["reason"], book, case), 1e-6)


@compiled
def rounding_fits(units: float, after: float, price: float, opening: bool, case: Case) -> bool:
    """Tell whether a fill keeps to lots, ticks and the least notional; what closes whole is not rounded."""
    r = case.rules
    if r.tick > 0.0 and not is_whole(price, r.tick) and not (opening and r.offset == r.offset):
        return False
    if after == 0.0:
        return True
    if r.lot > 0.0 and not (is_whole(units, r.lot) and is_whole(after, r.lot)):
        return False
    return r.cap < np.inf or abs(units) * price >= r.minimum * (1.0 - TOLERANCE)


@compiled
def fill(j: int, order: np.void, case: Case, run: Run, book: Book) -> int:
    """Book one fill at time j; return the laws it breaks."""
    held, sums = book.held, book.sums
    k = order["symbol"]
    units, quote, price, fee = order["units"], order["quote"], order["price"], order["fee"]
    before = held[k, U]
    after = before + units
    opening = order["opening"] == 1
    mask = broken(RANGE, not in_bar(j, k, quote, order, case, book))
    mask |= broken(COSTS, not costs_fit(units, quote, price, order, case, book))
    mask |= broken(ROUNDING, not rounding_fits(units, after, price, opening, case))
    if opening:
        decided = held[k, STATED] * units > 0.0 and order["bar"] >= 1 and j > 0
        mask |= broken(DECISION, not decided or order["reason"] != layout.SIGNAL_EXIT)
        mask |= broken(TRADES, before * units < 0.0)
    else:
        mask |= broken(DECISION, j == 0)
        mask |= broken(TRADES, before * units >= 0.0 or after * before < 0.0)
    note_fill(j, k, before, after, order, case, book)
    value = abs(units) * price
    sums[CASH] -= units * price + fee
    sums[TRADED] += value
    sums[ALL_FEES] += fee
    sums[ALL_SLIP] += abs(units) * abs(price - quote)
    sums[AT_QUOTES] -= units * quote
    if order["reason"] != layout.LIQUIDATION_EXIT and order["reason"] != layout.BANKRUPT_EXIT:
        held[k, USED] += abs(units)
    if before == 0.0:
        held[k, SIDE] = 1.0 if units > 0.0 else -1.0
        held[k, ENTRY] = order["bar"]
    held[k, U] = after
    sums[EVER_SHORT] = max(sums[EVER_SHORT], -after)
    held[k, BOUGHT] += abs(units) if opening else 0.0
    held[k, PAID] += value if opening else 0.0
    held[k, RECEIVED] += 0.0 if opening else value
    held[k, FEES] += fee
    held[k, SLIP] += abs(units) * abs(price - quote)
    held[k, FLOW] -= units * price + fee
    if after == 0.0:
        mask |= broken(TRADES, not closes_a_trade(k, order["bar"], order["reason"], order["time"], run, book))
    return mask


@compiled
def closes_a_trade(k: int, bar: int, reason: int, time: int, run: Run, book: Book) -> bool:
    """Tell whether the next trade written is the one that the fills of symbol k have made; start anew."""
    sums = book.sums
    at = int(sums[TRADE_COUNT])
    sums[TRADE_COUNT] += 1.0
    fits = at < len(run.trades) and is_the_trade(k, bar, reason, time, run.trades[at], book)
    pnl = book.held[k, FLOW]
    sums[PNL_SUM] += pnl
    sums[WINS] += 1.0 if pnl > 0.0 else 0.0
    sums[GAINS] += max(pnl, 0.0)
    sums[LOSSES] += max(-pnl, 0.0)
    sums[LONGS] += 1.0 if book.held[k, SIDE] > 0.0 else 0.0
    sums[BARS] += bar - book.held[k, ENTRY]
    book.seen[BY_SIGNAL + reason] = 1
    book.seen[ENTRY_BAR_EXIT] |= bar == int(book.held[k, ENTRY])
    book.seen[EXIT_IN_PARTS] |= reason != layout.SIGNAL_EXIT and book.held[k, OUTS] > 1.0
    book.held[k, SIDE : OUTS + 1] = 0.0
    return fits


@compiled
def is_the_trade(k: int, bar: int, reason: int, time: int, trade: np.void, book: Book) -> bool:
    """Compare a trade that was written with the replay."""
    h = book.held[k]
    paid = h[PAID]
    fits = trade["symbol"] == k and trade["side"] == h[SIDE] and trade["exit_reason"] == reason
    fits &= trade["entry_bar"] == int(h[ENTRY]) and trade["exit_bar"] == bar and trade["exit_time"] == time
    fits &= not apart(trade["units"], h[BOUGHT], 0.0)
    fits &= not apart(trade["entry_price"] * h[BOUGHT], paid, 0.0)
    fits &= not apart(trade["exit_price"] * h[BOUGHT], h[RECEIVED], 0.0)
    fits &= not apart(trade["fees"], h[FEES], paid)
    fits &= not apart(trade["slippage"], h[SLIP], paid)
    fits &= not apart(trade["financing"], h[FINANCING], paid)
    fits &= not apart(trade["pnl"], h[FLOW], paid)
    fits &= not apart(trade["return"], h[FLOW] / paid, 1.0)
    return fits and trade["mae"] <= 0.0 <= trade["mfe"]


@compiled
def note_fill(j: int, k: int, before: float, after: float, order: np.void, case: Case, book: Book) -> None:
    """Note which features the fill has used."""
    held, seen, r = book.held, book.seen, case.rules
    opening = order["opening"] == 1
    reason = order["reason"]
    quote, price = order["quote"], order["price"]
    inside = quote != case.open[j, k]
    seen[SLIPPED] |= price != quote and r.slippage > 0.0
    seen[IMPACT] |= price != quote and r.impact > 0.0
    seen[TICK] |= price != quote and r.tick > 0.0
    seen[LOT] |= r.lot > 0.0
    seen[MINIMUM] |= r.minimum > 0.0
    if opening:
        held[k, INS] += 1.0
        held[k, OUTS] = 0.0
        seen[LONG] |= after > 0.0
        seen[SHORT] |= after < 0.0
        seen[INCREASE] |= before != 0.0
        seen[FLIP] |= before == 0.0 and held[k, CLOSED_NOW] != 0.0
        if r.offset == r.offset:
            seen[LIMIT_INSIDE] |= inside
            seen[LIMIT_OPEN] |= not inside and price == quote
    else:
        held[k, OUTS] += 1.0
        held[k, CLOSED_NOW] = 1.0 if after == 0.0 and reason == layout.SIGNAL_EXIT else 0.0
        seen[REDUCTION] |= after != 0.0 and reason == layout.SIGNAL_EXIT
        stopped = reason == layout.STOP_LOSS_EXIT or reason == layout.TRAILING_STOP_EXIT
        seen[GAP] |= stopped and not inside and held[k, ENTRY] != order["bar"]
        seen[NO_SLIP] |= stopped and r.stop_share == 0.0 and r.slippage > 0.0


@compiled
def open_rows_fit(case: Case, run: Run, book: Book) -> bool:
    """Compare the trades still open with the replay; add what they would make to the PnL."""
    held = book.held
    at = 0
    fits = True
    for k in range(len(held)):
        if held[k, U] == 0.0:
            continue
        held[k, RECEIVED] += abs(held[k, U]) * held[k, MARK]
        held[k, FLOW] += held[k, U] * held[k, MARK]
        book.sums[PNL_SUM] += held[k, FLOW]
        last = 0
        for j in range(len(case.time)):
            last = case.time[j] if case.row[j, k] >= 0 else last
        book.seen[OPEN_END] = 1
        fits &= at < len(run.still) and is_the_trade(
            k, int(held[k, ROW]), layout.STILL_OPEN, last, run.still[at], book
        )
        at += 1
    return fits and at == len(run.still)


@compiled
def totals_fit(run: Run, book: Book, scale: float) -> bool:
    """Compare the totals with sums over fills and trades."""
    ledger, sums = run.ledger, book.sums
    fits = not apart(ledger[layout.FEES], sums[ALL_FEES], scale)
    fits &= not apart(ledger[layout.SLIPPAGE], sums[ALL_SLIP], scale)
    fits &= not apart(ledger[layout.FUNDING], sums[FUNDING], scale)
    fits &= not apart(ledger[layout.BORROW], sums[BORROW], scale)
    fits &= not apart(ledger[layout.GAINS], sums[GAINS], scale)
    fits &= not apart(ledger[layout.LOSSES], sums[LOSSES], scale)
    fits &= not apart(run.traded, sums[TRADED], scale)
    fits &= ledger[layout.LONGS] == sums[LONGS] and ledger[layout.BARS_HELD] == sums[BARS]
    fits &= ledger[layout.FILLS] == len(run.orders)
    wins = losses = 0
    for t in range(len(run.trades)):
        if run.trades[t]["pnl"] > 0.0:
            wins += 1
        else:
            losses += 1
    return fits and wins == run.wins and wins + losses == sums[TRADE_COUNT]


@compiled
def volume_fits(j: int, case: Case, book: Book) -> bool:
    """Tell whether the fills of time j took no more than their share of the volume."""
    if case.rules.cap == np.inf:
        return True
    fits = True
    for k in range(len(book.held)):
        room = case.rules.cap * case.volume[j, k]
        fits &= book.held[k, USED] <= room * (1.0 + TOLERANCE)
        full = case.row[j, k] >= 0 and room > 0.0 and book.held[k, USED] >= room * (1.0 - TOLERANCE)
        book.seen[CAPPED] |= full
        book.seen[IN_PARTS] |= book.held[k, INS] > 1.0 and full
    return fits


@compiled
def note_rules(case: Case, run: Run, seen: NDArray[np.int64]) -> None:
    """Note the rules of a market that traded, and what was counted."""
    r, ledger = case.rules, run.ledger
    if len(run.orders) > 0:
        seen[IN_FRACTION + r.unit] = 1
        seen[OPEN_FIRST + r.convention] = 1
        seen[EVERY_BAR if r.band == 0.0 else BAND if r.band > 0.0 else ON_CHANGE] = 1
        seen[SEVERAL] |= case.row.shape[1] > 1
        seen[MISSING] |= case.row.min() < 0
        seen[MAINTENANCE] |= r.maintenance > 0.0
    seen[EXPIRED] |= ledger[layout.EXPIRED] > 0.0
    seen[CANCELLED] |= ledger[layout.CANCELLED] > 0.0
    seen[NOT_SENT] |= ledger[layout.NOT_SENT] > 0.0
    seen[MARGIN_CUT] |= ledger[layout.MARGIN_LIMITED] > 0.0
    seen[CARRIED] |= seen[IN_PARTS] == 1 and r.carry


@compiled
def cannot_overdraw(case: Case) -> bool:
    """Tell whether longs must be paid in full: no leverage, loans, financing or currency amounts."""
    r = case.rules
    plain = r.unit == layout.FRACTION and case.leverage <= 1.0 and not r.financed
    # Where several symbols, or parts filled at other prices, add up to more than equity, the margin decides.
    plain &= r.margin >= 1.0 or (case.row.shape[1] == 1 and r.cap == np.inf)
    return plain and r.fixed_fee == 0.0 and r.minimum_fee == 0.0


@compiled
def check(case: Case, run: Run, seen: NDArray[np.int64]) -> int:
    """Return the laws that a run breaks, one bit each, and mark the features it used in ``seen``.

    Parameters
    ----------
    case : Case
    run : Run
        That finished.
    seen : int64 array, shape (len(FEATURES),)
        Set to 1 where the run used a feature.
    """
    symbols = case.row.shape[1]
    panel = as_panel(case)
    held = np.zeros((symbols, 17))
    held[:, STATED] = np.nan
    book = Book(held, np.zeros(16), seen)
    sums = book.sums
    sums[CASH] = case.cash
    mask = 0
    done = 0
    for j in range(len(case.time)):
        flat = True
        for k in range(symbols):
            held[k, USED] = held[k, CLOSED_NOW] = 0.0
            flat &= held[k, U] == 0.0
            if case.row[j, k] >= 0:
                held[k, MARK] = case.open[j, k]
        if case.rules.financed and j > 0 and not flat:
            finance(j, case, panel.funding, panel.years, book)
        while done < len(run.orders) and run.orders[done]["time"] == case.time[j]:
            flat = False
            mask |= fill(j, run.orders[done], case, run, book)
            done += 1
        mask |= broken(VOLUME, not volume_fits(j, case, book))
        value = gross = 0.0
        for k in range(symbols):
            if case.row[j, k] >= 0:
                held[k, MARK] = case.close[j, k]
                held[k, ROW] = case.row[j, k]
                if case.decided[j, k] == case.decided[j, k]:
                    held[k, STATED] = case.decided[j, k]
            value += held[k, U] * held[k, MARK]
            gross += abs(held[k, U] * held[k, MARK])
        scale = max(case.cash, gross)
        equity = sums[CASH] + value
        wrong = apart(run.equity[j], equity, scale) or apart(run.value[j], value, scale)
        mask |= broken(EQUITY, wrong or (j == 0 and run.equity[0] != case.cash))
        mask |= broken(EQUITY, run.equity[j] <= 0.0 and gross > 0.0)
        seen[BY_BANKRUPTCY] |= run.equity[j] <= 0.0
        if flat and j > 0:
            mask |= broken(FLAT, run.equity[j] != run.equity[j - 1] or run.value[j] != 0.0)
            seen[FLAT_BARS] = 1
        seen[LEVERED] |= gross > 1.01 * equity > 0.0
        sums[WORST_CASH] = min(sums[WORST_CASH], sums[CASH])
    mask |= broken(TRADES, done != len(run.orders) or int(sums[TRADE_COUNT]) != len(run.trades))
    mask |= broken(TRADES, not open_rows_fit(case, run, book))
    if cannot_overdraw(case) and sums[EVER_SHORT] == 0.0 and done > 0:
        mask |= broken(OVERDRAFT, sums[WORST_CASH] < -TOLERANCE * case.cash)
        seen[SOLVENT] = 1
    note_rules(case, run, seen)
    return mask | ends_fit(case, run, book)


@compiled
def ends_fit(case: Case, run: Run, book: Book) -> int:
    """Return which of the laws over the whole run are broken."""
    sums = book.sums
    net = run.equity[-1] - run.equity[0]
    # Large sums of opposite sign leave more rounding than their difference is worth.
    scale = case.cash + TOLERANCE * sums[TRADED]
    written = 0.0
    for t in range(len(run.trades)):
        written += run.trades[t]["pnl"]
    for t in range(len(run.still)):
        written += run.still[t]["pnl"]
    mask = broken(PNL, apart(written, net, scale) or apart(sums[PNL_SUM], net, scale))
    paid = run.ledger[layout.FEES] + run.ledger[layout.SLIPPAGE]
    paid += run.ledger[layout.FUNDING] + run.ledger[layout.BORROW]
    mask |= broken(GROSS, apart(sums[AT_QUOTES] + run.value[-1], net + paid, scale))
    return mask | broken(TOTALS, not totals_fit(run, book, scale))
