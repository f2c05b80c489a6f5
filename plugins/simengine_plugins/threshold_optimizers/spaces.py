"""What is searched: the options of the labeler and their values, by default or as the config says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simengine.data.label_search import LabelSearch
from simengine.errors import ConfigError, unknown_name
from simengine.types import IntArray
from simengine_plugins.threshold_optimizers.counting import Axes, combinations

PLACE = "labels.optimizer"
HORIZON = "horizon_bars"
MAX_COMBINATIONS = 1_000_000

Value = bool | int | float | str
Values = Annotated[tuple[Value, ...], Field(min_length=1)]


class Range(BaseModel):
    """A range of numbers, both ends included; whole ones where the option is a whole number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    low: int | float = Field(description="smallest value")
    high: int | float = Field(description="largest value")
    log: bool = Field(default=False, description="draw evenly in the logarithm")

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low must not exceed high; received {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range must begin above 0; received {self.low}")
        return self


_HORIZONS = (4, 8, 12, 24, 48)
_GRIDS: dict[str, Axes] = {
    "adaptive_threshold": {
        "multiplier": tuple(round(0.2 + 0.1 * step, 1) for step in range(19)),
        "adaptive_min": (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015),
        "adaptive_max": (0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.06, 0.08, 0.1),
        "horizon_bars": _HORIZONS,
    },
    "price_change": {
        "price_change": (0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.0125, 0.015, 0.02, 0.03),
        "horizon_bars": _HORIZONS,
    },
    "volatility_quantile": {
        "sell": (0.2, 0.25, 0.28, 0.3, 0.333, 0.35, 0.38, 0.4),
        "buy": (0.2, 0.25, 0.28, 0.3, 0.333, 0.35, 0.38, 0.4),
        "horizon_bars": _HORIZONS,
    },
}
_HORIZON_RANGE = Range(low=4, high=48, log=True)
_RANGES: dict[str, dict[str, Range]] = {
    "adaptive_threshold": {
        "multiplier": Range(low=0.2, high=4.0, log=True),
        "adaptive_min": Range(low=0.0002, high=0.01, log=True),
        "adaptive_max": Range(low=0.01, high=0.2, log=True),
        "horizon_bars": _HORIZON_RANGE,
    },
    "price_change": {
        "price_change": Range(low=0.0002, high=0.1, log=True),
        "horizon_bars": _HORIZON_RANGE,
    },
    "volatility_quantile": {
        "sell": Range(low=0.15, high=0.45),
        "buy": Range(low=0.15, high=0.45),
        "horizon_bars": _HORIZON_RANGE,
    },
}


def grid_axes(task: LabelSearch, given: Mapping[str, Sequence[Value]] | None) -> dict[str, tuple[Value, ...]]:
    """Return the values to try by option: what is given, the default grid for the rest.

    The configured value is among those of a default grid.

    Raises
    ------
    ConfigError
        For an option that the labeler has not, and a labeler without a default grid when none is given.
    """
    _check_names(task, given)
    axes = {name: tuple(dict.fromkeys(values)) for name, values in (given or {}).items()}
    for name, values in _GRIDS.get(_default_of(task), {}).items():
        if name not in axes:
            axes[name] = tuple(sorted({*values, task.options[name]}))
    _check_some(task, axes, "space: {upper: [0.8, 1.0, 1.2]}")
    if (size := math.prod(map(len, axes.values()))) > MAX_COMBINATIONS:
        raise ConfigError(
            f"{PLACE}.space: {size:,} combinations are more than {MAX_COMBINATIONS:,}; give fewer values, "
            "or use the optimizer bayesian"
        )
    return axes


def ranges(
    task: LabelSearch, given: Mapping[str, Range | Sequence[Value]] | None, *, horizon: bool = True
) -> dict[str, Range | Sequence[Value]]:
    """Return the range, or the list of choices, of every option that is searched.

    ``horizon`` says whether the default ranges hold that of ``horizon_bars``: where only balance counts any
    horizon does, and drawing it would change the labels by chance.

    Raises
    ------
    ConfigError
        As `grid_axes`, and for a range of an option that is no number.
    """
    _check_names(task, given)
    found: dict[str, Range | Sequence[Value]] = dict(given or {})
    usual = _RANGES.get(_default_of(task), {})
    found = {**{name: span for name, span in usual.items() if horizon or name != HORIZON}, **found}
    _check_some(task, found, "space: {upper: {low: 0.5, high: 2.0}}")
    for name, span in found.items():
        now = task.options[name]
        if isinstance(span, Range) and (isinstance(now, bool) or not isinstance(now, int | float | None)):
            raise ConfigError(
                f"{PLACE}.space.{name}: a range needs an option that is a number, {name} is {now!r}; "
                "give a list of values"
            )
        whole = isinstance(span, Range) and isinstance(span.low, int) and isinstance(span.high, int)
        if isinstance(span, Range) and isinstance(now, int) and not whole:
            raise ConfigError(
                f"{PLACE}.space.{name}: {name} is a whole number; received {span.low} to {span.high}"
            )
    return found


def is_whole(task: LabelSearch, name: str, span: Range) -> bool:
    """Return whether an option takes whole numbers: its configured value is one, or null and both ends."""
    now = task.options[name]
    return isinstance(now, int) or (now is None and isinstance(span.low, int) and isinstance(span.high, int))


def accepted(task: LabelSearch, axes: Axes) -> tuple[IntArray, str | None]:
    """Return which combinations the labeler accepts, and what it says of the first that it refuses.

    Raises
    ------
    ConfigError
        When a value is refused in every combination.
    """
    size = math.prod(map(len, axes.values()))
    good = np.ones(size, dtype=np.bool_)
    reason = None
    seen: dict[str, set[Value]] = {name: set() for name in axes}
    for row, changed in enumerate(combinations(axes)):
        known = _known_rule(task, changed)
        fresh = any(changed[name] not in seen[name] for name in axes)
        if known is False and reason is not None:
            good[row] = False
            continue
        if known is None or known is False or fresh:
            try:
                task.create(changed)
            except ConfigError as error:
                good[row] = False
                reason = reason or str(error)
                continue
        for name, value in changed.items():
            seen[name].add(value)
    for name, tried in axes.items():
        for value in tried:
            if value not in seen[name]:
                raise ConfigError(
                    f"{PLACE}.space.{name}: {value!r} is refused in every combination: {reason}"
                )
    return np.flatnonzero(good).astype(np.int64), reason


def at_the_edge(axes: Axes, best: Mapping[str, Any]) -> list[str]:
    """Return a remark for every number that is the smallest or largest of three or more that were tried."""
    notes = []
    for name, values in axes.items():
        if len(values) > 2 and not any(isinstance(value, bool | str) for value in values):
            for word, edge in (("smallest", min(values)), ("largest", max(values))):
                if best[name] == edge:
                    notes.append(f"{name} {edge:g} is the {word} value tried: the best may lie beyond it")
    return notes


def _known_rule(task: LabelSearch, changed: Mapping[str, Any]) -> bool | None:
    """Return whether limits of a built-in labeler are in order, which spares making thousands of them."""
    options = {**task.options, **changed}
    if any(isinstance(value, str) for name, value in changed.items() if name != "entry"):
        return None
    if task.labeler == "adaptive_threshold":
        return bool(options["adaptive_min"] <= options["adaptive_max"])
    if task.labeler == "volatility_quantile":
        return bool(options["sell"] + options["buy"] < 1)
    return None


def _default_of(task: LabelSearch) -> str:
    constant = task.labeler == "adaptive_threshold" and not task.options["adaptive"]
    return "price_change" if constant else task.labeler


def _check_names(task: LabelSearch, given: Iterable[str] | None) -> None:
    for name in given or ():
        if name not in task.options:
            what = f"option of labeler {task.labeler!r}:"
            raise ConfigError(f"{PLACE}.space: {unknown_name(what, name, task.options)}")


def _check_some(task: LabelSearch, found: Mapping[str, Any], example: str) -> None:
    if not found:
        raise ConfigError(
            f"{PLACE}: there is no default grid for labeler {task.labeler!r}; say which of its options "
            f"({', '.join(task.options)}) to search, for example {example}"
        )
