"""Costs and stops as plain parameters that the accounting kernel understands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from simengine.errors import ConfigError


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """A fee proportional to traded notional, in tiers of the notional traded so far.

    Parameters
    ----------
    tiers : tuple of (from_notional, rate)
        The rate (fraction of notional) that applies once the account has traded at least
        ``from_notional`` in total; the first tier starts at 0, ``from_notional`` increases. A fill
        is charged at the rate reached before it. Each sleeve is an account of its own.

    Raises
    ------
    ConfigError
        Tiers that do not start at 0 or do not increase, or a rate outside [0, 1).
    """

    tiers: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.tiers]
        # Written as "not b > a", so that a NaN is refused too.
        if not starts or starts[0] != 0 or any(not b > a for a, b in pairwise(starts)):
            raise ConfigError(f"fee tiers must start at 0 and increase, received the starts {starts}")
        for _, rate in self.tiers:
            if not 0 <= rate < 1:
                raise ConfigError(f"a fee rate is a fraction of notional in [0, 1), received {rate}")


@dataclass(frozen=True, slots=True)
class SlippageModel:
    """An adverse move of the fill price.

    The price moves by ``rate + impact * sqrt(units / volume of the bar)`` against the order. With
    ``impact`` above 0 every bar needs a volume above 0.

    Parameters
    ----------
    rate : float
        Constant part, as a fraction of the price.
    impact : float
        Coefficient of the square-root impact, as a fraction of the price at 100 % participation.

    Raises
    ------
    ConfigError
        A rate outside [0, 1), or an impact that is negative or infinite.
    """

    rate: float
    impact: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ConfigError(f"a slippage rate is a fraction of the price in [0, 1), received {self.rate}")
        if not 0 <= self.impact < math.inf:
            raise ConfigError(
                f"a slippage impact is a fraction of the price, 0 or more, received {self.impact}"
            )


@dataclass(frozen=True, slots=True)
class Stops:
    """Exit levels as fractions of the entry fill price; None switches one off.

    Parameters
    ----------
    stop_loss, take_profit : float or None
        For example 0.02: 2 % against or in favour of the position.

    Raises
    ------
    ConfigError
        A level that is not a finite number above 0.
    """

    stop_loss: float | None = None
    take_profit: float | None = None

    def __post_init__(self) -> None:
        for name, level in (("stop_loss", self.stop_loss), ("take_profit", self.take_profit)):
            if level is not None and not 0 < level < math.inf:
                raise ConfigError(
                    f"{name} is a fraction of the entry price above 0 (0.02 = 2 %) or None, received {level}"
                )
