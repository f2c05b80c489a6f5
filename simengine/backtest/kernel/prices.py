"""What a fill costs: price after slippage, fees, rounding."""

from __future__ import annotations

import numpy as np

from simengine.backtest.kernel.compiling import compiled
from simengine.backtest.kernel.layout import Rules

ALMOST = 1e-9
"""A ratio this close to a whole number counts as whole: 0.3 is three lots of 0.1."""


@compiled
def fee_rate(traded: float, rules: Rules) -> float:
    """Return the rate of the tier that the notional ``traded`` so far has reached."""
    if not rules.tiered:
        return rules.fee
    k = len(rules.fees) - 1
    while k > 0 and traded < rules.fees[k, 0]:
        k -= 1
    return float(rules.fees[k, 1])


@compiled
def fee_of(value: float, rate: float, rules: Rules) -> float:
    """Return the fee of a fill of notional ``value``."""
    if rules.fixed_fee > 0.0 or rules.minimum_fee > 0.0:
        return max(rules.minimum_fee, rules.fixed_fee + value * rate)
    return value * rate


@compiled
def fill_price(quote: float, delta: float, volume: float, share: float, rules: Rules) -> float:
    """Return the price of trading ``delta`` units: adverse to its sign, and on the tick grid.

    ``share`` of the slippage applies.
    """
    price = smooth_price(quote, delta, volume, share, rules)
    if rules.tick > 0.0:
        return to_tick(price, delta, rules.tick)
    return price


@compiled
def smooth_price(quote: float, delta: float, volume: float, share: float, rules: Rules) -> float:
    """Return the price of trading ``delta`` units before it is rounded to a tick.

    The part of the bar's volume that is traded counts up to the participation cap: only liquidation
    goes beyond it, also in a bar without volume.
    """
    slip = rules.slippage
    if rules.impact > 0.0:
        part = abs(delta) / volume if volume > 0.0 else rules.cap
        slip += rules.impact * np.sqrt(min(part, rules.cap))
    slip *= share
    return quote * (1.0 + slip) if delta > 0.0 else quote * (1.0 - slip)


@compiled
def to_tick(price: float, direction: float, tick: float) -> float:
    """Round a price up to the grid when ``direction`` is above 0, else down."""
    ratio = price / tick
    return float(tick * (np.ceil(ratio - ALMOST) if direction > 0.0 else np.floor(ratio + ALMOST)))


@compiled
def to_lot(units: float, lot: float) -> float:
    """Round units towards zero to whole lots."""
    if lot > 0.0:
        whole = np.floor(abs(units) / lot + ALMOST) * lot
        return float(whole if units > 0.0 else -whole)
    return units
