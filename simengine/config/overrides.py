"""``--set a.b=c``: change single values of a configuration before it is validated."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from simengine.config import strict_yaml
from simengine.config.messages import shown
from simengine.config.schema import ComponentRef, Config
from simengine.errors import ConfigError, unknown_name


@dataclass(frozen=True, slots=True)
class _Override:
    """One ``--set``; ``keys[:depth]`` is a component's place when ``component``, else a field's."""

    text: str
    keys: tuple[str, ...]
    value: Any
    depth: int
    component: bool

    @property
    def structural(self) -> bool:
        """Whether it chooses a component or replaces a whole part, and so comes first."""
        return len(self.keys) == self.depth or (self.component and self.keys[self.depth :] == ("type",))

    def fail(self, message: str) -> ConfigError:
        return ConfigError(f"--set {self.text}: {message}")


def apply_overrides(
    tree: Mapping[str, Any], overrides: Sequence[str], locations: dict[str, str]
) -> dict[str, Any]:
    """Return ``tree`` with every override applied; ``locations`` learns where the values are from now.

    Values are YAML. ``a.type=name``, ``a=name`` and whole parts are applied first; choosing another
    component drops the options of the one before. Numbers address list items; the number after the
    last item appends.

    Raises
    ------
    ConfigError
        When an override is malformed or names an unknown place.
    """
    result: dict[str, Any] = copy.deepcopy(dict(tree))
    parsed = [_parse(text) for text in overrides]
    for override in sorted(parsed, key=lambda item: not item.structural):
        replaced = _apply(result, override)
        place = ".".join(override.keys)
        locations[place] = f"--set {override.text}"
        if replaced:
            part = ".".join(override.keys[: override.depth])
            _forget(locations, part)
            locations[part] = locations[place] = f"--set {override.text}"
    return result


def section_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401
    """Return the model that an annotation holds, alone, optional or in a tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := section_in(part))), None)


def _parse(text: str) -> _Override:
    path, equals, raw = text.partition("=")
    keys = tuple(path.strip().split("."))
    if not equals or not all(keys):
        raise ConfigError(f"--set {text}: expected KEY=VALUE, for example training.epochs=5")
    if not raw.strip():
        raise ConfigError(f"--set {text}: no value; write null to switch a part off")
    value = strict_yaml.parse(raw, f"--set {text}").value
    section: type[BaseModel] = Config
    for depth, key in enumerate(keys):
        if key not in section.model_fields:
            where = ".".join(keys[:depth]) or "the config"
            raise ConfigError(f"--set {text}: in {where}: {unknown_name('key', key, section.model_fields)}")
        annotation = section.model_fields[key].annotation
        inner = section_in(annotation)
        if inner is ComponentRef:
            many = get_origin(annotation) is tuple and depth + 1 < len(keys)
            return _Override(text, keys, value, depth + 1 + many, component=True)
        if inner is None:
            return _Override(text, keys, value, depth + 1, component=False)
        section = inner
    return _Override(text, keys, value, len(keys), component=False)


def _apply(tree: dict[str, Any], override: _Override) -> bool:
    """Apply one override; return whether what was written below its place is gone."""
    keys = override.keys
    name = override.value
    if override.component and override.structural and isinstance(name, str):
        place = keys[: override.depth]
        holder = _descend(tree, place[:-1], override)
        current = _get(holder, place[-1], override, default=_default(place))
        replaced = _type_of(current) != name
        _put(holder, place[-1], name if replaced else current, override)
        return replaced
    _put(_descend(tree, keys[:-1], override), keys[-1], override.value, override)
    return override.structural


def _type_of(value: object) -> object:
    return value.get("type") if isinstance(value, dict) else value


def _descend(tree: Any, keys: tuple[str, ...], override: _Override) -> Any:  # noqa: ANN401
    """Return the mapping or list at ``keys``, made on the way where only defaults stand."""
    node = tree
    for depth, key in enumerate(keys, start=1):
        place = keys[:depth]
        value = _get(node, key, override, default=_default(place))
        if override.component and depth == override.depth and isinstance(value, str):
            value = {"type": value}
        if value is None and depth >= override.depth and override.component:
            raise override.fail(
                f"{'.'.join(place)} is null; choose a component with {'.'.join(place)}.type first"
            )
        if not isinstance(value, dict | list):
            # Only a choice between a word and a mapping (backtest.rebalance) becomes a mapping.
            if value is not None and not isinstance(_default(place), str):
                raise override.fail(f"{'.'.join(place)} is {shown(value)}, which has no parts")
            value = {}
        _put(node, key, value, override)
        node = value
    return node


def _get(node: Any, key: str, override: _Override, default: Any) -> Any:  # noqa: ANN401
    if isinstance(node, dict):
        return node.get(key, default)
    index = _index(node, key, override)
    return node[index] if index < len(node) else None


def _put(node: Any, key: str, value: Any, override: _Override) -> None:  # noqa: ANN401
    if isinstance(node, dict):
        node[key] = value
        return
    index = _index(node, key, override)
    node[index : index + 1] = [value]


def _index(items: list[Any], key: str, override: _Override) -> int:
    if not key.isdecimal() or int(key) > len(items):
        raise override.fail(f"expected the number of a list item, 0 to {len(items)}, received {key!r}")
    return int(key)


def _default(place: tuple[str, ...]) -> Any:  # noqa: ANN401
    node: Any = Config().model_dump(mode="json")
    for key in place:
        if isinstance(node, list):
            node = node[int(key)] if key.isdecimal() and int(key) < len(node) else None
        else:
            node = node.get(key) if isinstance(node, dict) else None
    return copy.deepcopy(node)


def _forget(locations: dict[str, str], place: str) -> None:
    for known in [known for known in locations if known == place or known.startswith(place + ".")]:
        del locations[known]
