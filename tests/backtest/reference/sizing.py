"""How large an order is: the size wanted, buying power, and the price that the order causes."""

from __future__ import annotations

from reference.book import Account, Order, round_lot

DUST = 1e-9


def unlimited(account: Account, symbol: int, order: Order, price: float) -> float:
    """The absolute number of units wanted at a fill price, before buying power."""
    options = account.options
    wanted = abs(order.wanted)
    if order.units is not None:
        return abs(order.units)
    if options.size_unit == "units":
        return wanted
    if options.size_unit == "cash":
        return wanted / price
    equity = account.equity(symbol, price)
    units = (wanted * (equity - options.fee_fixed)) / (price * (1 + account.fee_rate()))
    if options.fee_minimum > 0:
        units = min(units, wanted * (equity - options.fee_minimum) / price)
    return units


def buying_power(account: Account, symbol: int, price: float) -> float:
    """The largest absolute number of units that the equity can carry."""
    options, margin = account.options, account.options.margin
    free = account.equity(symbol, price) - margin * account.notional_of_others(symbol)
    units = (free - options.fee_fixed) / (price * (margin + account.fee_rate()))
    if options.fee_minimum > 0:
        units = min(units, (free - options.fee_minimum) / (price * margin))
    return units


def limited(account: Account, symbol: int, order: Order, price: float) -> float:
    units = unlimited(account, symbol, order, price)
    held = abs(account.positions[symbol].units)
    if units <= held:
        return units
    most = min(units, max(buying_power(account, symbol, price), held))
    return 0.0 if most <= DUST * units else most  # what rounding has left is nothing


def has_equity(account: Account, symbol: int, price: float, way: int) -> bool:
    options = account.options
    if way < 0 and options.size_unit != "fraction":
        return True
    least = max(options.fee_fixed, options.fee_minimum, 1e-12 * account.traded)
    return account.equity(symbol, price) > least


def direction(account: Account, symbol: int, order: Order, quote: float) -> int:
    """+1 when the order increases the position at its quote, -1 when it reduces it, 0 for neither."""
    held = abs(account.positions[symbol].units)
    wanted = unlimited(account, symbol, order, quote)
    if abs(wanted - held) <= DUST * max(wanted, held):
        return 0
    return 1 if wanted > held else -1


def order_size(
    account: Account, symbol: int, order: Order, quote: float, way: int, *, slip: bool
) -> tuple[float, float]:
    """Units to trade (0 or more) and their price; ``way`` +1 increases, -1 reduces.

    The price is that of the units which the participation cap lets through in this bar.
    """
    held = abs(account.positions[symbol].units)
    side = order.side * way
    room = account.room[symbol]

    def price(units: float, tick: bool = True) -> float:
        return account.price(symbol, quote, side, units, tick=tick) if slip else quote

    def missing(at: float) -> float:
        return way * (limited(account, symbol, order, at) - held)

    smallest = price(0.0)
    if missing(smallest) <= DUST * held:
        return 0.0, smallest
    if not (slip and account.options.impact):
        return missing(smallest), smallest
    if room < float("inf") and missing(price(room, tick=False)) >= room:
        paid = price(room)
        return missing(paid), paid
    low, high = 0.0, missing(price(0.0, tick=False))
    while missing(price(high, tick=False)) > high:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if missing(price(middle, tick=False)) > middle:
            low = middle
        else:
            high = middle
    paid = price(high)
    return missing(paid), paid


def send(account: Account, symbol: int, order: Order, quote: float, *, slip: bool = True) -> str:
    """Size the order and fill what the bar has room for; return "done", "part" or "none" (no room)."""
    options, way = account.options, order.way
    held = abs(account.positions[symbol].units)
    if not has_equity(account, symbol, quote, way):
        return _not_sent(account, symbol, "no equity")
    if account.room[symbol] <= 0:
        return "none"
    units, price = order_size(account, symbol, order, quote, way, slip=slip)
    if not has_equity(account, symbol, price, way):
        return _not_sent(account, symbol, "no equity")
    power = max(held, buying_power(account, symbol, price))
    bound = way > 0 and unlimited(account, symbol, order, price) > power * (1 + 1e-9)
    if bound:
        account.counts["margin_limited"] += 1
        account.note(symbol, "margin_limited")
    if units <= 0:
        return "done"
    if order.units is None:
        units = round_lot(units, options.lot_size)
        if units == 0:
            return _not_sent(account, symbol, "less than a lot")
        if units * price < options.min_notional:
            return _not_sent(account, symbol, "below the minimum notional")
    elif bound:
        units = round_lot(units, options.lot_size)
    order.units = order.side * (held + way * units)
    whole = units <= account.room[symbol] * (1 + 1e-12)
    amount = units if whole else round_lot(account.room[symbol], options.lot_size)
    if amount == 0:
        return "done" if whole else "none"
    side = order.side * way
    price = account.price(symbol, quote, side, amount) if slip else quote
    account.fill(symbol, quote, price, side * amount, "")
    account.take_room(symbol, amount)
    return "done" if whole else "part"


def _not_sent(account: Account, symbol: int, why: str) -> str:
    account.counts["not_sent"] += 1
    account.note(symbol, f"not sent: {why}")
    return "done"
