"""Check a whole configuration against the registry."""

from __future__ import annotations

from typing import Any

from simengine.config.load import from_tree, to_tree
from simengine.config.messages import line
from simengine.config.schema import ComponentRef, Config
from simengine.errors import ConfigError, unknown_name
from simengine.plugin.kinds import KINDS
from simengine.plugin.registry import Registry

RESERVED: dict[str, str] = {
    "training.smote": "smote",
}
"""Places of kinds that have no component in this version; only null or an empty list is valid there."""


def check_config(config: Config, registry: Registry) -> Config:
    """Return the configuration with every component's options validated and defaulted.

    Every component is made once, so that checks across options speak up too. Nothing is fitted and no
    data is read.

    Parameters
    ----------
    config : Config
        From `simengine.config.load.load_config`.
    registry : Registry
        Holding the config's plugins.

    Raises
    ------
    ConfigError
        One line per problem, all problems at once.
    """
    tree = to_tree(config)
    errors = []
    for place, ref in _reserved(config):
        text = f"{unknown_name(RESERVED[place.rstrip('.0123456789')], ref.type, ())} in this version"
        errors.append(line(config.locate, place, text))
    for kind in KINDS.values():
        for place, ref in refs_at(config, kind.where):
            try:
                resolved = registry.resolve(kind.name, ref, place, config.locate)
                registry.create(kind.name, resolved, place, config.locate)
            except ConfigError as error:
                errors.append(str(error))
            else:
                _put(tree, place, resolved.flat())
    if errors:
        raise ConfigError("\n".join(errors))
    return from_tree(tree, config.origin)


def refs_at(config: Config, where: str) -> list[tuple[str, ComponentRef]]:
    """Return (place, reference) of every component at a place: none, one, or a list's items."""
    value: Any = config
    for name in where.split("."):
        value = getattr(value, name)
    if value is None:
        return []
    if isinstance(value, ComponentRef):
        return [(where, value)]
    return [(f"{where}.{row}", item) for row, item in enumerate(value)]


def _reserved(config: Config) -> list[tuple[str, ComponentRef]]:
    return [found for where in RESERVED for found in refs_at(config, where)]


def _put(tree: Any, place: str, value: Any) -> None:  # noqa: ANN401
    *path, last = (int(key) if key.isdecimal() else key for key in place.split("."))
    for key in path:
        tree = tree[key]
    tree[last] = value
