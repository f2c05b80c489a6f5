"""Load plugins and build the `Registry`: built-ins, installed plugins, the config's, objects."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pluggy

from simengine.config.messages import Locate, line
from simengine.errors import PluginError, SimengineError
from simengine.log import get_logger
from simengine.plugin import hookspecs
from simengine.plugin.audit import audit
from simengine.plugin.component import NAME_RULE, PROJECT, Component, is_component_name
from simengine.plugin.files import load_plugin
from simengine.plugin.kinds import KINDS, Kind
from simengine.plugin.options import options_model
from simengine.plugin.registry import Entry, Registry, members

BUILTIN_PACKAGES: tuple[str, ...] = ("simengine_plugins", "simengine_strategies")
"""Packages whose ``MODULES`` are the built-in plugins; named, never imported, by the core."""

GROUP = "simengine"
"""Entry-point group of installed plugins."""

DISABLE = "SIMENGINE_DISABLE_PLUGINS"
"""Environment variable: comma-separated names of installed plugins to leave out."""


def build_registry(
    plugins: Sequence[str] = (),
    base_dir: Path | None = None,
    objects: Sequence[object] = (),
    *,
    builtins: Sequence[str] = BUILTIN_PACKAGES,
    discover: bool = True,
    locate: Locate | None = None,
) -> Registry:
    """Return the registry of all components.

    Plugins load in this order: built-ins, installed ones (entry points), ``plugins``, ``objects``.

    Parameters
    ----------
    plugins : sequence of str
        ``.py`` files relative to ``base_dir``, or importable module names.
    base_dir : Path, optional
        By default the working directory.
    objects : sequence of object
        Modules or instances with hook functions marked by ``@hookimpl``.
    builtins : sequence of str
        Packages with a ``MODULES`` tuple; empty for a registry of one's own plugins only.
    discover : bool
        Whether installed plugins are loaded.
    locate : callable, optional
        Dotted place to ``file:line``, for errors about ``plugins``.

    Raises
    ------
    PluginError
        One line that names the plugin. An installed plugin that is broken is kept in
        ``Registry.broken`` and raises only when a name that it might have is selected.
    """
    loader = _Loader()
    for package in builtins:
        for module in importlib.import_module(package).MODULES:
            loader.add(importlib.import_module(module), module)
    disabled = loader.discover() if discover else []
    for position, name in enumerate(plugins):
        try:
            loader.add(load_plugin(name, base_dir or Path.cwd()), name)
        except PluginError as error:
            raise PluginError(line(locate, f"plugins.{position}", str(error))) from error.__cause__
    for item in objects:
        loader.add(item, getattr(item, "__name__", type(item).__name__))
    return loader.registry(disabled)


class _Loader:
    """One pluggy manager, filled plugin by plugin."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.installed: set[str] = set()
        self.broken: dict[str, str] = {}

    def add(self, plugin: object, name: str) -> None:
        if self.manager.is_registered(plugin):
            return
        audit(plugin, name)
        if self.manager.has_plugin(name):
            raise PluginError(f"two different plugins are called {name!r}; rename one of them")
        self.manager.register(plugin, name)

    def discover(self) -> list[str]:
        """Load installed plugins; return the names of those that the environment disables."""
        off = {name.strip() for name in os.environ.get(DISABLE, "").split(",")} - {""}
        found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
        for point in found:
            if point.name in off:
                continue
            try:
                self.add(point.load(), point.name)
                self.installed.add(point.name)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - kept in `broken`, named when selected
                self.mark_broken(point.name, error)
        unknown = off - {point.name for point in found}
        if unknown:
            get_logger(__name__).warning(
                "%s names no installed plugin: %s", DISABLE, ", ".join(sorted(unknown))
            )
        return sorted(off - unknown)

    def mark_broken(self, name: str, error: BaseException) -> None:
        self.broken[name] = _reason(error).removeprefix(f"plugin {name!r}: ")
        get_logger(__name__).warning("installed plugin %r could not be loaded: %s", name, self.broken[name])

    def registry(self, disabled: Sequence[str]) -> Registry:
        self.manager.check_pending()
        entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
        for plugin, found in self.collect().items():
            for kind, entry in found:
                name = entry.component.name
                other = entries[kind].get(name)
                if other:
                    raise PluginError(_duplicate(kind, name, other.plugin, plugin, self.installed))
                entries[kind][name] = entry
        names = [name for name, _ in self.manager.list_name_plugin()]
        return Registry(entries, self.manager.hook, names, self.broken, disabled)

    def collect(self) -> dict[str, list[tuple[str, Entry]]]:
        """Return every plugin's components; call each implementation, so that errors name its plugin."""
        calls: dict[str, list[tuple[Kind, Any]]] = {name: [] for name, _ in self.manager.list_name_plugin()}
        for kind in KINDS.values():
            for implementation in getattr(self.manager.hook, kind.hook).get_hookimpls():
                calls[implementation.plugin_name].append((kind, implementation.function))
        collected: dict[str, list[tuple[str, Entry]]] = {}
        for plugin, hooks in calls.items():
            try:
                collected[plugin] = [
                    entry for kind, function in hooks for entry in _entries(kind, function, plugin)
                ]
            except PluginError as error:
                if plugin not in self.installed:
                    raise
                self.mark_broken(plugin, error)
                self.manager.unregister(name=plugin)
        return collected


def _entries(kind: Kind, function: Any, plugin: str) -> list[tuple[str, Entry]]:  # noqa: ANN401
    who = f"plugin {plugin!r}"
    try:
        components = function()
    except SimengineError as error:
        raise PluginError(f"{who}: {kind.hook}: {error}") from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"{who}: {kind.hook} failed: {_reason(error)}") from error
    if not isinstance(components, list | tuple) or not all(
        isinstance(item, Component) for item in components
    ):
        raise PluginError(f"{who}: {kind.hook} must return a list of Component, received {components!r:.80}")
    return [(kind.name, _entry(kind, component, plugin, who)) for component in components]


def _entry(kind: Kind, component: Component, plugin: str, who: str) -> Entry:
    name, factory = component.name, component.factory
    what = f"{who}: {kind.name} {name!r}"
    if not is_component_name(name):
        raise PluginError(f"{what}: a name is {NAME_RULE}")
    if not callable(factory):
        raise PluginError(f"{what}: its factory must be a class or a function, received {factory!r:.80}")
    if isinstance(factory, type):
        # Attributes may be set in __init__; methods are there from the start.
        methods = [
            member for member in members(kind.contract) if callable(getattr(kind.contract, member, None))
        ]
        missing = [method for method in methods if not hasattr(factory, method)]
        if missing:
            raise PluginError(f"{what} lacks the method {', '.join(missing)}")
    return Entry(component, plugin, options_model(factory, what))


def _duplicate(kind: str, name: str, first: str, second: str, installed: set[str]) -> str:
    text = f"{kind} {name!r} is registered twice, by plugin {first!r} and by plugin {second!r}"
    named = [plugin for plugin in (first, second) if plugin in installed]
    fix = f"set {DISABLE}={named[-1]}" if named else "rename one of them"
    return f"{text}; {fix}"


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, SimengineError) else f"{type(error).__name__}: {text}".rstrip(": ")
