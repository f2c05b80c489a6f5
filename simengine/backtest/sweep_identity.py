"""What is swept, as plain data: the same for the same sweep, so that a resumed one can be told apart."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.backtest.costs import is_number
from simengine.backtest.engine import backtest
from simengine.backtest.variants import Variants

if TYPE_CHECKING:
    from simengine.backtest.chunk import Task

FORMAT = 1
"""Version of the files in a sweep directory."""

_SHORT = 32
_ELSEWHERE = ("fee_bps", "slippage_bps", "on_hold")  # in fees and slippage, and beside the options


def identity(task: Task, variants: Variants, chunk: int) -> dict[str, Any]:
    """Return everything that the figures of a sweep depend on, arrays as their sha256.

    Parameters
    ----------
    task : Task
        Bars, probabilities and options.
    variants : Variants
    chunk : int
        Variants per chunk file.
    """
    from simengine import __version__

    bars, proba = hashlib.sha256(), hashlib.sha256()
    for symbol, b in task.bars.items():
        for name, column in (("timestamp", b.timestamp), *b.columns()):
            bars.update(f"{symbol}.{name}.{len(column)}".encode())
            bars.update(np.ascontiguousarray(column).tobytes())
        proba.update(symbol.encode())
        proba.update(task.proba[symbol].tobytes())
    return {
        "format": FORMAT,
        "simengine": __version__,
        "symbols": {symbol: len(b) for symbol, b in task.bars.items()},
        "bars": {"sha256": bars.hexdigest()},
        "probabilities": {"sha256": proba.hexdigest()},
        "variants": {"n": len(variants), "sha256": hashlib.sha256(variants.rows.tobytes()).hexdigest()},
        "chunk": chunk,
        "on_hold": task.on_hold,
        "options": {name: _plain(value) for name, value in sorted(_resolved(task.options).items())},
    }


def _resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with the defaults of those that were not given."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(backtest).parameters.items()
        if parameter.default not in (parameter.empty, None) and name not in _ELSEWHERE
    }
    return {**defaults, **options}


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return an option as JSON can hold it."""
    if value is None or isinstance(value, str | bool):
        return value
    if is_number(value):
        return value.item() if hasattr(value, "item") else value
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(item) for name, item in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple) and len(value) <= _SHORT:
        return [_plain(item) for item in value]
    array = np.ascontiguousarray(value, dtype=np.float64)
    return {"shape": list(array.shape), "sha256": hashlib.sha256(array.tobytes()).hexdigest()}
