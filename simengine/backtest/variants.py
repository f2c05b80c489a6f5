"""`Variants`: the rules that a sweep tries, as a grid or as a list."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simengine.backtest.costs import Stops, is_number, said
from simengine.errors import ConfigError, unknown_name
from simengine.types import FloatArray

VARIANT_DTYPE = np.dtype(
    [(name, np.float64) for name in ("threshold", "stop_loss", "take_profit", "trailing_stop", "max_bars")]
)
"""One row per variant: NaN switches a stop off, 0 the time stop."""

MAX_VARIANTS = 1_000_000

FIELDS: tuple[str, ...] = tuple(VARIANT_DTYPE.names or ())
AXES: dict[str, str] = {
    "threshold": "thresholds",
    "stop_loss": "stop_losses",
    "take_profit": "take_profits",
    "trailing_stop": "trailing_stops",
    "max_bars": "max_bars",
}
"""Name of the list of values by the name of one value, slowest first in a grid."""

Level: TypeAlias = float | None
Row: TypeAlias = tuple[float, Level, Level, Level, int | None]


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """The K variants of a sweep, in the order of its table.

    Parameters
    ----------
    rows : structured array of `VARIANT_DTYPE`, shape (K,)
        ``threshold, stop_loss, take_profit, trailing_stop`` (fractions; NaN: off) and ``max_bars`` (0:
        off).
    """

    rows: NDArray[np.void]

    @classmethod
    def grid(
        cls,
        thresholds: Iterable[float],
        stop_losses: Iterable[Level] = (None,),
        take_profits: Iterable[Level] = (None,),
        trailing_stops: Iterable[Level] = (None,),
        max_bars: Iterable[int | None] = (None,),
    ) -> Variants:
        """Return every combination; the first list changes slowest, the last one fastest.

        Raises
        ------
        ConfigError
            A list that is empty or no list, a value that is not valid or is there twice, or more than
            `MAX_VARIANTS` combinations.

        Examples
        --------
        >>> [row["stop_loss"] for row in Variants.grid([0.4, 0.5], [None, 0.02])]
        [None, 0.02, None, 0.02]
        """
        given = (thresholds, stop_losses, take_profits, trailing_stops, max_bars)
        axes = {field: _values(field, values) for field, values in zip(FIELDS, given, strict=True)}
        n = math.prod(map(len, axes.values()))
        if n > MAX_VARIANTS:
            sizes = " x ".join(str(len(values)) for values in axes.values())
            raise ConfigError(f"a sweep takes at most {MAX_VARIANTS:,} variants, received {sizes} = {n:,}")
        columns = np.meshgrid(*(_column(field, values) for field, values in axes.items()), indexing="ij")
        return cls(_packed([column.ravel() for column in columns]))

    @classmethod
    def listed(cls, variants: Iterable[Mapping[str, Any]]) -> Variants:
        """Return the variants of a list of mappings such as ``{"threshold": 0.4, "stop_loss": 0.02}``.

        Each needs a ``threshold``; what it leaves out is off.

        Raises
        ------
        ConfigError
            No variant, an unknown key, a value that is not valid, or a variant that is there twice.
        """
        if isinstance(variants, Mapping | str) or not isinstance(variants, Iterable):
            raise ConfigError(f"variants must be a list of mappings, received {type(variants).__name__}")
        found = [_row(number, variant) for number, variant in enumerate(islice(variants, MAX_VARIANTS + 1))]
        if not found:
            raise ConfigError("a sweep needs at least one variant, received an empty list")
        if len(found) > MAX_VARIANTS:
            raise ConfigError(f"a sweep takes at most {MAX_VARIANTS:,} variants, received more")
        seen: dict[Row, int] = {}
        for number, row in enumerate(found):
            if (first := seen.setdefault(row, number)) != number:
                raise ConfigError(
                    f"variants {first} and {number} are the same; every variant counts as a trial, so "
                    "give each of them once"
                )
        return cls(
            _packed(
                [
                    _column(field, values)
                    for field, values in zip(FIELDS, zip(*found, strict=True), strict=True)
                ]
            )
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, float | int | None]:
        """Return one variant as plain numbers, None where something is off."""
        threshold, *levels, bars = self.rows[row].item()
        plain = [None if math.isnan(level) else level for level in levels]
        return dict(zip(FIELDS, (threshold, *plain, int(bars) or None), strict=True))

    def __iter__(self) -> Iterator[dict[str, float | int | None]]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        return f"Variants({len(self):,})"


def _values(field: str, values: object) -> list[Any]:
    """Return the checked values of one list of a grid."""
    axis = AXES[field]
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise ConfigError(f"{axis} must be a list of values, received {said(values)}")
    found = [_checked(field, value, axis) for value in values]
    if not found:
        off = "" if field == "threshold" else "; leave it out, or write [None] for off"
        raise ConfigError(f"{axis} must hold at least one value, received an empty list{off}")
    seen: set[Any] = set()
    for value in found:
        if value in seen:
            raise ConfigError(
                f"{axis} holds {said(value)} twice; every variant counts as a trial, so give each value once"
            )
        seen.add(value)
    return found


def _row(number: int, variant: object) -> Row:
    place = f"variant {number}"
    if not isinstance(variant, Mapping):
        raise ConfigError(
            f"{place}: expected a mapping such as {{'threshold': 0.4}}, received {said(variant)}"
        )
    for key in variant:
        if key not in FIELDS:
            raise ConfigError(f"{place}: {unknown_name('key', str(key), FIELDS)}")
    if "threshold" not in variant:
        raise ConfigError(f"{place}: threshold is missing")
    threshold, stop_loss, take_profit, trailing_stop, bars = (
        _checked(field, variant.get(field), place) for field in FIELDS
    )
    return threshold, stop_loss, take_profit, trailing_stop, bars


def _checked(field: str, value: Any, place: str) -> Any:  # noqa: ANN401
    """Return a value as a plain number or None."""
    if field == "threshold":
        if not (is_number(value) and 0 <= value < 1):
            raise ConfigError(f"{place}: a threshold is a probability in [0, 1), received {said(value)}")
        return float(value)
    try:
        Stops(**{field: value})
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    if value is None:
        return None
    return int(value) if field == "max_bars" else float(value)


def _column(field: str, values: Iterable[Any]) -> FloatArray:
    """Return checked values as numbers, those that are off as `VARIANT_DTYPE` has them."""
    off = 0.0 if field == "max_bars" else math.nan
    return np.array([off if value is None else value for value in values], np.float64)


def _packed(columns: Iterable[FloatArray]) -> NDArray[np.void]:
    rows = np.rec.fromarrays(list(columns), dtype=VARIANT_DTYPE).view(np.ndarray)
    rows.flags.writeable = False
    return rows
