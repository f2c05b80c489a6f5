"""simengine: a plugin-based trading simulation engine.

Public names load on first use, so that ``import simengine`` costs neither TensorFlow nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simengine.api import analyze_feature_importance_shap, run
    from simengine.config.load import load_config
    from simengine.errors import SimengineError
    from simengine.plugin.component import Component, hookimpl
    from simengine.types import Bars, PerClass, Signal

__version__ = "0.1.0"

_HOME = {
    "Bars": "simengine.types",
    "Component": "simengine.plugin.component",
    "PerClass": "simengine.types",
    "Signal": "simengine.types",
    "SimengineError": "simengine.errors",
    "analyze_feature_importance_shap": "simengine.api",
    "hookimpl": "simengine.plugin.component",
    "load_config": "simengine.config.load",
    "run": "simengine.api",
}

__all__ = [
    "Bars",
    "Component",
    "PerClass",
    "Signal",
    "SimengineError",
    "__version__",
    "analyze_feature_importance_shap",
    "hookimpl",
    "load_config",
    "run",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute can be anything
    if name not in _HOME:
        raise AttributeError(f"module 'simengine' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
