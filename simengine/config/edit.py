"""Change a component's options in a config file, and not a character beside them.

Values are replaced where they stand in the text: a parser that writes the document again, even one that keeps
comments, loses aligned columns and the line breaks within ``{...}``.
"""

from __future__ import annotations

import copy
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from simengine.config import strict_yaml
from simengine.config.load import from_tree
from simengine.config.schema import Origin, plain_data
from simengine.errors import ConfigError
from simengine.rundir import write_bytes_atomic

_BOM = "\ufeff"


@dataclass(slots=True)
class _Node:
    """A value of the document: where its text begins and ends, and the pairs of a mapping."""

    start: int
    end: int
    kind: str
    flow: bool = False
    text: str = ""
    pairs: list[tuple[_Node, _Node]] = field(default_factory=list)

    def get(self, key: str) -> _Node | None:
        return next((value for name, value in self.pairs if name.text == key), None)


def set_options(path: Path, place: str, component: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
    """Write options of the component at ``place`` into a config file.

    Comments, order and layout stay. The file is written whole or not at all, and only when it then says what
    it said before, with the changed options.

    Parameters
    ----------
    path : Path
        A config file; of a symbolic link the file it points to.
    place : str
        A component's place, for example ``"labels.labeler"``.
    component : mapping
        ``type`` and options that are written where the file has no mapping: none at all, or a bare name.
    changed : mapping
        Options to write.

    Raises
    ------
    ConfigError
        When the text does not allow it, as where another place refers to a value by an alias.
    RunError
        When the file cannot be written.
    """
    path = path.resolve()
    raw = path.read_bytes().decode("utf-8")
    bom, text = (_BOM, raw[1:]) if raw.startswith(_BOM) else ("", raw)
    plain = {key: plain_data(value) for key, value in changed.items()}
    wanted = _changed_tree(strict_yaml.parse(text, str(path)).value, place, component, plain)
    try:
        edited = _edited(text, place, component, plain)
        if strict_yaml.parse(edited, str(path)).value != wanted:
            raise ConfigError("other values would change with them")
        from_tree(wanted, Origin(path.parent))
    except ConfigError as error:
        raise ConfigError(
            f"{path}: {place}: the options cannot be written in place ({error}); write them yourself: "
            f"{strict_yaml.dump_inline(plain)}"
        ) from None
    mode = stat.S_IMODE(path.stat().st_mode)
    write_bytes_atomic(path, (bom + edited).encode())
    path.chmod(mode)


def _changed_tree(
    tree: Any,  # noqa: ANN401
    place: str,
    component: Mapping[str, Any],
    changed: Mapping[str, Any],
) -> dict[str, Any]:
    result: dict[str, Any] = copy.deepcopy(tree) or {}
    *sections, last = place.split(".")
    holder = result
    for name in sections:
        holder[name] = dict(holder.get(name) or {})
        holder = holder[name]
    now = holder.get(last)
    holder[last] = {**(now if isinstance(now, dict) else plain_data(component)), **changed}
    return result


def _edited(text: str, place: str, component: Mapping[str, Any], changed: Mapping[str, Any]) -> str:
    *sections, last = place.split(".")
    full = {**plain_data(component), **changed}
    holder = _tree(text)
    for depth, name in enumerate(sections):
        found = _mapping(holder.get(name), name)
        if found is None:
            for key in (last, *reversed(sections[depth + 1 :])):
                full = {key: full}
            return _put(text, holder, {name: full}, after=None)
        holder = found
    node = holder.get(last)
    if node is not None and node.kind == "alias":
        raise ConfigError(f"{last} is an alias")
    if node is None or node.kind != "mapping":
        return _put(text, holder, {last: full}, after=None)
    return _put(text, node, changed, after="type")


def _mapping(node: _Node | None, name: str) -> _Node | None:
    """Return a mapping that can be edited; None where there is none, or one without a pair."""
    if node is not None and node.kind == "alias":
        raise ConfigError(f"{name} is an alias")
    return node if node is not None and node.pairs else None


def _put(text: str, mapping: _Node, changed: Mapping[str, Any], after: str | None) -> str:
    """Return the text with keys of a mapping replaced, or added: behind ``after``, by default first."""
    edits: list[tuple[int, int, str]] = []
    new: dict[str, str] = {}
    for key, value in changed.items():
        node = mapping.get(key)
        inline = strict_yaml.dump_inline(value)
        if node is None:
            new[key] = inline
        elif node.kind == "alias" or strict_yaml.parse(text[node.start : node.end], key).value != value:
            space = " " if node.start == node.end else ""  # behind the colon of a key without a value
            edits.append((node.start, node.end, space + inline))
    if new:
        edits.append(_insertion(text, mapping, new, after))
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


def _insertion(text: str, mapping: _Node, new: Mapping[str, str], after: str | None) -> tuple[int, int, str]:
    pairs = [f"{strict_yaml.dump_inline(key)}: {value}" for key, value in new.items()]
    newline = "\r\n" if "\r\n" in text else "\n"
    if not mapping.pairs:
        raise ConfigError("there is an empty mapping")
    if mapping.flow:
        end = mapping.pairs[-1][1].end
        return end, end, "".join(f", {pair}" for pair in pairs)
    first = mapping.pairs[0][0].start
    indent = " " * (first - (text.rfind("\n", 0, first) + 1))
    node = mapping.get(after) if after is not None else None
    if node is None:
        return first, first, "".join(f"{pair}{newline}{indent}" for pair in pairs)
    end = text.find("\n", node.end)
    end = len(text) if end < 0 else end - text[:end].endswith("\r")
    return end, end, "".join(f"{newline}{indent}{pair}" for pair in pairs)


def _tree(text: str) -> _Node:
    # SafeLoader: events know no types, so that it reads as the strict loader does.
    events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
    for event in events:
        if isinstance(event, yaml.NodeEvent):
            return _node(event, events)
    raise ConfigError("the file is empty")


def _node(event: Any, events: Iterator[Any]) -> _Node:  # noqa: ANN401 - events of yaml
    start, end = event.start_mark.index, event.end_mark.index
    kind = type(event).__name__
    if kind == "AliasEvent":
        return _Node(start, end, "alias")
    if kind == "ScalarEvent":
        return _Node(start, end, "scalar", text=event.value)
    mapping = kind == "MappingStartEvent"
    node = _Node(start, end, "mapping" if mapping else "sequence", flow=bool(event.flow_style))
    inner = next(events)
    while not type(inner).__name__.endswith("EndEvent"):
        key = _node(inner, events)
        if mapping:
            node.pairs.append((key, _node(next(events), events)))
        inner = next(events)
    node.end = inner.end_mark.index
    return node
