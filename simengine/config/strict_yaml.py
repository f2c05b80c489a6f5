"""Strict YAML: the core schema of YAML 1.2, line numbers kept, everything doubtful refused.

``no`` is text, ``1e-3`` a number, ``010`` ten. Duplicate keys, keys that are not text, merge keys,
tags beyond the core schema, several documents and oversized input are errors of one line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from simengine.config.messages import shown
from simengine.errors import ConfigError

MAX_BYTES = 262_144
MAX_DEPTH = 40
MAX_NODES = 20_000
MAX_DIGITS = 400

_TAG = "tag:yaml.org,2002:"
_RESOLVERS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), "~nN\0"),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("int", re.compile(r"^[-+]?[0-9]+$"), "-+0123456789"),
    (
        "float",
        re.compile(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        "-+.0123456789",
    ),
)


def _implicit_resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    table: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for name, pattern, first in _RESOLVERS:
        for letter in first:
            table.setdefault("" if letter == "\0" else letter, []).append((_TAG + name, pattern))
    return table


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _implicit_resolvers()


class _Dumper(yaml.SafeDumper):
    # The same resolvers decide what must be quoted, so that the text "1e-3" stays text.
    yaml_implicit_resolvers = _implicit_resolvers()

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Quoted otherwise, a reader turns these line breaks into newlines.
    style = '"' if any(letter in text for letter in "\r\x85\u2028\u2029") else None
    return dumper.represent_scalar(_TAG + "str", text, style=style)


_Dumper.add_representer(str, _represent_text)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document.

    Parameters
    ----------
    value : object
        Mappings, lists, text, numbers, booleans and None.
    lines : dict of str to int
        Line (from 1) of every dotted place, for example ``{"training.loss": 12}``.
    """

    value: Any
    lines: dict[str, int] = field(default_factory=dict)


def parse(text: str, origin: str) -> Document:
    """Parse one strict YAML document.

    Parameters
    ----------
    text : str
        The document.
    origin : str
        What error lines begin with, for example the file name.

    Raises
    ------
    ConfigError
        One line ``origin:line: reason``.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise ConfigError(f"{origin}: larger than {MAX_BYTES} bytes, which no config needs")
    try:
        _check_events(text, origin)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax_message(error, origin)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{origin}:{line}: control character {error.character:#04x} is not allowed"
        ) from None
    if root is None:
        return Document(None)
    return _Builder(origin).document(root)


def dump(value: Any) -> str:  # noqa: ANN401
    """Return ``value`` as YAML that `parse` reads back equal; key order is kept."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    return text


def dump_inline(value: Any) -> str:  # noqa: ANN401
    """Return ``value`` as YAML on one line, as it may stand behind a key."""
    text: str = yaml.dump(
        [value],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=sys.maxsize,
        default_flow_style=True,
    )
    return text.strip()[1:-1]


def _check_events(text: str, origin: str) -> None:
    # Composing is recursive: depth must be known to be small before it starts.
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        nodes += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        line = event.start_mark.line + 1 if event.start_mark else 1
        if depth > MAX_DEPTH:
            raise ConfigError(f"{origin}:{line}: nested deeper than {MAX_DEPTH} levels")
        if nodes > MAX_NODES:
            raise ConfigError(f"{origin}:{line}: more than {MAX_NODES} values")
        if documents > 1:
            raise ConfigError(f"{origin}:{line}: a second document begins here; a config is one document")


def _syntax_message(error: yaml.MarkedYAMLError, origin: str) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{origin}:{mark.line + 1}" if mark else origin
    problem = " ".join((error.problem or error.context or "cannot be parsed").split())
    if "'\\t'" in problem:
        problem += "; indent with spaces, not tabs"
    return f"{where}: invalid YAML: {problem}"


class _Builder:
    """Turn nodes into values, keeping lines and counting what aliases expand to."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.lines: dict[str, int] = {}
        self.count = 0
        self.open: set[int] = set()

    def document(self, root: yaml.Node) -> Document:
        return Document(self.build(root, ""), self.lines)

    def fail(self, node: yaml.Node, place: str, message: str) -> ConfigError:
        where = f"{self.origin}:{node.start_mark.line + 1}: "
        return ConfigError(where + (f"{place}: " if place else "") + message)

    def build(self, node: yaml.Node, place: str) -> Any:  # noqa: ANN401
        self.count += 1
        if self.count > MAX_NODES:
            raise self.fail(node, place, f"aliases expand to more than {MAX_NODES} values")
        if id(node) in self.open:
            raise self.fail(node, place, "an alias refers to itself")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return dict(self.pairs(node, place))
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return [self.child(item, item, place, str(row)) for row, item in enumerate(node.value)]
            if isinstance(node, yaml.ScalarNode):
                return self.scalar(node, place)
            raise self.fail(node, place, f"tag {_short(node.tag)} is not supported")
        finally:
            self.open.discard(id(node))

    def child(self, at: yaml.Node, node: yaml.Node, place: str, key: str) -> Any:  # noqa: ANN401
        inner = f"{place}.{key}" if place else key
        self.lines[inner] = at.start_mark.line + 1
        return self.build(node, inner)

    def pairs(self, node: yaml.MappingNode, place: str) -> Iterator[tuple[str, Any]]:
        first: dict[str, int] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None or key.tag != _TAG + "str":
                shown = "a list or mapping" if name is None else name or "an empty key"
                raise self.fail(key, place, f"keys must be text, received {shown}; put it in quotes")
            if name == "<<" and key.style is None:
                raise self.fail(key, place, "merge keys (<<) are not supported; write the keys out")
            inner = f"{place}.{name}" if place else name
            if name in first:
                raise self.fail(key, inner, f"duplicate key, first given in line {first[name]}")
            first[name] = key.start_mark.line + 1
            yield name, self.child(key, value, place, name)

    def scalar(self, node: yaml.ScalarNode, place: str) -> Any:  # noqa: ANN401
        text: str = node.value
        for name, pattern, _ in _RESOLVERS:
            if node.tag == _TAG + name:
                if not pattern.match(text) or len(text) > MAX_DIGITS:
                    raise self.fail(node, place, f"{shown(text)} is no {name}")
                return _number(name, text)
        if node.tag != _TAG + "str":
            raise self.fail(node, place, f"tag {_short(node.tag)} is not supported")
        return text


def _number(name: str, text: str) -> bool | int | float | None:
    if name == "null":
        return None
    if name == "bool":
        return text.lower() == "true"
    if name == "int":
        return int(text)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _short(tag: str) -> str:
    return tag.replace(_TAG, "!!")
