"""What holding a position costs: funding per interval, and interest on what is borrowed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from simengine.backtest.costs import is_number, said
from simengine.config.duration import parse_duration
from simengine.errors import ConfigError, DataError
from simengine.types import FloatArray, IntArray

YEAR_NS = 31_557_600 * 10**9
"""A year of 365.25 days in nanoseconds, the unit of ``borrow_rate``."""

Funding: TypeAlias = Mapping[str, float | str] | ArrayLike
"""``{"rate": 0.0001, "every": "8h"}``, or a rate per bar (0: none falls due)."""


@dataclass(frozen=True, slots=True, eq=False)
class Financing:
    """Payments on a position that is held.

    Parameters
    ----------
    funding : mapping, array of shape (n,), or None
        ``{"rate": r, "every": "8h"}``: the rate r (fraction of notional) falls due at every multiple of
        the interval since 1970-01-01 UTC. An array holds the rate due at each bar. Of a positive rate
        a long pays and a short receives.
    borrow_rate : float
        Interest on borrowed money or units, a fraction a year.

    Raises
    ------
    ConfigError
        A mapping with other keys, a rate that is not finite, something else than a duration, or a
        negative borrow rate.
    """

    funding: Funding | None = None
    borrow_rate: float = 0.0

    def __post_init__(self) -> None:
        if not (is_number(self.borrow_rate) and 0 <= self.borrow_rate < math.inf):
            raise ConfigError(
                f"borrow_rate is a fraction a year, 0 or more (0.05 = 5 %), received {said(self.borrow_rate)}"
            )
        if isinstance(self.funding, Mapping):
            _schedule(self.funding)


def _schedule(funding: Mapping[str, float | str]) -> tuple[float, int]:
    """Return the rate and the interval in nanoseconds."""
    if set(funding) != {"rate", "every"}:
        raise ConfigError(
            'funding takes a rate and an interval, {"rate": 0.0001, "every": "8h"}, '
            f"received {dict(funding)!r}"
        )
    rate, every = funding["rate"], funding["every"]
    if isinstance(rate, str) or not (is_number(rate) and math.isfinite(rate)):
        raise ConfigError(f"the funding rate is a finite fraction of notional, received {said(rate)}")
    if not isinstance(every, str):
        raise ConfigError(f"the funding interval is a duration like '8h', received {said(every)}")
    try:
        return float(rate), parse_duration(every)
    except ValueError as error:
        raise ConfigError(f"the funding interval: {error}") from None


def funding_rates(financing: Financing, timestamp: IntArray) -> FloatArray:
    """Return the funding rate due at each bar.

    Parameters
    ----------
    financing : Financing
    timestamp : int64 array, shape (n,)
        Open times, ns UTC, increasing.

    Returns
    -------
    float64 array, shape (n,)
        Of a schedule: the rate x the number of due times in (timestamp[i-1], timestamp[i]], 0 in the
        first bar. Of an array: its values.

    Raises
    ------
    DataError
        An array of another length, or with a value that is not a finite number.
    """
    funding, n = financing.funding, len(timestamp)
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
    bad = np.flatnonzero(~np.isfinite(rates))
    if len(bad):
        raise DataError(f"the funding rate is {rates[bad[0]]} at row {bad[0]}; use 0 where none falls due")
    return rates
