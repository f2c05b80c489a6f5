"""`Registry`: every component by kind and name, frozen once it is built."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from simengine.config.messages import Locate, line
from simengine.config.schema import ComponentRef
from simengine.errors import ConfigError, PluginError, unknown_name
from simengine.plugin.component import Component
from simengine.plugin.kinds import KINDS, Kind
from simengine.plugin.options import option_problems, option_values, validate_options

Reference = ComponentRef | str | Mapping[str, Any]
"""A component as YAML or Python writes it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered component with the plugin it came from and the model of its options."""

    component: Component
    plugin: str
    options: type[BaseModel]


class Registry:
    """The components that a run can choose from, and the hooks it calls.

    Built by `simengine.plugin.manager.build_registry`.

    Parameters
    ----------
    entries : mapping of str to mapping of str to Entry
        By kind and name.
    hook : object
        pluggy's hook relay, for ``registry.hook.simengine_run_start(config=..., run_dir=...)``.
    plugins : sequence of str
        Every loaded plugin, in loading order.
    broken : mapping of str to str
        Installed plugins that could not be loaded, with the reason.
    disabled : sequence of str
        Installed plugins that ``SIMENGINE_DISABLE_PLUGINS`` left out.
    """

    def __init__(
        self,
        entries: Mapping[str, Mapping[str, Entry]],
        hook: Any,  # noqa: ANN401 - the relay has dynamic attributes
        plugins: Sequence[str] = (),
        broken: Mapping[str, str] | None = None,
        disabled: Sequence[str] = (),
    ) -> None:
        self._entries = MappingProxyType(
            {kind: MappingProxyType(dict(found)) for kind, found in entries.items()}
        )
        self.hook = hook
        self.plugins = tuple(plugins)
        self.broken = MappingProxyType(dict(broken or {}))
        self.disabled = tuple(disabled)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Every kind by name, in the order of the run."""
        return MappingProxyType(KINDS)

    def names(self, kind: str) -> list[str]:
        """Return the component names of a kind, in loading order."""
        return list(self._of_kind(kind))

    def get(self, kind: str, name: str) -> Component:
        """Return a component.

        Raises
        ------
        PluginError
            When the kind or the name is unknown.
        """
        return self._entry(kind, name).component

    def options_model(self, kind: str, name: str) -> type[BaseModel]:
        """Return the pydantic model of a component's options."""
        return self._entry(kind, name).options

    def provenance(self, kind: str, name: str) -> str:
        """Return the name of the plugin that a component came from."""
        return self._entry(kind, name).plugin

    def summary(self, kind: str, name: str) -> str:
        """Return the first line of a component's docstring, an empty string without one."""
        return (inspect.getdoc(self.get(kind, name).factory) or "").partition("\n")[0]

    def resolve(
        self, kind: str, ref: Reference, where: str | None = None, locate: Locate | None = None
    ) -> ComponentRef:
        """Return the reference with every option validated and every default filled in.

        Raises
        ------
        ConfigError
            One line per problem, each naming its place.
        """
        place = where or self._kind(kind).where
        found = self._parse(kind, ref, place, locate)
        options = self._validated(kind, found, place, locate)
        plain = options.model_dump(mode="json", by_alias=True)
        return ComponentRef(type=found.type, options=plain)

    def create(
        self, kind: str, ref: Reference, where: str | None = None, locate: Locate | None = None
    ) -> Any:  # noqa: ANN401 - one of the protocols in simengine.plugin.kinds
        """Return a new component.

        Parameters
        ----------
        kind : str
            A key of `KINDS`.
        ref : ComponentRef, str or mapping
            The component and its options.
        where : str, optional
            Dotted place that error lines name; by default the kind's place.
        locate : callable, optional
            Dotted place to ``file:line``; a config's ``locate``.

        Raises
        ------
        ConfigError
            When the name or an option is refused, by the schema or by the component itself.
        PluginError
            When what the factory returns is not of its kind.
        """
        place = where or self._kind(kind).where
        found = self._parse(kind, ref, place, locate)
        values = option_values(self._validated(kind, found, place, locate))
        entry = self._entry(kind, found.type)
        try:
            made = entry.component.factory(**values)
        except (ValueError, ConfigError) as error:
            raise ConfigError(line(locate, place, f"{found.type}: {error}")) from error
        _check_members(made, self._kind(kind), f"plugin {entry.plugin!r}: {kind} {found.type!r}")
        return made

    def _parse(self, kind: str, ref: Reference, place: str, locate: Locate | None) -> ComponentRef:
        try:
            found = ComponentRef.parse(ref)
        except ValueError as error:
            raise ConfigError(line(locate, place, str(error))) from None
        if found.type not in self._of_kind(kind):
            raise ConfigError(line(locate, place, self._unknown(kind, found.type), f"{place}.type"))
        return found

    def _validated(self, kind: str, ref: ComponentRef, place: str, locate: Locate | None) -> BaseModel:
        model = self.options_model(kind, ref.type)
        try:
            return validate_options(model, ref.options)
        except ValidationError as error:
            found = option_problems(error, model, ref.options)
            raise ConfigError("\n".join(problem.line(locate, place) for problem in found)) from None

    def _kind(self, kind: str) -> Kind:
        if kind not in KINDS:
            raise PluginError(unknown_name("kind", kind, KINDS))
        return KINDS[kind]

    def _of_kind(self, kind: str) -> Mapping[str, Entry]:
        return self._entries.get(self._kind(kind).name, {})

    def _entry(self, kind: str, name: str) -> Entry:
        found = self._of_kind(kind)
        if name not in found:
            raise PluginError(self._unknown(kind, name))
        return found[name]

    def _unknown(self, kind: str, name: str) -> str:
        text = unknown_name(kind, name, self._of_kind(kind))
        for plugin, reason in self.broken.items():
            text += f"; installed plugin {plugin!r} could not be loaded: {reason}"
        if self.disabled:
            text += f"; disabled by SIMENGINE_DISABLE_PLUGINS: {', '.join(self.disabled)}"
        return text


def members(contract: type) -> list[str]:
    """Return the names that a component of a contract must have."""
    methods = [
        name
        for name, value in vars(contract).items()
        if inspect.isfunction(value) and (name == "__call__" or not name.startswith("_"))
    ]
    attributes = [name for name in inspect.get_annotations(contract) if not name.startswith("_")]
    return [*attributes, *methods]


def _check_members(made: object, kind: Kind, what: str) -> None:
    missing = [name for name in members(kind.contract) if not hasattr(made, name)]
    if missing:
        raise PluginError(f"{what} lacks {', '.join(missing)}, which every {kind.name} has")
