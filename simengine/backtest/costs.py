"""Costs and stops as plain parameters that the accounting kernel understands."""

from __future__ import annotations

from dataclasses import dataclass

from simengine.errors import ConfigError


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """A fee proportional to traded notional, in tiers of the notional traded so far.

    Parameters
    ----------
    tiers : tuple of (from_notional, rate)
        The rate (fraction of notional) that applies once the account has traded at least
        ``from_notional`` in total; the first tier starts at 0, ``from_notional`` increases.
    """

    tiers: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.tiers]
        if not starts or starts[0] != 0 or any(b <= a for a, b in zip(starts, starts[1:], strict=False)):
            raise ConfigError(f"fee tiers must start at 0 and increase, received the starts {starts}")


@dataclass(frozen=True, slots=True)
class SlippageModel:
    """An adverse move of the fill price.

    The price moves by ``rate + impact * sqrt(units / volume of the bar)`` against the order.

    Parameters
    ----------
    rate : float
        Constant part, as a fraction of the price.
    impact : float
        Coefficient of the square-root impact, as a fraction of the price at 100 % participation.
    """

    rate: float
    impact: float = 0.0


@dataclass(frozen=True, slots=True)
class Stops:
    """Exit levels as fractions of the entry fill price; None switches one off.

    Parameters
    ----------
    stop_loss, take_profit : float or None
        For example 0.02: 2 % against or in favour of the position.
    """

    stop_loss: float | None = None
    take_profit: float | None = None
