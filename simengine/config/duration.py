"""Durations as people write them: ``3h``, ``90m``, ``2d``, ``30s``."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_LIMIT = 2**63 // 10**9


def parse_duration(text: str) -> int:
    """Return a duration in nanoseconds.

    Parameters
    ----------
    text : str
        A whole number and a unit: s, m or min (minutes), h or d, for example ``"90m"``.

    Raises
    ------
    ValueError
        When ``text`` is no such duration, is zero, or exceeds 292 years.
    """
    match = re.fullmatch(r"([0-9]+)\s*(s|min|m|h|d)", text.strip())
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds < _LIMIT:
        raise ValueError(f"expected a duration like '3h', '90m', '2d' or '30s', received {text!r}")
    return seconds * 10**9
