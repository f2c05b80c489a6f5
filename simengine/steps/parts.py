"""Every component that a config selects, built once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from simengine.errors import ConfigError
from simengine.log import event, get_logger
from simengine.plugin.check import refs_at
from simengine.plugin.kinds import KINDS

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.plugin.kinds import (
        Augmenter,
        Balancer,
        Calibrator,
        Decision,
        Features,
        Fees,
        Kind,
        Labeler,
        Loss,
        Miner,
        Model,
        Penalty,
        Reweighter,
        Slippage,
        Smoother,
        Smote,
        Source,
        Strategy,
        TestTimeTransform,
        ThresholdOptimizer,
    )
    from simengine.plugin.registry import Registry

logger = get_logger(__name__)

# What a training part is when nobody asked for anything; only a choice can be ignored by a model.
_OPTIMIZER = ("epochs", "batch_size", "learning_rate", "warmup", "clip_norm", "patience")
_PLAIN = {"balancer": "natural", "loss": "cross_entropy"}
_PARTS = ("balancer", "reweighter", "loss", "smoother", "miner", "penalties", "augment", "smote")


@dataclass(frozen=True, slots=True)
class Parts:
    """The components of one run, unfitted."""

    source: Source
    features: Features
    labeler: Labeler
    threshold_optimizer: ThresholdOptimizer | None
    balancer: Balancer
    reweighter: Reweighter | None
    loss: Loss
    smoother: Smoother | None
    miner: Miner | None
    penalty: tuple[Penalty, ...]
    augmenter: tuple[Augmenter, ...]
    smote: Smote | None
    tta: tuple[TestTimeTransform, ...]
    calibrator: Calibrator | None
    decision: Decision
    model: Model
    strategy: Strategy
    fees: Fees | None
    slippage: Slippage | None


def build_parts(config: Config, registry: Registry) -> Parts:
    """Create every component of ``config``.

    Raises
    ------
    ConfigError
        When a component or option is unknown, or the model does not use a training part or a test-time
        view that the config selects.
    """
    built = {part.name: _build(KINDS[part.name], config, registry) for part in fields(Parts)}
    parts = Parts(**built)
    _check_used(config, parts.model)
    _check_views(config, parts)
    return parts


def _build(kind: Kind, config: Config, registry: Registry) -> Any:  # noqa: ANN401 - a component of any kind
    components = tuple(
        registry.create(kind.name, ref, place, config.locate) for place, ref in refs_at(config, kind.where)
    )
    if kind.many:
        return components
    return components[0] if components else None


def _check_used(config: Config, model: Model) -> None:
    """Refuse a training part that the model would silently ignore."""
    for part in _PARTS:
        chosen, plain = getattr(config.training, part), _PLAIN.get(part)
        refs = chosen if isinstance(chosen, tuple) else (chosen,) if chosen else ()
        names = [ref.type for ref in refs]
        if names not in ([], [plain]) and part not in model.uses:
            off = "[]" if isinstance(chosen, tuple) else plain or "null"
            raise ConfigError(
                f"training.{part}: model {config.model.type!r} does not use {_a(part)}, received "
                f"{', '.join(map(repr, names))}; set it to {off} or choose another model"
            )
    if "optimizer" not in model.uses:
        numbers = ", ".join(_OPTIMIZER)
        event(logger, "not_used", f"model {config.model.type} has no use for training.{{{numbers}}}")


def _a(part: str) -> str:
    return part if part in ("penalties", "augment", "smote") else f"a {part}"


def _check_views(config: Config, parts: Parts) -> None:
    """Refuse views of single windows for a model that carries state over them, before it is trained."""
    if not getattr(parts.model, "stateful", False):
        return
    for ref, view in zip(config.inference.tta, parts.tta, strict=True):
        if not getattr(view, "is_identity", False):
            raise ConfigError(
                f"inference.tta: {ref.type!r} changes single windows, which the stateful model "
                f"{config.model.type!r} does not see; set it to [identity]"
            )
