"""The configuration as frozen models; every default is the plain base with all improvements off."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_serializer,
    model_validator,
)

from simengine.config.duration import parse_duration
from simengine.config.messages import shown


class Section(BaseModel):
    """Base of every section: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ComponentRef(Section):
    """A component chosen by name, with the options that were given.

    Parameters
    ----------
    type : str
        Name of the component.
    options : dict
        Its options as plain data (mappings, lists, text, numbers, booleans, None).
    """

    type: str = Field(min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def parse(cls, value: object) -> ComponentRef:
        """Return the reference written as a name or as a mapping with ``type``.

        Raises
        ------
        ValueError
            When ``value`` is neither, or an option holds something YAML cannot.
        """
        if isinstance(value, ComponentRef):
            return value
        if isinstance(value, str) and value:
            return cls(type=value)
        if isinstance(value, Mapping) and isinstance(value.get("type"), str) and value["type"]:
            options = {key: plain_data(item) for key, item in value.items() if key != "type"}
            return cls(type=value["type"], options=options)
        raise ValueError(f"expected a component's name or a mapping with 'type', received {shown(value)}")

    @model_serializer
    def flat(self) -> str | dict[str, Any]:
        """Return what YAML shows: the bare name, or one mapping of ``type`` and options."""
        return {"type": self.type, **self.options} if self.options else self.type


def plain_data(value: object) -> Any:  # noqa: ANN401
    """Return ``value`` as plain YAML data; per-class tuples become mappings, tuples lists, paths text.

    Raises
    ------
    ValueError
        When ``value`` holds anything else.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain_data(value._asdict())
    if isinstance(value, list | tuple):
        return [plain_data(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain_data(item) for key, item in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise ValueError(f"expected text, numbers, lists or mappings, received {shown(value)}")


Ref = Annotated[ComponentRef, BeforeValidator(ComponentRef.parse)]
Refs = Annotated[tuple[Ref, ...], Field(strict=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


def _ref(name: str, **options: object) -> ComponentRef:
    return ComponentRef(type=name, options=options)


def _check_duration(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[str, AfterValidator(_check_duration)]


class Data(Section):
    """Where bars come from."""

    source: Ref = Field(
        default=_ref("oracle_market", market="realistic", symbols=2, bars=30000), description="source of bars"
    )
    max_gap: Duration | None = Field(
        default=None, description="longest hole that windows and labels may span, such as 3h; null: any"
    )

    @property
    def max_gap_ns(self) -> int | None:
        """``max_gap`` in nanoseconds."""
        return None if self.max_gap is None else parse_duration(self.max_gap)


class Labels(Section):
    """What the model learns to predict."""

    labeler: Ref = Field(
        default=_ref("volatility_quantile", horizon_bars=12, sell=0.283, buy=0.378), description="labeler"
    )
    optimizer: Ref | None = Field(default=None, description="search of the labeler's options on train")


class Split(Section):
    """Shares of the time span, in order of time."""

    train: Fraction = Field(default=0.6, description="share of the span")
    val: Fraction = Field(default=0.2, description="share of the span")
    test: Fraction = Field(default=0.2, description="share of the span")
    embargo_bars: int = Field(default=0, ge=0, description="bars left out after each border")
    until: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of the span that is used, from its start: walk-forward folds",
    )

    @model_validator(mode="after")
    def _sum(self) -> Split:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, val and test must sum to 1, received a sum of {total:.10g}")
        return self


class Window(Section):
    """The bars that one prediction sees."""

    length: int = Field(default=60, ge=2, description="bars per window")
    train_stride: int = Field(default=2, ge=1, description="every how many bars a train window ends")


class Training(Section):
    """How the model is fitted."""

    epochs: int = Field(default=2, ge=1)
    batch_size: int = Field(default=128, ge=1, description="windows per step")
    learning_rate: float = Field(default=0.001, gt=0, description="peak rate")
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of all steps of linear warm-up")
    clip_norm: float | None = Field(default=1.0, gt=0, description="largest global gradient norm; null: none")
    patience: int | None = Field(
        default=None, ge=1, description="epochs without a lower val NLL before stopping; null: all epochs"
    )
    balancer: Ref = Field(default=_ref("natural"), description="which rows form each batch")
    reweighter: Ref | None = Field(default=None, description="per-class weights of the loss")
    loss: Ref = Field(default=_ref("cross_entropy"), description="loss per row")
    smoother: Ref | None = Field(default=None, description="label smoothing")
    miner: Ref | None = Field(default=None, description="hard-example mining")
    penalties: Refs = Field(default=(), description="terms added to the loss")
    augment: Refs = Field(default=(), description="train-time augmentation")
    smote: Ref | None = Field(default=None, description="synthetic minority rows")


class Inference(Section):
    """From logits to signals."""

    tta: Refs = Field(default=(_ref("identity"),), min_length=1, description="views averaged at test time")
    calibrator: Ref | None = Field(default=_ref("vector"), description="calibration fitted on val")
    decision: Ref = Field(default=_ref("prior_matched"), description="rule from probabilities to signals")


class Band(Section):
    """Rebalance when the exposure has drifted by more than a band."""

    band: float = Field(gt=0, description="fraction of equity")


class FundingRate(Section):
    """Funding that falls due at every multiple of an interval."""

    rate: float = Field(description="fraction of notional; of a positive one a long pays, a short receives")
    every: Duration = Field(description="interval since 1970-01-01 UTC, such as 8h")


NotNegative = Annotated[float, Field(ge=0)]
BySymbol = NotNegative | dict[str, NotNegative]


class Backtest(Section):
    """How signals are traded."""

    cash: float = Field(default=100_000.0, gt=0, description="start capital in quote currency")
    size: float | None = Field(
        default=None,
        gt=0,
        description="position at a target of 1, in size_unit; null: 1, or 1 / symbols on shared capital",
    )
    size_unit: Literal["fraction", "cash", "units"] = Field(
        default="fraction", description="what size counts: fractions of equity, quote currency or units"
    )
    leverage: float = Field(default=1.0, gt=0, description="largest exposure as a multiple of equity")
    initial_margin: float | None = Field(
        default=None, gt=0, le=1, description="fraction of notional needed to open; null: 1 / leverage"
    )
    maintenance_margin: float = Field(
        default=0.0, ge=0, lt=1, description="fraction of notional below which the account is liquidated"
    )
    liquidation_fee_bps: float = Field(
        default=0.0, ge=0, lt=10_000, description="on top of the fee of a liquidation"
    )
    fees: Ref | None = Field(
        default=_ref("proportional", fee_bps=10), description="cost of a fill; null: none"
    )
    slippage: Ref | None = Field(
        default=_ref("bps", slippage_bps=5), description="adverse move of a fill; null: none"
    )
    funding: FundingRate | None = Field(default=None, description="paid for holding a position; null: none")
    borrow_rate: float = Field(default=0.0, ge=0, description="interest on what is borrowed, fraction a year")
    fill_convention: Literal["open_first", "stop_first_drop", "open_first_skip_entry"] = Field(
        default="open_first", description="order of events in a bar"
    )
    rebalance: Literal["on_change", "every_bar"] | Band = Field(
        default="on_change", description="when to trade"
    )
    capital: Literal["sleeves", "shared"] = Field(
        default="sleeves", description="cash / number of symbols for each, or one account"
    )
    limit_offset: float | None = Field(
        default=None, ge=0, lt=1, description="entries by limit, fraction from the close; null: at the open"
    )
    limit_bars: int = Field(default=1, ge=1, description="bars that a limit entry is valid")
    stop_loss: Fraction | None = Field(default=None, description="fraction of the entry price; null: none")
    take_profit: float | None = Field(
        default=None, gt=0, description="fraction of the entry price; null: none"
    )
    trailing_stop: Fraction | None = Field(
        default=None, description="fraction of the best price since the entry; null: none"
    )
    max_bars: int | None = Field(
        default=None, ge=1, description="bars after which a position is closed; null: any"
    )
    tick_size: BySymbol = Field(default=0.0, description="step of fill prices, also by symbol; 0: none")
    lot_size: BySymbol = Field(default=0.0, description="step of units, also by symbol; 0: none")
    min_notional: BySymbol = Field(
        default=0.0, description="least order in quote currency, also by symbol; 0: none"
    )
    bars_per_year: float | None = Field(
        default=None, gt=0, description="for annualising; null: from the data"
    )

    @model_validator(mode="after")
    def _agree(self) -> Backtest:
        size = 1.0 if self.size is None and self.capital == "sleeves" else self.size
        if self.size_unit == "fraction" and size is not None and size > self.leverage:
            raise ValueError(
                f"size {size:g} is above leverage {self.leverage:g}; raise leverage or lower size"
            )
        if self.size_unit != "fraction" and self.size is None:
            raise ValueError(f"size_unit {self.size_unit} needs a size, received null")
        if self.size_unit != "fraction" and isinstance(self.rebalance, Band):
            raise ValueError(f"a band needs size_unit fraction, received {self.size_unit}")
        initial = min(1.0, 1.0 / self.leverage) if self.initial_margin is None else self.initial_margin
        if self.maintenance_margin > initial:
            raise ValueError(
                f"maintenance_margin {self.maintenance_margin:g} is above the initial margin {initial:g}"
            )
        return self


Thresholds = Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Field(strict=False, min_length=1)]
Fractions = Annotated[tuple[Fraction | None, ...], Field(strict=False, min_length=1)]
Gains = Annotated[tuple[Annotated[float, Field(gt=0)] | None, ...], Field(strict=False, min_length=1)]
BarCounts = Annotated[tuple[Annotated[int, Field(ge=1)] | None, ...], Field(strict=False, min_length=1)]


class Sweep(Section):
    """Lists whose every combination `simengine sweep` tries; null inside a list is off."""

    thresholds: Thresholds = Field(description="long or short above this probability")
    stop_losses: Fractions | None = Field(default=None, description="null: as in backtest")
    take_profits: Gains | None = Field(default=None, description="null: as in backtest")
    trailing_stops: Fractions | None = Field(default=None, description="null: as in backtest")
    max_bars: BarCounts | None = Field(default=None, description="null: as in backtest")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a config was written; takes no part in comparisons or in the hash.

    Parameters
    ----------
    base_dir : Path
        Folder that ``plugins:`` paths start from.
    locations : mapping of str to str
        Dotted place to ``file:line`` or the ``--set`` that gave it.
    """

    base_dir: Path = field(default_factory=Path, compare=False)
    locations: Mapping[str, str] = field(default_factory=dict, compare=False)

    def locate(self, place: str) -> str | None:
        """Return where ``place``, or the nearest place around it, was written."""
        while place:
            if place in self.locations:
                return self.locations[place]
            place = place.rpartition(".")[0]
        return self.locations.get("")


class Config(Section):
    """A whole configuration."""

    name: str = Field(default="demo", min_length=1, description="part of the run directory's name")
    seed: int = Field(default=7, ge=0, le=2**63 - 1, description="root of every random stream")
    plugins: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)] = Field(
        default=(), description=".py files relative to the config file, or importable names"
    )
    data: Data = Data()
    features: Ref = Field(default=_ref("technical25"), description="feature matrix")
    labels: Labels = Labels()
    split: Split = Split()
    window: Window = Window()
    model: Ref = Field(
        default=_ref("xlstm", embedding=16, heads=4, blocks=["mlstm", "slstm"], dropout=0.1),
        description="signal model",
    )
    training: Training = Training()
    inference: Inference = Inference()
    strategy: Ref = Field(default=_ref("follow_signal", on_hold="keep"), description="trading strategy")
    backtest: Backtest = Backtest()
    sweep: Sweep | None = Field(default=None, description="what simengine sweep varies")
    _origin: Origin = PrivateAttr(default_factory=Origin)

    @property
    def base_dir(self) -> Path:
        """Folder of the config file; the working directory for configs made in Python."""
        return self._origin.base_dir

    def locate(self, place: str) -> str | None:
        """Return ``file:line`` (or the ``--set``) of a dotted place, None when it is a default."""
        return self._origin.locate(place)

    def with_origin(self, origin: Origin) -> Config:
        """Return the same configuration, written at ``origin``."""
        copy = self.model_copy()
        copy._origin = origin
        return copy

    @property
    def origin(self) -> Origin:
        """Where this configuration was written."""
        return self._origin
