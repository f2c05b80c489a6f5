"""From signals to simulated money: strategy targets, the backtest, and what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.backtest.costs import FeeSchedule, SlippageModel
from simengine.errors import DataError, PluginError
from simengine.log import event, get_logger
from simengine.types import UNDEFINED, Bars, FloatArray, LabelArray, StrategyContext

if TYPE_CHECKING:
    from simengine.backtest.result import BacktestResult
    from simengine.config.schema import Backtest
    from simengine.plugin.kinds import Fees, Slippage, Strategy
    from simengine.plugin.registry import Registry
    from simengine.steps.infer import Scored
    from simengine.steps.parts import Parts
    from simengine.steps.prepare import Prepared

logger = get_logger(__name__)

NO_FEES = FeeSchedule(((0.0, 0.0),))
NO_SLIPPAGE = SlippageModel(0.0)
BASELINES = ("buy_and_hold", "reversal")
"""Strategies that every backtest is printed beside: the same costs, but plain orders (`Account.plain`)."""


@dataclass(frozen=True, slots=True)
class Signals:
    """The model's output on one symbol, for every bar up to the end of the traded span.

    Parameters
    ----------
    bars : Bars
        From the first bar of the data to the last traded one.
    start : int
        Row at which trading starts.
    proba : float64 array, shape (n, 3)
        NaN where the model gives none.
    signals : int8 array, shape (n,)
        -1 where there is none.
    """

    bars: Bars
    start: int
    proba: FloatArray
    signals: LabelArray

    @classmethod
    def from_rows(
        cls,
        bars: Bars,
        start: int,
        stop: int,
        rows: np.ndarray[Any, Any],
        proba: FloatArray,
        signals: LabelArray,
    ) -> Signals:
        """Spread scores at bar ``rows`` over the bars before ``stop``."""
        full_proba = np.full((stop, 3), np.nan)
        full_signals = np.full(stop, UNDEFINED, np.int8)
        full_proba[rows] = proba
        full_signals[rows] = signals
        return cls(bars.slice(0, stop), start, full_proba, full_signals)

    @property
    def traded(self) -> Bars:
        """The bars of the traded span alone."""
        return self.bars.slice(self.start, len(self.bars))


@dataclass(frozen=True, slots=True)
class Account:
    """The money side of a config: cash, costs, stops and conventions of the simulation."""

    config: Backtest
    fees: FeeSchedule
    slippage: SlippageModel

    @classmethod
    def build(cls, config: Backtest, fees: Fees | None, slippage: Slippage | None) -> Account:
        """Read the parameters of the cost components; None is free."""
        return cls(
            config,
            fees.schedule() if fees is not None else NO_FEES,
            slippage.model() if slippage is not None else NO_SLIPPAGE,
        )

    def plain(self) -> Account:
        """Return the same account without exits of its own, limits and rebalancing, for baselines."""
        off = ("stop_loss", "take_profit", "trailing_stop", "max_bars", "limit_offset")
        config = self.config.model_copy(update={**dict.fromkeys(off), "rebalance": "on_change"})
        return replace(self, config=config)

    def without_costs(self) -> Account:
        """Return the same account where trading and holding are free; a cap on participation stays."""
        config = self.config.model_copy(
            update={"funding": None, "borrow_rate": 0.0, "liquidation_fee_bps": 0.0}
        )
        slippage = replace(self.slippage, rate=0.0, impact=0.0)
        return replace(self, config=config, fees=NO_FEES, slippage=slippage)

    def simulate(
        self, bars: Mapping[str, Bars], targets: Mapping[str, FloatArray], strategy: Strategy | None = None
    ) -> BacktestResult:
        """Simulate target exposures by symbol.

        A strategy's own ``stops()`` replace the configured ones, all four; its ``on_bar`` goes along.
        """
        from simengine.backtest.engine import backtest

        own = getattr(strategy, "stops", None)
        stops = own() if own is not None else self.config
        return backtest(
            bars,
            targets=targets,
            stop_loss=stops.stop_loss,
            take_profit=stops.take_profit,
            trailing_stop=stops.trailing_stop,
            max_bars=stops.max_bars,
            on_bar=getattr(strategy, "on_bar", None),
            **self.options(bars),
        )

    def options(self, bars: Mapping[str, Bars]) -> dict[str, Any]:
        """Return the options of `backtest` on these bars, all but targets, stops and ``on_bar``."""
        config = self.config
        whole = 1.0 / len(bars) if config.capital == "shared" else 1.0
        rebalance, funding = config.rebalance, config.funding
        return {
            "size": whole if config.size is None else config.size,
            "size_unit": config.size_unit,
            "cash": config.cash,
            "fees": self.fees,
            "slippage": self.slippage,
            "leverage": config.leverage,
            "initial_margin": config.initial_margin,
            "maintenance_margin": config.maintenance_margin,
            "liquidation_fee_bps": config.liquidation_fee_bps,
            "funding": None if funding is None else funding.model_dump(),
            "borrow_rate": config.borrow_rate,
            "limit_offset": config.limit_offset,
            "limit_bars": config.limit_bars,
            "tick_size": _of_symbols(config.tick_size, bars),
            "lot_size": _of_symbols(config.lot_size, bars),
            "min_notional": _of_symbols(config.min_notional, bars),
            "rebalance": rebalance if isinstance(rebalance, str) else rebalance.model_dump(),
            "capital": config.capital,
            "fill_convention": config.fill_convention,
            "bars_per_year": config.bars_per_year,
        }


def _of_symbols(value: float | dict[str, float], bars: Mapping[str, Bars]) -> float | dict[str, float]:
    """Return a setting without the symbols that are not traded in this span."""
    return {name: value[name] for name in bars if name in value} if isinstance(value, dict) else value


@dataclass(frozen=True, slots=True)
class Trading:
    """A strategy's simulated results beside what they are judged against.

    Parameters
    ----------
    account : Account
        That was traded on.
    bars : dict of str to Bars
        The traded bars.
    strategy : Strategy
        That gave the targets.
    net : BacktestResult
        With all costs.
    gross : BacktestResult
        The same targets without any cost.
    baselines : dict of str to BacktestResult
        With the same costs, but without the config's stops and rebalancing.
    targets : dict of str to array
        Target exposures of the traded span by symbol.
    """

    account: Account
    bars: dict[str, Bars]
    strategy: Strategy
    net: BacktestResult
    gross: BacktestResult
    baselines: dict[str, BacktestResult]
    targets: dict[str, FloatArray]


def strategy_targets(strategy: Strategy, signals: Mapping[str, Signals]) -> dict[str, FloatArray]:
    """Return the strategy's targets over the traded span, by symbol.

    Raises
    ------
    PluginError
        When the strategy returns another shape than one number a bar.
    """
    targets = {}
    for symbol, given in signals.items():
        context = StrategyContext(given.bars, given.proba, given.signals, symbol)
        values = np.asarray(strategy.targets(context), np.float64)
        if values.shape != (len(given.bars),):
            raise PluginError(
                f"strategy {type(strategy).__name__}: targets of {symbol} must have shape "
                f"({len(given.bars)},), received {values.shape}"
            )
        targets[symbol] = values[given.start :]
    return targets


def trade(
    account: Account, strategy: Strategy, signals: Mapping[str, Signals], registry: Registry
) -> Trading:
    """Simulate a strategy with and without costs, and the baselines with costs."""
    bars = {symbol: given.traded for symbol, given in signals.items()}
    targets = strategy_targets(strategy, signals)
    baselines = {}
    for name in BASELINES:
        baseline = registry.create("strategy", name)
        baselines[name] = account.plain().simulate(bars, strategy_targets(baseline, signals), baseline)
    return Trading(
        account=account,
        bars=bars,
        strategy=strategy,
        net=account.simulate(bars, targets, strategy),
        gross=account.without_costs().simulate(bars, targets, strategy),
        baselines=baselines,
        targets=targets,
    )


def rehearse(config: Backtest, parts: Parts, prepared: Prepared) -> None:
    """Simulate an idle account on the test segment: what the engine would refuse, it refuses now.

    Otherwise costs that do not fit the bars would be found out only after training.
    """
    account = Account.build(config, parts.fees, parts.slippage)
    traded = {
        symbol: bars.slice(*ranges.test)
        for (symbol, bars), ranges in zip(prepared.bars.items(), prepared.dataset.segments, strict=True)
        if ranges.test[1] - ranges.test[0] >= 2
    }
    if traded:
        idle = {symbol: np.zeros(len(bars)) for symbol, bars in traded.items()}
        account.simulate(traded, idle, parts.strategy)


def trade_test(
    config: Backtest, parts: Parts, prepared: Prepared, test: Scored, registry: Registry
) -> Trading:
    """Trade the test segment of every symbol that has one."""
    account = Account.build(config, parts.fees, parts.slippage)
    ranges = {symbol: prepared.dataset.segments[i].test for i, symbol in enumerate(prepared.bars)}
    return trade(account, parts.strategy, spread(prepared.bars, ranges, test), registry)


def spread(
    bars: Mapping[str, Bars], ranges: Mapping[str, tuple[int, int]], scored: Scored
) -> dict[str, Signals]:
    """Return scored rows as signals over all bars of each symbol.

    ``ranges`` holds the traded rows (start, stop) by symbol, in the order of the scored groups; a symbol
    with fewer than two bars to trade is left out, and the log says so.

    Raises
    ------
    DataError
        When no symbol is left.
    """
    signals = {}
    for index, (symbol, (start, stop)) in enumerate(ranges.items()):
        if stop - start < 2:
            event(
                logger, "not_traded", f"{symbol}: not traded, it has {stop - start} bars in the traded span"
            )
        else:
            mine = scored.take(
                (scored.groups == index) & (scored.bar_rows >= start) & (scored.bar_rows < stop)
            )
            signals[symbol] = Signals.from_rows(
                bars[symbol], start, stop, mine.bar_rows, mine.proba, mine.signals
            )
    if not signals:
        raise DataError("backtest: no symbol has two bars or more in the traded span")
    return signals
