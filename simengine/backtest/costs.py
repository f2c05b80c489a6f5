"""Costs, stops, margin and rounding as plain parameters that the accounting kernel understands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real
from typing import TypeGuard

import numpy as np

from simengine.errors import ConfigError, unknown_name

REMAINDERS: tuple[str, ...] = ("carry", "cancel")
MOST_BARS = 2**31 - 1
"""The largest number of bars that an option may state."""
SMALLEST_STEP = 1e-12
"""The smallest tick, lot or notional: what is divided by it stays finite."""


def is_number(value: object) -> TypeGuard[float]:
    """Return whether ``value`` is a real number; booleans are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether ``value`` is a whole number; booleans are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def said(value: object) -> str:
    """Return the repr of a value, of a NumPy scalar that of its plain number."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def _at_least_zero(value: object) -> bool:
    return is_number(value) and 0 <= value < math.inf


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """The fee of a fill, ``max(minimum, fixed + rate * notional)``.

    Parameters
    ----------
    tiers : tuple of (from_notional, rate)
        The rate (fraction of notional) that applies once the account has traded at least
        ``from_notional`` in total; the first tier starts at 0, ``from_notional`` increases. A fill
        is charged at the rate reached before it. Each sleeve is an account of its own.
    fixed : float
        Charged on every fill, quote currency.
    minimum : float
        Least fee of a fill, quote currency.

    Raises
    ------
    ConfigError
        Tiers that do not start at 0 or do not increase, a rate outside [0, 1), or an amount that is
        negative or infinite.
    """

    tiers: tuple[tuple[float, float], ...]
    fixed: float = 0.0
    minimum: float = 0.0

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.tiers]
        # Written as "not b > a", so that a NaN is refused too.
        if not starts or starts[0] != 0 or any(not b > a for a, b in pairwise(starts)):
            raise ConfigError(f"fee tiers must start at 0 and increase, received the starts {starts}")
        for _, rate in self.tiers:
            if not (is_number(rate) and 0 <= rate < 1):
                raise ConfigError(f"a fee rate is a fraction of notional in [0, 1), received {said(rate)}")
        for name, amount in (("fixed", self.fixed), ("minimum", self.minimum)):
            if not _at_least_zero(amount):
                raise ConfigError(
                    f"a {name} fee is an amount of quote currency, 0 or more, received {said(amount)}"
                )


@dataclass(frozen=True, slots=True)
class SlippageModel:
    """An adverse move of the fill price, and how much of a bar's volume fills may take.

    The price moves by ``rate + impact * sqrt(units / volume of the bar)`` against the order. With
    ``impact`` above 0 and no cap every bar needs a volume above 0.

    Parameters
    ----------
    rate : float
        Constant part, as a fraction of the price.
    impact : float
        Coefficient of the square-root impact, as a fraction of the price at 100 % participation.
    max_participation : float
        Largest share of a bar's volume that its fills may take together; infinite: no cap.
    remainder : str
        What happens to the part of an order beyond the cap: ``"carry"`` goes on at the next opens,
        ``"cancel"`` forgets it. An exit is carried on in any case.
    on_stops : bool
        Whether fills of stops (stop-loss, trailing stop and take-profit) slip as well.

    Raises
    ------
    ConfigError
        A rate outside [0, 1), an impact that is negative or infinite, a cap that is neither in (0, 1]
        nor infinite, or an unknown ``remainder``.
    """

    rate: float
    impact: float = 0.0
    max_participation: float = math.inf
    remainder: str = "carry"
    on_stops: bool = True

    def __post_init__(self) -> None:
        if not (is_number(self.rate) and 0 <= self.rate < 1):
            raise ConfigError(
                f"a slippage rate is a fraction of the price in [0, 1), received {said(self.rate)}"
            )
        if not _at_least_zero(self.impact):
            raise ConfigError(
                f"a slippage impact is a fraction of the price, 0 or more, received {said(self.impact)}"
            )
        cap = self.max_participation
        if not (is_number(cap) and (0 < cap <= 1 or cap == math.inf)):
            raise ConfigError(
                "max_participation is a share of a bar's volume in (0, 1], or infinite for no cap, "
                f"received {said(cap)}"
            )
        if self.remainder not in REMAINDERS:
            raise ConfigError(unknown_name("remainder", str(self.remainder), REMAINDERS))
        if not isinstance(self.on_stops, bool):
            raise ConfigError(f"on_stops is True or False, received {said(self.on_stops)}")

    @property
    def is_capped(self) -> bool:
        """Whether a bar's volume limits its fills."""
        return self.max_participation < math.inf


@dataclass(frozen=True, slots=True)
class Stops:
    """When a position is closed without a decision; None switches an exit off.

    Parameters
    ----------
    stop_loss, take_profit : float or None
        Fractions of the average entry price, for example 0.02: 2 % against or in favour of the position.
    trailing_stop : float or None
        Fraction of the best price since the entry (highest high of a long, lowest low of a short).
    max_bars : int or None
        A position is closed at the open of the bar that many bars after its entry bar.

    Raises
    ------
    ConfigError
        A stop-loss or take-profit that is not a finite number above 0, a trailing stop outside (0, 1),
        or a number of bars that is not an integer from 1 to 2**31 - 1.
    """

    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None
    max_bars: int | None = None

    def __post_init__(self) -> None:
        for name, level in (("stop_loss", self.stop_loss), ("take_profit", self.take_profit)):
            if level is not None and not (is_number(level) and 0 < level < math.inf):
                raise ConfigError(
                    f"{name} is a fraction of the entry price above 0 (0.02 = 2 %) or None, "
                    f"received {said(level)}"
                )
        trailing = self.trailing_stop
        if trailing is not None and not (is_number(trailing) and 0 < trailing < 1):
            raise ConfigError(
                f"trailing_stop is a fraction of the best price in (0, 1) or None, received {said(trailing)}"
            )
        bars = self.max_bars
        if bars is not None and (not isinstance(bars, Integral) or isinstance(bars, bool) or bars < 1):
            raise ConfigError(
                f"max_bars is a whole number of bars, 1 or more, or None, received {said(bars)}"
            )
        if bars is not None and bars > MOST_BARS:
            raise ConfigError(f"max_bars is at most {MOST_BARS} bars, received {said(bars)}; None is off")


@dataclass(frozen=True, slots=True)
class Margin:
    """How much exposure an account may carry, and when it is liquidated (cross margin).

    Parameters
    ----------
    leverage : float
        Largest exposure as a multiple of equity.
    initial_margin : float or None
        Equity needed to open a position, as a fraction of its notional; None: 1 / leverage, at most 1.
    maintenance_margin : float
        Equity needed to keep it, as a fraction of its notional.
    liquidation_fee : float
        Charged on a liquidation beside the fee of the fill, as a fraction of notional.

    Raises
    ------
    ConfigError
        A leverage that is not a finite number above 0, an initial margin outside (0, 1], a maintenance
        margin below 0, above the initial one or not below 1, or a liquidation fee outside [0, 1).
    """

    leverage: float = 1.0
    initial_margin: float | None = None
    maintenance_margin: float = 0.0
    liquidation_fee: float = 0.0

    def __post_init__(self) -> None:
        if not (is_number(self.leverage) and 0 < self.leverage < math.inf):
            raise ConfigError(
                "leverage is the largest exposure as a multiple of equity, finite and above 0 "
                f"(1 = no borrowing), received {said(self.leverage)}"
            )
        initial, kept = self.initial_margin, self.maintenance_margin
        if initial is not None and not (is_number(initial) and 0 < initial <= 1):
            raise ConfigError(
                "initial_margin is a fraction of notional in (0, 1], or None for 1 / leverage, "
                f"received {said(initial)}"
            )
        if not (is_number(kept) and 0 <= kept <= self.initial and kept < 1):
            raise ConfigError(
                "maintenance_margin is a fraction of notional from 0 to the initial margin "
                f"({self.initial:g}) and below 1, received {said(kept)}"
            )
        fee = self.liquidation_fee
        if not (is_number(fee) and 0 <= fee < 1):
            raise ConfigError(f"a liquidation fee is a fraction of notional in [0, 1), received {said(fee)}")

    @property
    def initial(self) -> float:
        """The initial margin in force."""
        return min(1.0, 1.0 / self.leverage) if self.initial_margin is None else float(self.initial_margin)


@dataclass(frozen=True, slots=True)
class Rounding:
    """What an exchange accepts of a symbol; 0 is no restriction.

    Parameters
    ----------
    tick_size : float
        Step of fill prices, which are rounded against the order.
    lot_size : float
        Step of units, which are rounded down; closing a position whole is never rounded.
    min_notional : float
        Least value of an order in quote currency; a smaller one is not sent unless it closes the
        position whole.

    Raises
    ------
    ConfigError
        A size that is negative, infinite, or above 0 but below 1e-12.
    """

    tick_size: float = 0.0
    lot_size: float = 0.0
    min_notional: float = 0.0

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size", "min_notional"):
            size = getattr(self, name)
            if not _at_least_zero(size):
                raise ConfigError(f"{name} is a number, 0 (none) or more, received {said(size)}")
            if 0 < size < SMALLEST_STEP:
                raise ConfigError(f"{name} is 0 (none) or at least {SMALLEST_STEP:g}, received {said(size)}")


def rounding_by_symbol(
    symbols: Iterable[str],
    tick_size: float | Mapping[str, float] = 0.0,
    lot_size: float | Mapping[str, float] = 0.0,
    min_notional: float | Mapping[str, float] = 0.0,
) -> dict[str, Rounding]:
    """Return the rounding of every symbol from one number for all or a number per symbol.

    Raises
    ------
    ConfigError
        A mapping that lacks a symbol or names another one, or a size that is negative or infinite.
    """
    names = tuple(symbols)
    given = {"tick_size": tick_size, "lot_size": lot_size, "min_notional": min_notional}
    sizes = {what: _by_symbol(value, names, what) for what, value in given.items()}
    return {name: Rounding(**{what: sizes[what][name] for what in sizes}) for name in names}


def _by_symbol(value: float | Mapping[str, float], names: tuple[str, ...], what: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        return dict.fromkeys(names, value)
    for name in value:
        if name not in names:
            raise ConfigError(f"{what} given for an {unknown_name('symbol', str(name), names)}")
    missing = [name for name in names if name not in value]
    if missing:
        raise ConfigError(f"{what} is missing for {', '.join(missing)}; 0 is none")
    return dict(value)
