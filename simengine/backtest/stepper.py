"""`Stepper`: a backtest that is told its targets one bar at a time."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simengine.backtest import inputs
from simengine.backtest.costs import is_number, said
from simengine.backtest.engine import backtest
from simengine.backtest.result import BacktestResult
from simengine.backtest.simulation import Simulation, unfillable
from simengine.errors import ConfigError, DataError, unknown_name
from simengine.types import Bars

if TYPE_CHECKING:
    import pandas as pd

    from simengine.backtest.kernel.layout import Account

_TOLD_LATER = ("signals", "targets", "on_hold")


class Step(NamedTuple):
    """The account at the close of a bar.

    ``bar``: its row. ``equity``: quote currency. ``reward``: one-bar return of equity. ``units``: held,
    negative for a short. ``exposure``: their value as a fraction of equity. ``done``: there is no further
    bar, or nothing left to trade with.
    """

    bar: int
    equity: float
    reward: float
    units: float
    exposure: float
    done: bool


class Stepper:
    """Simulate one symbol step by step: for whoever decides with the account in view.

    The steps are those of `backtest`: the same targets give the same equity and trades to the last bit.

    Parameters
    ----------
    bars : Bars, mapping of one symbol to Bars, or DataFrame
        OHLCV of one symbol.
    **options
        Those of `backtest` but ``signals``, ``targets``, ``on_hold`` and ``on_bar``.

    Raises
    ------
    ConfigError
        An option that is not valid, or more than one symbol.
    DataError
        Bars that cannot be used.

    Examples
    --------
    >>> stepper = Stepper(bars, fee_bps=10)  # doctest: +SKIP
    >>> state = stepper.reset()  # doctest: +SKIP
    >>> while not state.done:  # doctest: +SKIP
    ...     state = stepper.step(1.0 if state.exposure < 0.5 else math.nan)
    >>> stepper.result().stats["sharpe"]  # doctest: +SKIP
    """

    def __init__(self, bars: Bars | dict[str, Bars] | pd.DataFrame, **options: Any) -> None:  # noqa: ANN401
        _check_options(options)
        by_symbol = inputs.as_bars(bars)
        if len(by_symbol) != 1:
            raise ConfigError(f"a Stepper trades one symbol, received {len(by_symbol)}")
        ((symbol, column),) = by_symbol.items()
        # An account that does nothing finds every fault of the bars and options.
        idle = backtest(by_symbol, targets=np.full(len(column), math.nan), **options)
        assert idle.simulation is not None
        self._simulation: Simulation = idle.simulation
        terms = self._simulation.terms
        self._symbol = symbol
        self._cash = float(terms.cash)
        self._start = 0.0 if math.isnan(terms.band) else math.nan
        self._market = self._simulation.market(symbol)
        self._rules = terms.rules(symbol)
        self.reset()

    def reset(self) -> Step:
        """Begin anew, and return the account at the close of bar 0, where nothing is held."""
        from simengine.backtest.kernel import layout, stepwise

        n = len(self._market.close)
        self._ledger = layout.new_ledger()
        self._trades = np.empty(n + layout.CLOSES_PER_BAR, layout.TRADE_DTYPE)
        self._equity, self._value = np.empty(n), np.empty(n)
        self._targets = np.full(n, math.nan)
        self._equity[0], self._value[0] = self._cash, 0.0
        self._account: Account = stepwise.begin(self._cash, self._start)
        self._bar = 0
        return Step(0, self._cash, 0.0, 0.0, 0.0, False)

    def step(self, target: float) -> Step:
        """State the target at the close of the current bar, and go to the close of the next one.

        Parameters
        ----------
        target : float
            As an element of ``targets`` of `backtest`; NaN keeps the last one.

        Raises
        ------
        DataError
            A target that is no number or beyond the leverage, an order too large for the volume of its bar,
            or no bar left.
        """
        from simengine.backtest.kernel import checks, layout, stepwise

        now, bar = self._bar, self._bar + 1
        if self._is_done:
            why = "the account is bankrupt" if bar < len(self._equity) else "there is no further bar"
            raise DataError(f"{self._symbol}: {why} after row {now}; call reset() to begin anew")
        if not is_number(target):
            raise DataError(f"target must be a number or NaN, received {said(target)}")
        self._targets[now] = target
        if abs(self._targets[now]) > self._simulation.terms.most:
            bars, most = self._simulation.bars[self._symbol], self._simulation.terms.most
            raise inputs.fault_error(bars, self._targets, most, now, checks.TARGET_FAULT)
        books = self._trades, self._ledger, self._equity, self._value
        ledger = self._ledger.copy()
        account = stepwise.advance(bar, self._targets[now], self._market, self._rules, self._account, *books)
        if account.status == layout.UNFILLABLE:
            self._ledger = ledger
            raise unfillable(self._symbol, bar, self._market, self._simulation.terms)
        self._account, self._bar = account, bar
        before, equity = float(self._equity[now]), float(self._equity[bar])
        return Step(
            bar=bar,
            equity=equity,
            reward=(equity - before) / before if before > 0 else 0.0,
            units=account.position.units,
            exposure=float(self._value[bar]) / equity if equity > 0 else 0.0,
            done=self._is_done,
        )

    @property
    def _is_done(self) -> bool:
        from simengine.backtest.kernel import layout

        return self._bar + 1 == len(self._equity) or self._account.status != layout.TRADING

    def result(self) -> BacktestResult:
        """Return the backtest of what has happened so far.

        Raises
        ------
        DataError
            Before the first step.
        """
        from simengine.backtest.kernel import layout
        from simengine.backtest.kernel.sums import sums_of

        if self._bar == 0:
            raise DataError(f"{self._symbol}: nothing has happened yet; call step() first")
        n = self._bar + 1
        terms = self._simulation.terms
        targets = self._targets[:n].copy()
        targets[-1] = math.nan
        so_far = replace(
            self._simulation,
            bars={self._symbol: self._simulation.bars[self._symbol].slice(0, n)},
            targets={self._symbol: inputs.frozen(targets, np.float64)},
            terms=terms.free(financing=terms.financing.until(n)),
        )
        trades, orders = self._trades[: n + 1].copy(), np.empty(0, layout.ORDER_DTYPE)
        equity, value = self._equity[:n].copy(), self._value[:n].copy()
        sums = sums_of(inputs.frozen(equity, np.float64), inputs.frozen(np.abs(value), np.float64))
        books = trades, orders, self._ledger.copy(), equity, value
        market = so_far.market(self._symbol)
        return so_far.labelled(so_far.result(self._symbol, market, self._account, sums, books))


def _check_options(options: dict[str, Any]) -> None:
    known = [name for name in inspect.signature(backtest).parameters if name != "bars"]
    for name in options:
        if name in _TOLD_LATER:
            raise ConfigError(f"{name}: a Stepper is told its targets step by step; use backtest for it")
        if name == "on_bar":
            raise ConfigError("on_bar: a Stepper is told its targets by its caller; use backtest for it")
        if name not in known:
            raise ConfigError(unknown_name("option", name, known))
