"""The backtest engine: `backtest` simulates signals or targets on bars, `sweep` many variants of a rule.

Names load on first use: a process that only calls `backtest` is at its first result sooner.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simengine.backtest.costs import FeeSchedule, SlippageModel, Stops
    from simengine.backtest.engine import backtest
    from simengine.backtest.onbar import on_bar
    from simengine.backtest.result import BacktestResult
    from simengine.backtest.stepper import Step, Stepper
    from simengine.backtest.sweep_result import SweepResult
    from simengine.backtest.sweeping import sweep

_HOME = {
    "BacktestResult": "simengine.backtest.result",
    "FeeSchedule": "simengine.backtest.costs",
    "SlippageModel": "simengine.backtest.costs",
    "Step": "simengine.backtest.stepper",
    "Stepper": "simengine.backtest.stepper",
    "Stops": "simengine.backtest.costs",
    "SweepResult": "simengine.backtest.sweep_result",
    "backtest": "simengine.backtest.engine",
    "on_bar": "simengine.backtest.onbar",
    "sweep": "simengine.backtest.sweeping",
}

__all__ = [
    "BacktestResult",
    "FeeSchedule",
    "SlippageModel",
    "Step",
    "Stepper",
    "Stops",
    "SweepResult",
    "backtest",
    "on_bar",
    "sweep",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute can be anything
    if name not in _HOME:
        raise AttributeError(f"module 'simengine.backtest' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
