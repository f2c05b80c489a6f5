"""The hooks that plugins implement; each docstring is the hook's contract.

Registration hooks are called once per plugin when the registry is built and return a list of
`Component`. Lifecycle hooks are called by the pipeline a few times per run, with keyword arguments;
their results are ignored. An implementation may leave out arguments that it does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simengine.plugin.component import Component, hookspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from simengine.backtest.result import BacktestResult
    from simengine.config.schema import Config
    from simengine.types import EpochRecord


@hookspec
def simengine_register_sources() -> list[Component]:  # type: ignore[empty-body]
    """Return sources of bars, selected at ``data.source``."""


@hookspec
def simengine_register_features() -> list[Component]:  # type: ignore[empty-body]
    """Return causal feature sets, selected at ``features``."""


@hookspec
def simengine_register_labelers() -> list[Component]:  # type: ignore[empty-body]
    """Return labelers, selected at ``labels.labeler``."""


@hookspec
def simengine_register_threshold_optimizers() -> list[Component]:  # type: ignore[empty-body]
    """Return searches of the labeler's options, selected at ``labels.optimizer``."""


@hookspec
def simengine_register_smote() -> list[Component]:  # type: ignore[empty-body]
    """Return makers of synthetic minority rows, selected at ``training.smote``."""


@hookspec
def simengine_register_balancers() -> list[Component]:  # type: ignore[empty-body]
    """Return balancers, selected at ``training.balancer``."""


@hookspec
def simengine_register_reweighters() -> list[Component]:  # type: ignore[empty-body]
    """Return reweighters, selected at ``training.reweighter``."""


@hookspec
def simengine_register_losses() -> list[Component]:  # type: ignore[empty-body]
    """Return losses, selected at ``training.loss``."""


@hookspec
def simengine_register_smoothers() -> list[Component]:  # type: ignore[empty-body]
    """Return label smoothings, selected at ``training.smoother``."""


@hookspec
def simengine_register_miners() -> list[Component]:  # type: ignore[empty-body]
    """Return hard-example miners, selected at ``training.miner``."""


@hookspec
def simengine_register_penalties() -> list[Component]:  # type: ignore[empty-body]
    """Return terms added to the loss, listed at ``training.penalties``."""


@hookspec
def simengine_register_augmenters() -> list[Component]:  # type: ignore[empty-body]
    """Return random changes of train windows, listed at ``training.augment``."""


@hookspec
def simengine_register_tta() -> list[Component]:  # type: ignore[empty-body]
    """Return test-time transforms, listed at ``inference.tta``."""


@hookspec
def simengine_register_calibrators() -> list[Component]:  # type: ignore[empty-body]
    """Return calibrators, selected at ``inference.calibrator``."""


@hookspec
def simengine_register_decisions() -> list[Component]:  # type: ignore[empty-body]
    """Return decision rules, selected at ``inference.decision``."""


@hookspec
def simengine_register_models() -> list[Component]:  # type: ignore[empty-body]
    """Return signal models, selected at ``model``."""


@hookspec
def simengine_register_strategies() -> list[Component]:  # type: ignore[empty-body]
    """Return trading strategies, selected at ``strategy``."""


@hookspec
def simengine_register_fees() -> list[Component]:  # type: ignore[empty-body]
    """Return fee models, selected at ``backtest.fees``."""


@hookspec
def simengine_register_slippage() -> list[Component]:  # type: ignore[empty-body]
    """Return slippage models, selected at ``backtest.slippage``."""


@hookspec
def simengine_run_start(config: Config, run_dir: Path) -> None:
    """A run begins: the resolved configuration and its directory, which is not new when it resumes."""


@hookspec
def simengine_epoch_end(record: EpochRecord, run_dir: Path) -> None:
    """An epoch of training has been measured on the validation segment."""


@hookspec
def simengine_stage_end(stage: str, run_dir: Path) -> None:
    """A stage of the run is complete and its files are in ``run_dir``."""


@hookspec
def simengine_backtest_end(result: BacktestResult, run_dir: Path) -> None:
    """The strategy has been traded over the test span, costs included."""


@hookspec
def simengine_run_error(error: Exception, run_dir: Path) -> None:
    """The run ends with ``error``, which is raised again afterwards; `simengine_run_end` is not called."""


@hookspec
def simengine_run_end(metrics: Mapping[str, object], run_dir: Path) -> None:
    """The run is complete and marked as finished: the content of ``metrics.json``."""
