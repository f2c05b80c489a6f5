"""What a model is given to train with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from simengine.log import NoProgress, Progress

if TYPE_CHECKING:
    from simengine.plugin.kinds import (
        Augmenter,
        Balancer,
        Loss,
        Miner,
        Penalty,
        Reweighter,
        Smoother,
        Smote,
    )
    from simengine.types import EpochRecord


def _ignore(record: EpochRecord) -> None:
    """Do nothing with an epoch's record."""


@dataclass(frozen=True, slots=True)
class TrainContext:
    """The components and numbers of one training.

    Parameters
    ----------
    balancer, reweighter, loss
        Components under ``training``; ``reweighter`` may be None.
    seed : int
        Root seed of the run.
    epochs, batch_size : int
        As configured.
    learning_rate : float
        Peak rate, reached after the warm-up.
    warmup : float
        Share of all steps over which the rate rises linearly; cosine decay follows.
    clip_norm : float or None
        Global gradient norm at which gradients are scaled down.
    patience : int or None
        Epochs without a lower val NLL after which training stops; None trains all epochs. The
        weights of the best epoch are kept in both cases.
    checkpoint : Path or None
        Folder for the state after every epoch; training resumes from it when it holds one.
    on_epoch : callable
        Called with the `EpochRecord` after every epoch.
    progress : Progress
        Told about every step.
    horizon_bars : int
        Label horizon H: labels of neighbouring bars overlap by H - 1 bars.
    smoother, miner, smote
        Components under ``training``, each of which may be None.
    penalties, augment
        Tuples of components under ``training``.
    """

    balancer: Balancer
    reweighter: Reweighter | None
    loss: Loss
    seed: int
    epochs: int
    batch_size: int
    learning_rate: float
    warmup: float = 0.05
    clip_norm: float | None = 1.0
    patience: int | None = None
    checkpoint: Path | None = None
    on_epoch: Callable[[EpochRecord], None] = _ignore
    progress: Progress = field(default_factory=NoProgress)
    horizon_bars: int = 1
    smoother: Smoother | None = None
    miner: Miner | None = None
    smote: Smote | None = None
    penalties: tuple[Penalty, ...] = ()
    augment: tuple[Augmenter, ...] = ()
