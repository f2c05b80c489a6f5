"""What holding a position costs: funding per interval, and interest on what is borrowed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from simengine.backtest.costs import is_number, said
from simengine.config.duration import parse_duration
from simengine.errors import ConfigError, DataError, unknown_name
from simengine.types import FloatArray, IntArray

YEAR_NS = 31_557_600 * 10**9
"""A year of 365.25 days in nanoseconds, the unit of ``borrow_rate``."""

MOST_BORROW_RATE = 100.0
"""Interest above 10,000 % a year is taken for a percentage or a typing error."""

OneFunding: TypeAlias = Mapping[str, float | str] | ArrayLike
"""``{"rate": 0.0001, "every": "8h"}``, or a rate per bar (0: none falls due)."""

Funding: TypeAlias = OneFunding | Mapping[str, OneFunding | None]
"""One for all symbols, or one for each; None: none."""


@dataclass(frozen=True, slots=True, eq=False)
class Financing:
    """Payments on a position that is held.

    Parameters
    ----------
    funding : mapping, array of shape (n,), mapping of symbol to either, or None
        ``{"rate": r, "every": "8h"}``: the rate r (fraction of notional, below 1 in size) falls due at
        every multiple of the interval since 1970-01-01 UTC. An array holds the rate due at each bar. Of a
        positive rate a long pays and a short receives. ``{"A": rates_a, "B": None}`` gives each symbol
        its own.
    borrow_rate : float
        Interest on borrowed money or units, a fraction a year, at most 100.

    Raises
    ------
    ConfigError
        A mapping with other keys, a rate that is not between -1 and 1, something else than a duration, or
        a borrow rate outside [0, 100].
    """

    funding: Funding | None = None
    borrow_rate: float = 0.0

    def __post_init__(self) -> None:
        if not (is_number(self.borrow_rate) and 0 <= self.borrow_rate < math.inf):
            raise ConfigError(
                f"borrow_rate is a fraction a year, 0 or more (0.05 = 5 %), received {said(self.borrow_rate)}"
            )
        if self.borrow_rate > MOST_BORROW_RATE:
            raise ConfigError(
                f"borrow_rate is a fraction a year (0.05 = 5 %), at most {MOST_BORROW_RATE:g}, "
                f"received {said(self.borrow_rate)}"
            )
        for one in self.funding.values() if _is_by_symbol(self.funding) else (self.funding,):
            if isinstance(one, Mapping):
                _schedule(one)

    def of(self, symbols: Iterable[str]) -> Financing:
        """Return this financing after checking that it fits the symbols.

        Raises
        ------
        ConfigError
            Funding by symbol that lacks one or names another one.
        """
        if _is_by_symbol(self.funding):
            names = tuple(symbols)
            for name in self.funding:
                if name not in names:
                    raise ConfigError(f"funding given for an {unknown_name('symbol', str(name), names)}")
            missing = [name for name in names if name not in self.funding]
            if missing:
                raise ConfigError(f"funding is missing for {', '.join(missing)}; None is none")
        return self

    def until(self, n: int) -> Financing:
        """Return the financing of the first n bars."""
        if _is_by_symbol(self.funding):
            return replace(self, funding={name: _first(one, n) for name, one in self.funding.items()})
        return replace(self, funding=_first(self.funding, n))


def _is_by_symbol(funding: object) -> TypeGuard[Mapping[str, Any]]:
    """Return whether every value of a mapping can be the funding of a symbol."""
    return (
        isinstance(funding, Mapping)
        and len(funding) > 0
        and not any(isinstance(one, str) or np.isscalar(one) for one in funding.values())
    )


def _first(funding: Any, n: int) -> Any:  # noqa: ANN401 - a schedule, an array or None
    return funding if funding is None or isinstance(funding, Mapping) else np.asarray(funding)[:n]


def _in_short(value: object) -> str:
    """Return the repr of a value, of a series its kind and length alone."""
    length = None if isinstance(value, str | Mapping) else getattr(value, "__len__", None)
    try:
        return said(value) if length is None else f"{type(value).__name__} of {length()}"
    except TypeError:  # an array without dimensions
        return said(value)


def _schedule(funding: Mapping[str, Any]) -> tuple[float, int]:
    """Return the rate and the interval in nanoseconds."""
    if set(funding) != {"rate", "every"}:
        received = ", ".join(f"{name!r}: {_in_short(value)}" for name, value in funding.items())
        raise ConfigError(
            'funding takes a rate and an interval, {"rate": 0.0001, "every": "8h"}, '
            f"received {{{received}}}"
        )
    rate, every = funding["rate"], funding["every"]
    if not (is_number(rate) and -1 < rate < 1):
        raise ConfigError(
            "the funding rate is a fraction of notional between -1 and 1 (0.0001 = 0.01 %), "
            f"received {_in_short(rate)}"
        )
    if not isinstance(every, str):
        raise ConfigError(f"the funding interval is a duration like '8h', received {_in_short(every)}")
    try:
        return float(rate), parse_duration(every)
    except ValueError as error:
        raise ConfigError(f"the funding interval: {error}") from None


def funding_rates(financing: Financing, timestamp: IntArray, symbol: str = "") -> FloatArray:
    """Return the funding rate due at each bar.

    Parameters
    ----------
    financing : Financing
    timestamp : int64 array, shape (n,)
        Open times, ns UTC, increasing.
    symbol : str
        Whose funding is meant when it is given by symbol.

    Returns
    -------
    float64 array, shape (n,)
        Of a schedule: the rate x the number of due times in (timestamp[i-1], timestamp[i]], 0 in the
        first bar. Of an array: its values.

    Raises
    ------
    DataError
        An array of another length, or with a value that is not a number between -1 and 1.
    """
    n = len(timestamp)
    funding = financing.funding[symbol] if _is_by_symbol(financing.funding) else financing.funding
    if funding is None:
        return np.zeros(n)
    if isinstance(funding, Mapping):
        rate, every = _schedule(funding)
        return rate * np.diff(timestamp // every, prepend=timestamp[:1] // every).astype(np.float64)
    try:
        rates: FloatArray = np.array(funding, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError("funding must be an array of rates or a mapping of rate and interval") from None
    if rates.shape != (n,):
        raise DataError(f"funding needs one rate per bar, shape ({n},), received the shape {rates.shape}")
    bad = np.flatnonzero(~(np.abs(rates) < 1))
    if len(bad):
        rate = rates[bad[0]]
        fix = (
            "a rate is a fraction of notional between -1 and 1"
            if np.isfinite(rate)
            else "use 0 where none falls due"
        )
        raise DataError(f"the funding rate is {rate} at row {bad[0]}; {fix}")
    return rates
