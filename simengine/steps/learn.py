"""Train the model, or restore what was trained, and keep it in the run directory."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from simengine.errors import PluginError, RunError
from simengine.evaluate.prior_tilt import PriorTilt, total_prior_tilt
from simengine.log import Progress, event, get_logger
from simengine.plugin.state import read_state, write_state
from simengine.rundir import RunDir, write_json
from simengine.train.context import TrainContext

if TYPE_CHECKING:
    from simengine.config.schema import Config
    from simengine.plugin.kinds import Model
    from simengine.steps.parts import Parts
    from simengine.steps.prepare import Prepared
    from simengine.steps.session import Session
    from simengine.types import EpochRecord

MODEL = "model/model.json"
HISTORY = "history.json"
CHECKPOINT = "checkpoint"

logger = get_logger(__name__)


def learn(config: Config, parts: Parts, prepared: Prepared, session: Session, progress: Progress) -> None:
    """Fit ``parts.model``, or load it when this run has already trained it.

    An interrupted training goes on after its last whole epoch and ends in the same bytes as one that
    was never interrupted.
    """
    run_dir = session.run_dir

    def on_epoch(record: EpochRecord) -> None:
        _log_epoch(record)
        session.registry.hook.simengine_epoch_end(record=record, run_dir=run_dir.path)

    if run_dir.has(MODEL):
        restore_model(parts.model, run_dir)
        event(logger, "model_restored", "the model of this run is trained already")
        return
    _log_prior_tilt(parts, prepared)
    context = TrainContext(
        balancer=parts.balancer,
        reweighter=parts.reweighter,
        loss=parts.loss,
        seed=config.seed,
        epochs=config.training.epochs,
        batch_size=config.training.batch_size,
        learning_rate=config.training.learning_rate,
        warmup=config.training.warmup,
        clip_norm=config.training.clip_norm,
        patience=config.training.patience,
        checkpoint=run_dir / CHECKPOINT,
        on_epoch=on_epoch,
        progress=progress,
        horizon_bars=prepared.horizon_bars,
        smoother=parts.smoother,
        miner=parts.miner,
        smote=parts.smote,
        penalties=parts.penalty,
        augment=parts.augmenter,
    )
    history = parts.model.fit(prepared.train, prepared.val, context)
    write_json(run_dir / HISTORY, [asdict(record) for record in history])
    write_state(run_dir / MODEL, parts.model.get_state())
    if (run_dir / CHECKPOINT).is_dir():
        shutil.rmtree(run_dir / CHECKPOINT)  # as large as several models, and of no use any more


def rehearse(parts: Parts, prepared: Prepared) -> None:
    """Call every augmenter once, so that one that cannot work is known before anything is trained.

    Raises
    ------
    ConfigError
        When its options do not fit the windows.
    PluginError
        When it returns another shape than it was given.
    """
    if not parts.augmenter:
        return
    import tensorflow as tf

    shape = (2, prepared.train.length, prepared.train.n_features)
    for augmenter in parts.augmenter:
        found = tf.convert_to_tensor(augmenter(tf.zeros(shape), tf.constant([0, 1], tf.int32))).shape
        if found != shape:
            raise PluginError(
                f"augmenter {type(augmenter).__name__}: expected windows of shape {shape} as given; received "
                f"shape {tuple(found)}"
            )


def prior_tilt(parts: Parts, prepared: Prepared) -> PriorTilt:
    """Return how far the parts of the config lean away from the label prior, all together."""
    return total_prior_tilt(
        {
            "training.smote": parts.smote,
            "training.balancer": parts.balancer,
            "training.reweighter": parts.reweighter,
            "training.loss": parts.loss,
            "training.smoother": parts.smoother,
            "inference.calibrator": parts.calibrator,
            "inference.decision": parts.decision,
        },
        prepared.train_share,
    )


def _log_prior_tilt(parts: Parts, prepared: Prepared) -> None:
    """Say how far the config leans, and warn when it is far."""
    tilt = prior_tilt(parts, prepared)
    shares = " / ".join(f"{100 * share:.1f}" for share in tilt.implied_share)
    event(
        logger,
        "prior_tilt",
        f"prior tilt: labels are taught as SELL / HOLD / BUY {shares} %",
        **tilt.to_dict(),
    )
    warning = tilt.warning()
    if warning is not None:
        logger.warning(warning)


def restore_model(model: Model, run_dir: RunDir) -> None:
    """Load the trained state of a run into an unfitted model.

    Raises
    ------
    RunError
        When the run holds no trained model.
    """
    if not run_dir.has(MODEL):
        raise RunError(
            f"{run_dir.path}: {MODEL} is missing; the run was stopped before its model was trained"
        )
    state: dict[str, Any] = read_state(run_dir / MODEL)
    model.set_state(state)


def _log_epoch(record: EpochRecord) -> None:
    sell, hold, buy = (100 * share for share in record.val_argmax_share)
    event(
        logger,
        "epoch",
        f"epoch {record.epoch}: loss {record.train_loss:.4f}  val NLL {record.val_nll:.4f}  "
        f"ECE {record.val_ece:.4f}  macro-F1 {record.val_macro_f1:.3f}  "
        f"argmax SELL {sell:.1f} HOLD {hold:.1f} BUY {buy:.1f} %",
        **asdict(record),
    )
