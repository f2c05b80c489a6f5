"""Check a whole configuration against the registry."""

from __future__ import annotations

from typing import Any

from simengine.config.load import from_tree, to_tree
from simengine.config.schema import ComponentRef, Config
from simengine.errors import ConfigError
from simengine.plugin.kinds import KINDS
from simengine.plugin.registry import Registry


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


def _put(tree: Any, place: str, value: Any) -> None:  # noqa: ANN401
    *path, last = (int(key) if key.isdecimal() else key for key in place.split("."))
    for key in path:
        tree = tree[key]
    tree[last] = value
