"""How the report writes a number; an undefined one is a dash."""

from __future__ import annotations

import math
from collections.abc import Callable

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def _write(value: object, spec: str, suffix: str = "", scale: float = 1.0) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return DASH
    text = format(value * scale, spec)
    if not text.strip("-+0.,"):  # the sign of a rounded zero says nothing
        text = text.lstrip("-+")
    return text.replace("-", MINUS) + suffix


def percent(value: object, digits: int = 1) -> str:
    """Write a fraction in percent: 0.283 is ``28.3 %``."""
    return _write(value, f",.{digits}f", "\N{NO-BREAK SPACE}%", 100.0)


def signed_percent(value: object, digits: int = 2) -> str:
    """Write a fraction in percent with its sign: 0.0123 is ``+1.23 %``."""
    return _write(value, f"+,.{digits}f", "\N{NO-BREAK SPACE}%", 100.0)


def number(value: object, digits: int = 3) -> str:
    """Write a number with fixed decimals."""
    return _write(value, f",.{digits}f")


def signed(value: object, digits: int = 2) -> str:
    """Write a number with its sign and fixed decimals."""
    return _write(value, f"+,.{digits}f")


def significant(value: object, digits: int = 6) -> str:
    """Write a price or a size with significant digits: 0.00012345, 43251.1."""
    return _write(value, f",.{digits}g")


def count(value: object) -> str:
    """Write a whole number with thousands separators."""
    return _write(value, ",.0f")


def money(value: object) -> str:
    """Write an amount of quote currency with two decimals."""
    return _write(value, ",.2f")


def words(name: object) -> str:
    """Write a machine name for people: ``random_shifts`` is ``random shifts``."""
    return str(name).replace("_", " ")


FILTERS: dict[str, Callable[..., str]] = {
    f.__name__: f for f in (percent, signed_percent, number, signed, significant, count, money, words)
}
"""Filters of the templates, by name."""
