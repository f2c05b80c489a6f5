"""The backtest engine: `backtest` simulates signals or targets on bars, `sweep` many variants of a rule."""

from simengine.backtest.costs import FeeSchedule, SlippageModel, Stops
from simengine.backtest.engine import backtest
from simengine.backtest.onbar import on_bar
from simengine.backtest.result import BacktestResult
from simengine.backtest.stepper import Step, Stepper
from simengine.backtest.sweep import sweep
from simengine.backtest.sweep_result import SweepResult

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
