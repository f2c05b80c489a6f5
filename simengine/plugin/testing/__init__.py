"""The contract battery: run it over any component, built-in or your own.

>>> from simengine.plugin.testing import check_component
>>> check_component("calibrator", MyCalibrator)  # doctest: +SKIP
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

from simengine.errors import PluginError, unknown_name
from simengine.plugin.component import Component
from simengine.plugin.kinds import KINDS
from simengine.plugin.registry import members
from simengine.plugin.testing import extras, learning, market, scores, smote, thresholds, tilt
from simengine.plugin.testing.case import Case

__all__ = ["check_component"]

_BATTERIES: dict[str, Callable[[Case], None]] = {
    "source": market.check_source,
    "features": market.check_features,
    "labeler": market.check_labeler,
    "threshold_optimizer": thresholds.check_threshold_optimizer,
    "smote": smote.check_smote,
    "balancer": learning.check_balancer,
    "reweighter": learning.check_reweighter,
    "loss": learning.check_loss,
    "smoother": extras.check_smoother,
    "miner": extras.check_miner,
    "penalty": extras.check_penalty,
    "augmenter": extras.check_augmenter,
    "tta": scores.check_tta,
    "calibrator": scores.check_calibrator,
    "decision": scores.check_decision,
    "model": learning.check_model,
    "strategy": market.check_strategy,
    "fees": market.check_fees,
    "slippage": market.check_slippage,
}


def check_component(kind: str, component: Any, *, seed: int = 0) -> None:  # noqa: ANN401
    """Run the contract battery of a kind over a component.

    Shapes and dtypes, determinism, inputs left as they were, the round trip of the fitted state through
    files, and what the kind promises besides: causality, batch independence, normalised scores.

    Parameters
    ----------
    kind : str
        A key of `simengine.plugin.kinds.KINDS`.
    component : callable, Component or object
        A class or function that makes a new component without arguments (use a lambda to give options),
        or a component, of which copies are checked.
    seed : int
        Of the synthetic data.

    Raises
    ------
    AssertionError
        One sentence that says which promise is broken and how.
    PluginError
        When ``kind`` is unknown.
    """
    if kind not in KINDS:
        raise PluginError(unknown_name("kind", kind, KINDS))
    fresh = _factory(component)
    name = type(fresh()).__name__
    case = Case(kind, name, fresh, seed)
    missing = [member for member in members(KINDS[kind].contract) if not hasattr(fresh(), member)]
    case.expect(not missing, f"lacks {', '.join(missing)}")
    _BATTERIES[kind](case)
    tilt.check_prior_tilt(case)


def _factory(component: Any) -> Callable[[], Any]:  # noqa: ANN401
    if isinstance(component, Component):
        return component.factory
    if isinstance(component, type | functools.partial) or inspect.isroutine(component):
        made: Callable[[], Any] = component
        return made
    return lambda: copy.deepcopy(component)
