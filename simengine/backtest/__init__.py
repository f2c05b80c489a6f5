"""The backtest engine: `backtest` simulates signals or target exposures on bars."""

from simengine.backtest.costs import FeeSchedule, SlippageModel, Stops
from simengine.backtest.engine import backtest
from simengine.backtest.result import BacktestResult

__all__ = ["BacktestResult", "FeeSchedule", "SlippageModel", "Stops", "backtest"]
