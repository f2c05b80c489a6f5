"""What the slow engine keeps: options, orders, positions, fills and an account."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

YEAR_NS = 365.25 * 24 * 3_600 * 1e9


@dataclass(frozen=True)
class Options:
    """Every setting of one simulation, spelled out in plain numbers."""

    cash: float = 100_000.0
    size: float = 1.0
    size_unit: str = "fraction"
    fee_tiers: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    fee_fixed: float = 0.0
    fee_minimum: float = 0.0
    slippage: float = 0.0
    impact: float = 0.0
    max_participation: float = math.inf
    remainder: str = "carry"
    on_stops: bool = True
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None
    max_bars: int | None = None
    leverage: float = 1.0
    initial_margin: float | None = None
    maintenance_margin: float = 0.0
    liquidation_fee_bps: float = 0.0
    funding: dict | tuple[float, ...] | None = None
    borrow_rate: float = 0.0
    limit_offset: float | None = None
    limit_bars: int = 1
    tick_size: float = 0.0
    lot_size: float = 0.0
    min_notional: float = 0.0
    rebalance: str | float = "on_change"
    capital: str = "sleeves"
    fill_convention: str = "open_first"

    @property
    def margin(self) -> float:
        return min(1.0, 1 / self.leverage) if self.initial_margin is None else self.initial_margin


@dataclass
class Fill:
    """One execution: ``price`` is ``quote`` moved by slippage and tick; ``reason`` is empty for an entry."""

    symbol: int
    bar: int
    time: int
    quote: float
    price: float
    delta: float
    fee: float
    reason: str

    @property
    def slippage(self) -> float:
        return abs(self.delta) * abs(self.price - self.quote)


@dataclass
class Order:
    """What is still to be done: first close whole (``closing``), then reach ``wanted`` x size."""

    wanted: float
    reason: str = "signal"
    closing: bool = False
    units: float | None = None  # the position wanted, once it is sized
    limit: float | None = None
    last_bar: int = -1
    way: int = 0  # +1 opens or increases, -1 reduces, 0 not known yet
    reduced_at: int | None = None  # time at which it was last found to reduce

    @property
    def side(self) -> int:
        return 1 if self.wanted > 0 else -1


@dataclass
class Position:
    """The units of one symbol and the trade they belong to."""

    units: float = 0.0
    average: float = math.nan
    entry_bar: int = -1
    best: float = math.nan  # of the earlier bars of the trade
    lowest: float = math.inf
    highest: float = -math.inf
    financing: float = 0.0
    start: float = math.nan  # price at which this bar began for the position
    mid_bar: bool = False  # opened inside the bar that is running
    fills: list[Fill] = field(default_factory=list)

    @property
    def side(self) -> int:
        return 1 if self.units > 0 else -1

    def see(self, price: float) -> None:
        self.lowest, self.highest = min(self.lowest, price), max(self.highest, price)


@dataclass
class Trade:
    """A closed trade, or an open one marked at ``exit_price``."""

    symbol: int
    side: int
    entry_bar: int
    exit_bar: int
    entry_time: int
    exit_time: int
    units: float
    entry_price: float
    exit_price: float
    fees: float
    slippage: float
    financing: float
    pnl: float
    mae: float
    mfe: float
    reason: str


def round_lot(units: float, lot: float) -> float:
    """Round a number of units down to a multiple of the lot."""
    if lot == 0:
        return units
    ratio = units / lot
    nearest = round(ratio)
    return (nearest if abs(ratio - nearest) <= 1e-9 else math.floor(ratio)) * lot


def round_tick(price: float, tick: float, up: bool) -> float:
    """Round a price to the tick above or below."""
    if tick == 0:
        return price
    ratio = price / tick
    nearest = round(ratio)
    if abs(ratio - nearest) <= 1e-9:
        return nearest * tick
    return (math.ceil(ratio) if up else math.floor(ratio)) * tick


class Account:
    """Cash, positions and orders of the symbols that share one purse."""

    def __init__(self, options: Options, cash: float, n_symbols: int) -> None:
        self.options = options
        self.cash = cash
        self.positions = [Position() for _ in range(n_symbols)]
        self.orders: list[Order | None] = [None] * n_symbols
        first = 0.0 if options.rebalance == "on_change" else math.nan
        self.stated: list[float] = [first] * n_symbols
        self.mark = [0.0] * n_symbols
        self.room = [math.inf] * n_symbols
        self.volume = [0.0] * n_symbols
        self.bar = [-1] * n_symbols
        self.time = 0
        self.bankrupt = False
        self.fills: list[Fill] = []
        self.trades: list[Trade] = []
        self.traded = 0.0
        self.funding = 0.0
        self.borrow = 0.0
        self.counts = {"not_sent": 0, "margin_limited": 0, "expired": 0, "cancelled": 0}
        self.log: list[str] = []

    def note(self, symbol: int, text: str) -> None:
        self.log.append(f"    [{symbol}] {text}")

    # Valuation

    def equity(self, symbol: int | None = None, price: float = 0.0) -> float:
        """Equity at the marks, ``symbol`` at ``price``."""
        value = self.cash
        for k, position in enumerate(self.positions):
            value += position.units * (price if k == symbol else self.mark[k])
        return value

    def notional_of_others(self, symbol: int) -> float:
        return sum(abs(p.units * self.mark[k]) for k, p in enumerate(self.positions) if k != symbol)

    def held(self) -> list[int]:
        return [k for k, position in enumerate(self.positions) if position.units]

    # Costs

    def fee_rate(self) -> float:
        return [rate for start, rate in self.options.fee_tiers if self.traded >= start][-1]

    def fee(self, notional: float) -> float:
        return max(self.options.fee_minimum, self.options.fee_fixed + self.fee_rate() * notional)

    def slip(self, symbol: int, units: float) -> float:
        """Slippage as a fraction; no fill counts for more than the largest participation."""
        if not self.options.impact:
            return self.options.slippage
        volume, largest = self.volume[symbol], self.options.max_participation
        share = min(units / volume, largest) if volume > 0 else largest
        return self.options.slippage + self.options.impact * math.sqrt(share)

    def price(self, symbol: int, quote: float, side: int, units: float, *, tick: bool = True) -> float:
        price = quote * (1 + side * self.slip(symbol, units))
        if tick:
            price = round_tick(price, self.options.tick_size, up=side > 0)
        if price <= 0:
            raise ValueError("the order leaves no price")
        return price

    # Fills

    def fill(
        self, symbol: int, quote: float, price: float, delta: float, reason: str, *, extra_rate: float = 0.0
    ) -> None:
        """Execute ``delta`` units at ``price``; a ``reason`` marks a fill of a whole exit."""
        position = self.positions[symbol]
        notional = abs(delta) * price
        fee = self.fee(notional) + extra_rate * notional
        done = Fill(symbol, self.bar[symbol], self.time, quote, price, delta, fee, reason)
        self.note(symbol, f"fill {delta:+.10g} at {price:.10g} (quote {quote:.10g}) fee {fee:.6g} {reason}")
        self.cash -= delta * price + fee
        self.traded += notional
        self.fills.append(done)
        if position.units == 0:
            position = self.positions[symbol] = Position(entry_bar=self.bar[symbol], start=quote)
            position.see(quote)
        if position.units * delta >= 0:
            before = position.units
            position.average = (
                price if not before else (position.average * before + price * delta) / (before + delta)
            )
        position.units += delta
        position.fills.append(done)

    def leave(
        self, symbol: int, quote: float, reason: str, *, forced: bool = False, slip: bool = True
    ) -> bool:
        """Close the position as far as the cap lets it; return whether it is flat."""
        position = self.positions[symbol]
        units = abs(position.units)
        whole = forced or units <= self.room[symbol] * (1 + 1e-12)
        amount = units if whole else round_lot(self.room[symbol], self.options.lot_size)
        if amount == 0:
            return False
        side = -position.side
        if slip:
            price = self.price(symbol, quote, side, amount)
        else:
            price = round_tick(quote, self.options.tick_size, up=side > 0)
        extra = self.options.liquidation_fee_bps / 1e4 if reason == "liquidation" else 0.0
        delta = -position.units if whole else side * amount
        self.fill(symbol, quote, price, delta, reason, extra_rate=extra)
        if not forced:
            self.take_room(symbol, amount)
        if whole:
            position.see(quote)
            self.trades.append(self.trade(symbol, reason))
            self.positions[symbol] = Position()
        return whole

    def take_room(self, symbol: int, units: float) -> None:
        self.room[symbol] = 0.0 if units >= self.room[symbol] else self.room[symbol] - units

    def trade(self, symbol: int, reason: str, mark: float | None = None) -> Trade:
        """The trade of a position, from its list of fills; what is left counts at ``mark``."""
        position = self.positions[symbol]
        fills = position.fills
        side = 1 if fills[0].delta > 0 else -1
        entries = [f for f in fills if f.delta * side > 0]
        exits = [(abs(f.delta), f.price) for f in fills if f.delta * side < 0]
        if mark is not None:
            exits.append((abs(position.units), mark))
        units = sum(abs(f.delta) for f in entries)
        entry_price = sum(abs(f.delta) * f.price for f in entries) / units
        paid = -sum(f.delta * f.price + f.fee for f in fills) - position.financing
        moves = sorted(side * (x / entry_price - 1) for x in (position.lowest, position.highest))
        return Trade(
            symbol=symbol,
            side=side,
            entry_bar=fills[0].bar,
            exit_bar=fills[-1].bar if mark is None else self.bar[symbol],
            entry_time=fills[0].time,
            exit_time=fills[-1].time if mark is None else self.time,
            units=units,
            entry_price=entry_price,
            exit_price=sum(n * x for n, x in exits) / sum(n for n, _ in exits),
            fees=sum(f.fee for f in fills),
            slippage=sum(f.slippage for f in fills),
            financing=position.financing,
            pnl=paid + (0.0 if mark is None else position.units * mark),
            mae=min(0.0, moves[0]),
            mfe=max(0.0, moves[1]),
            reason=reason,
        )

    # Financing (rule 0)

    def finance(self, symbol: int, funding: float, borrow: float) -> None:
        self.funding += funding
        self.borrow += borrow
        self.cash -= funding + borrow
        self.positions[symbol].financing += funding + borrow


def funding_rates(rule: dict | tuple[float, ...] | None, times: np.ndarray) -> np.ndarray:
    """Rate due at each bar: the multiples of the interval passed since the bar before."""
    if rule is None:
        return np.zeros(len(times))
    if not isinstance(rule, dict):
        return np.asarray(rule, dtype=float)
    count, unit = int(rule["every"][:-1]), rule["every"][-1]
    interval = count * {"m": 60, "h": 3_600, "d": 86_400}[unit] * 10**9
    passed = [0, *np.diff(times // interval)]
    return rule["rate"] * np.array(passed, dtype=float)
