"""How many units an order is for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simengine.backtest.kernel.compiling import compiled
from simengine.backtest.kernel.layout import FRACTION, UNITS, Rules
from simengine.backtest.kernel.prices import fee_rate, fill_price, smooth_price

ROUNDING = 1e-9
"""A size beyond the buying power by less than this share of it is not cut: the two only round differently."""

DUST = 1e-9
"""An order for less than this share of the position is none: rounding left it."""


class Means(NamedTuple):
    """What an order is sized with.

    ``cash`` of the account, ``units`` held of the symbol, ``value`` and ``notional`` (absolute value)
    of the account's other positions, notional ``traded`` so far. ``sized``: units to hold after an order
    that was sized in an earlier bar, else NaN.
    """

    cash: float
    units: float
    value: float
    notional: float
    traded: float
    sized: float


@compiled
def buying_power(price: float, rate: float, means: Means, rules: Rules) -> float:
    """Return the most units that initial margin and fees let the account hold at ``price``."""
    equity = means.cash + means.value + means.units * price
    free = equity - rules.margin * means.notional
    scale = 1.0 / (price * (rules.margin + rate))
    most = (free - rules.fixed_fee) * scale
    if rules.minimum_fee > 0.0:
        most = min(most, (free - rules.minimum_fee) / (price * rules.margin))
    return max(most, 0.0)


@compiled
def wanted_units(target: float, price: float, rate: float, means: Means, rules: Rules) -> float:
    """Return the units that a target stands for at a fill price, before margin and rounding."""
    if rules.cap < np.inf and means.sized == means.sized:
        return means.sized
    if rules.unit == UNITS:
        return target
    if rules.unit != FRACTION:
        return target / price
    equity = means.cash + means.value + means.units * price
    scale = 1.0 / (price * (1.0 + rate))
    wanted = target * max(equity - rules.fixed_fee, 0.0) * scale
    if rules.minimum_fee > 0.0:
        least = target * max(equity - rules.minimum_fee, 0.0) / price
        wanted = min(wanted, least) if target > 0.0 else max(wanted, least)
    return wanted


@compiled
def affordable_units(
    target: float, price: float, rate: float, means: Means, rules: Rules
) -> tuple[float, bool]:
    """Return the units wanted, cut to the buying power, and whether they were cut.

    What is already held may stay, even when it is more than could be bought now.
    """
    wanted = wanted_units(target, price, rate, means, rules)
    if rules.margin <= 0.0:
        return wanted, False
    size = abs(wanted)
    if size <= abs(means.units):
        return wanted, False
    free = means.cash + means.value + means.units * price - rules.margin * means.notional
    fee = rules.fixed_fee + rules.minimum_fee
    if size * (price * (rules.margin + rate)) <= free - fee:
        return wanted, False
    if rules.watches:
        return wanted, True
    most = max(buying_power(price, rate, means, rules), abs(means.units))
    if size <= most * (1.0 + ROUNDING):
        return wanted, False
    if most <= DUST * size:
        return 0.0, True
    return (most if wanted > 0.0 else -most), True


@compiled
def order_units(
    target: float, quote: float, at_limit: bool, room: float, volume: float, means: Means, rules: Rules
) -> tuple[float, bool, float]:
    """Return the units to trade at a quote to get to the target, whether margin cut them, and the price.

    A limit fills at its quote, and only opens or increases. Otherwise the price depends on the side of
    the order; between the quote moved up and the quote moved down there may be nothing worth trading.
    NaN when a volume impact leaves no price.
    """
    rate = fee_rate(means.traded, rules)
    way = 1.0 if target > 0.0 else -1.0
    side = way
    if rules.resizes and means.units != 0.0 and not at_limit:
        middle = wanted_units(target, quote, rate, means, rules)
        if abs(middle - means.units) <= DUST * max(abs(middle), abs(means.units)):
            return 0.0, False, quote
        side = 1.0 if middle > means.units else -1.0
    price = quote
    if not at_limit:
        if rules.impact > 0.0:
            price = _impact_price(target, quote, volume, room, side, means, rules)
            if not price > 0.0:
                return np.nan, False, price
        else:
            price = fill_price(quote, side, volume, 1.0, rules)
    wanted, cut = affordable_units(target, price, rate, means, rules)
    cut = cut and (side == way or not rules.resizes)
    delta = wanted - means.units
    if rules.resizes and abs(delta) <= DUST * max(abs(wanted), abs(means.units)):
        return 0.0, cut, price
    if delta * side > 0.0:
        return delta, cut, price
    return 0.0, cut, price


@compiled
def _missing(
    delta: float, target: float, quote: float, volume: float, rate: float, means: Means, rules: Rules
) -> float:
    """Return the units still to trade to the wanted size when ``delta`` of them set the price."""
    price = smooth_price(quote, delta, volume, 1.0, rules)
    if not price > 0.0:
        return np.nan
    wanted, _ = affordable_units(target, price, rate, means, rules)
    return wanted - means.units - delta


@compiled
def _impact_price(
    target: float,
    quote: float,
    volume: float,
    room: float,
    side: float,
    means: Means,
    rules: Rules,
) -> float:
    """Return the price when price and size determine each other; NaN when none is left.

    What is missing falls from the smallest order on, except where a worse price asks for more units
    (opening a short); so the bracket may have to grow before it is halved down to the last bit. The
    ``room`` that the volume leaves ends the search: an order for more is sized at the price of that fill.
    """
    rate = fee_rate(means.traded, rules)
    low = 0.0
    high = side * _missing(side * 1e-300, target, quote, volume, rate, means, rules)
    # What rounding has left of the buying power is no order: the impact would make one of it.
    if not high > DUST * abs(means.units):
        return fill_price(quote, side * 1e-300, volume, 1.0, rules)
    high = min(high, room)
    missing = side * _missing(side * high, target, quote, volume, rate, means, rules)
    while missing > 0.0 and high < room:
        low = high
        high = min(high * 1.5, room)
        missing = side * _missing(side * high, target, quote, volume, rate, means, rules)
    if missing != missing:
        return np.nan
    if missing > 0.0:
        return fill_price(quote, side * high, volume, 1.0, rules)
    middle = 0.5 * (low + high)
    while low < middle < high:
        if side * _missing(side * middle, target, quote, volume, rate, means, rules) > 0.0:
            low = middle
        else:
            high = middle
        middle = 0.5 * (low + high)
    return fill_price(quote, side * low, volume, 1.0, rules)
