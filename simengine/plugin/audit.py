"""Check a plugin before it is registered: pluggy is silent about a missing marker or a misspelled hook."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from simengine.errors import PluginError, unknown_name
from simengine.plugin import hookspecs
from simengine.plugin.component import PROJECT

_PREFIX = f"{PROJECT}_"

HOOKS: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(value).parameters)
    for name, value in vars(hookspecs).items()
    if name.startswith(_PREFIX)
}
"""Arguments of every hook by name."""


def audit(plugin: object, name: str) -> None:
    """Check every hook function of a plugin.

    Raises
    ------
    PluginError
        When a hook function lacks ``@hookimpl``, no hook has its name, it takes an argument that the
        hook has not, or the plugin has no hook function at all.
    """
    if isinstance(plugin, type):
        raise PluginError(f"plugin {name!r} is a class; pass an instance of it, or a module")
    found = 0
    for attribute in dir(plugin):
        function = inspect.getattr_static(plugin, attribute)
        if isinstance(function, staticmethod | classmethod):
            function = function.__func__
        if not callable(function) or (isinstance(function, type) and not attribute.startswith(_PREFIX)):
            continue
        marker = getattr(function, f"{PROJECT}_impl", None)
        if marker is None and not attribute.startswith(_PREFIX):
            continue
        _check_function(getattr(plugin, attribute), attribute, marker, name)
        found += 1
    if not found:
        what = "module" if isinstance(plugin, ModuleType) else type(plugin).__name__
        raise PluginError(f"plugin {name!r}: this {what} has no function marked with @hookimpl")


def _check_function(function: Callable[..., Any], attribute: str, marker: Any, name: str) -> None:  # noqa: ANN401
    hook = (marker or {}).get("specname") or attribute
    if hook not in HOOKS:
        raise PluginError(f"plugin {name!r}: {unknown_name('hook', hook, HOOKS)}")
    if marker is None:
        raise PluginError(f"plugin {name!r}: {attribute} is not marked with @hookimpl")
    if marker.get("wrapper") or marker.get("hookwrapper"):
        raise PluginError(f"plugin {name!r}: {attribute} is a hook wrapper; mark a plain function")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in HOOKS[hook]:
            message = unknown_name(f"argument of {hook}", parameter.name, HOOKS[hook])
            raise PluginError(f"plugin {name!r}: {message}")
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or parameter.default is not parameter.empty:
            raise PluginError(
                f"plugin {name!r}: argument {parameter.name!r} of {hook} must be plain, without default or *"
            )
