"""The terms of a backtest: every option but the bars and what is decided on them, checked together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.backtest import inputs, onbar
from simengine.backtest.costs import (
    MOST_BARS,
    FeeSchedule,
    Margin,
    Rounding,
    SlippageModel,
    Stops,
    is_number,
    said,
)
from simengine.backtest.financing import Financing
from simengine.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from simengine.backtest.kernel.layout import Rules
    from simengine.backtest.onbar import OnBar

CAPITALS: tuple[str, ...] = ("sleeves", "shared")


@dataclass(frozen=True, eq=False)
class Terms:
    """What a simulation is done under.

    Parameters
    ----------
    size, size_unit
        Of a target of 1: units, cash, or a fraction of equity.
    cash : float
        Starting cash of the whole account.
    fees, slippage, stops, margin, financing
        As in `simengine.backtest.costs` and `simengine.backtest.financing`.
    rounding : mapping of str to Rounding
        By symbol.
    limit_offset, limit_bars
        Of limit entries; None enters at the market.
    rebalance, capital, fill_convention
        As in `backtest`.
    on_bar : OnBar or None
        As in `simengine.backtest.onbar`.
    """

    size: float
    size_unit: str
    cash: float
    fees: FeeSchedule
    slippage: SlippageModel
    stops: Stops
    margin: Margin
    financing: Financing
    rounding: dict[str, Rounding]
    limit_offset: float | None
    limit_bars: int
    rebalance: inputs.Rebalance
    capital: str
    fill_convention: str
    on_bar: OnBar | None = None

    def __post_init__(self) -> None:
        for name, amount in (("cash", self.cash), ("size", self.size)):
            if not is_number(amount) or not 0 < amount < math.inf:
                raise ConfigError(f"{name} must be finite and above 0, received {said(amount)}")
        for what, word, known in (
            ("fill convention", self.fill_convention, inputs.FILL_CONVENTIONS),
            ("size_unit", self.size_unit, inputs.SIZE_UNITS),
            ("capital", self.capital, CAPITALS),
        ):
            if word not in known:
                raise ConfigError(unknown_name(what, str(word), known))
        onbar.check(self.on_bar, self.capital)
        leverage = self.margin.leverage
        if self.size_unit == "fraction" and self.size > leverage:
            raise ConfigError(
                f"size {self.size:g} is above the leverage {leverage:g}, which a target of 1 would exceed; "
                "raise leverage or lower size"
            )
        self._check_limits()
        banded = not math.isnan(self.band) and self.band > 0
        if banded and self.size_unit != "fraction":
            raise ConfigError(
                "a rebalance band is a fraction of equity and needs the size_unit fraction, "
                f"received {self.size_unit}"
            )

    def _check_limits(self) -> None:
        offset = self.limit_offset
        if offset is not None and not (is_number(offset) and 0 <= offset < 1):
            raise ConfigError(
                "limit_offset is a fraction of the close in [0, 1) (0.001 = 0.1 %) or None, "
                f"received {said(offset)}"
            )
        bars = self.limit_bars
        if not isinstance(bars, Integral) or isinstance(bars, bool) or bars < 1:
            raise ConfigError(f"limit_bars is a whole number of bars, 1 or more, received {said(bars)}")
        if bars > MOST_BARS:
            raise ConfigError(f"limit_bars is at most {MOST_BARS} bars, received {said(bars)}")

    @cached_property
    def band(self) -> float:
        """The rebalancing rule as the kernel takes it."""
        return inputs.as_band(self.rebalance)

    @property
    def most(self) -> float:
        """The largest target that is allowed."""
        leverage = self.margin.leverage
        return leverage / self.size if self.size_unit == "fraction" else max(1.0, leverage)

    @property
    def is_plain(self) -> bool:
        """Whether the fast path of the kernel knows all of these rules."""
        return (
            len(self.fees.tiers) == 1
            and self.fees.fixed == 0
            and self.fees.minimum == 0
            and self.slippage.impact == 0
            and not self.slippage.is_capped
            and not self.is_financed
            and self.limit_offset is None
            and self.on_bar is None
            and all(r == Rounding() for r in self.rounding.values())
        )

    @property
    def is_financed(self) -> bool:
        """Whether holding a position costs something."""
        return self.financing.funding is not None or self.financing.borrow_rate > 0

    def free(self, **off: Any) -> Terms:  # noqa: ANN401 - fields of any type
        """Return the same terms with some of them replaced."""
        return replace(self, **off)

    def rules(self, symbol: str) -> Rules:
        """Return the rules of one symbol for the kernel."""
        from simengine.backtest.kernel.layout import Rules

        def off(value: float | None, otherwise: float) -> float:
            return otherwise if value is None else float(value)

        rounding = self.rounding[symbol]
        shared = self.capital == "shared"
        # A fraction of equity that no leverage stretches is affordable, unless it is traded in parts.
        fraction = self.size_unit == "fraction" and self.margin.leverage <= 1
        affordable = fraction and not shared and not self.slippage.is_capped
        return Rules(
            size=float(self.size),
            unit=inputs.SIZE_UNITS.index(self.size_unit),
            fees=np.array(self.fees.tiers, dtype=np.float64).reshape(-1, 2),
            fee=float(self.fees.tiers[0][1]),
            tiered=len(self.fees.tiers) > 1,
            fixed_fee=float(self.fees.fixed),
            minimum_fee=float(self.fees.minimum),
            slippage=float(self.slippage.rate),
            stop_share=1.0 if self.slippage.on_stops else 0.0,
            impact=float(self.slippage.impact),
            cap=float(self.slippage.max_participation),
            carry=self.slippage.remainder == "carry",
            stop_loss=off(self.stops.stop_loss, math.inf),
            take_profit=off(self.stops.take_profit, math.inf),
            trailing=off(self.stops.trailing_stop, math.inf),
            max_bars=int(self.stops.max_bars or 0),
            margin=0.0 if affordable else float(self.margin.initial),
            maintenance=float(self.margin.maintenance_margin),
            liquidation_fee=float(self.margin.liquidation_fee),
            financed=self.is_financed,
            borrow=float(self.financing.borrow_rate),
            tick=float(rounding.tick_size),
            lot=float(rounding.lot_size),
            minimum=float(rounding.min_notional),
            rounds=any(r != Rounding() for r in self.rounding.values()),
            offset=off(self.limit_offset, math.nan),
            limit_bars=int(self.limit_bars),
            band=self.band,
            convention=inputs.FILL_CONVENTIONS.index(self.fill_convention),
            resizes=True,
            straight=False,
            watches=False,
        )
