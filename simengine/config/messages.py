"""Validation errors as one line each: the place, what was expected, what was received."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from simengine.errors import did_you_mean, unknown_name

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Place = tuple[str, ...]
Locate = Callable[[str], str | None]
"""Dotted place to where it was written, for example ``"config.yaml:12"``; None when unknown."""


class Problem(NamedTuple):
    """One problem: the place it concerns, the sentence, and the place whose line is named."""

    place: Place
    message: str
    at: Place

    def line(self, locate: Locate | None, prefix: str = "") -> str:
        """Return the one line of the problem; ``prefix`` is the place of the validated part."""
        at, place = (".".join(filter(None, (prefix, *keys))) for keys in (self.at, self.place))
        return line(locate, place, self.message, at)


_EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "null",
    "per_class": "sell, hold and buy (a mapping, or a list in that order)",
}
_BOUNDS = {"greater_than": ("gt", ">"), "greater_than_equal": ("ge", ">="), "less_than": ("lt", "<"),
           "less_than_equal": ("le", "<=")}  # fmt: skip


def shown(value: object) -> str:
    """Return ``value`` as an error message shows it: its repr, at most 60 characters."""
    text = "null" if value is None else repr(value)
    text = {"True": "true", "False": "false"}.get(text, text)
    return text if len(text) <= 60 else f"{text[:57]}..."


def line(locate: Locate | None, place: str, message: str, at: str | None = None) -> str:
    """Return ``location: place: message``, leaving out what is not known.

    The location is that of ``at``, by default of ``place`` itself.
    """
    location = locate(place if at is None else at) if locate else None
    return ": ".join(part for part in (location, place, " ".join(message.split())) if part)


def problems(
    error: ValidationError, data: object, known: Callable[[Place], Iterable[str]], what: str = "key"
) -> list[Problem]:
    """Return every problem of a validation.

    Parameters
    ----------
    error : ValidationError
        What pydantic found.
    data : object
        The data that was validated; tells places from pydantic's names of union members.
    known : callable
        Names that are allowed at a place, for the did-you-mean of unknown ones.
    what : str
        What a name is called: "key" in sections, "option" in components.
    """
    groups: dict[tuple[Place, bool], list[ErrorDetails]] = {}
    for item in error.errors(include_url=False):
        place = _real_place(item, data)
        unknown = item["type"] in ("extra_forbidden", "unexpected_keyword_argument")
        groups.setdefault((place, unknown), []).append(item)
    found = []
    for (place, unknown), items in groups.items():
        if any(other != place and other[: len(place)] == place for other, _ in groups):
            continue  # the other member of a union came further into the value: its problem is meant
        if unknown:
            parent, name = place[:-1], place[-1]
            found.append(Problem(parent, unknown_name(what, name, known(parent)), place))
        else:
            found.append(Problem(place, _describe(items), place))
    return found


def _real_place(item: ErrorDetails, data: object) -> Place:
    place: list[str] = []
    last = len(item["loc"]) - 1
    for position, key in enumerate(item["loc"]):
        if isinstance(data, Mapping) and key in data:
            data = data[key]
        elif isinstance(data, Sequence) and not isinstance(data, str) and isinstance(key, int):
            data = data[key] if key < len(data) else None
        elif not (position == last and item["type"] in ("missing", "default_type")) and position > 0:
            continue
        place.append(str(key))
    return tuple(place)


def _describe(items: list[ErrorDetails]) -> str:
    received = f", received {shown(items[0]['input'])}"
    expected = [_expected(item) for item in items]
    if all(expected):
        hint = did_you_mean(items[0]["input"], _literals(items)) if isinstance(items[0]["input"], str) else ""
        return "expected " + " or ".join(dict.fromkeys(filter(None, expected))) + received + hint
    # Of a union, the member whose type fits is the one that was meant.
    meant = [item for item, other_type in zip(items, expected, strict=True) if not other_type]
    return " or ".join(dict.fromkeys(_sentence(item, received) for item in meant))


def _expected(item: ErrorDetails) -> str | None:
    if item["type"] in ("literal_error", "enum"):
        return str(item["ctx"]["expected"])
    return _EXPECTED.get(item["type"])


def _literals(items: list[ErrorDetails]) -> list[str]:
    return [word for item in items if "ctx" in item
            for word in re.findall(r"'([^']*)'", str(item["ctx"].get("expected", "")))]  # fmt: skip


def _sentence(item: ErrorDetails, received: str) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind in ("missing", "missing_argument"):
        return "is required and was not given"
    if kind == "value_error":
        return str(context["error"])
    if kind in _BOUNDS:
        key, sign = _BOUNDS[kind]
        return f"must be {sign} {context[key]:g}{received}" if _is_number(context[key]) else item["msg"]
    if kind in ("too_short", "too_long"):
        bound = (
            f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        )
        return f"needs {bound} items{received}"
    if kind == "string_too_short":
        return f"must not be empty{received}" if context["min_length"] == 1 else item["msg"] + received
    expected = _expected(item)
    return (f"expected {expected}" if expected else item["msg"][0].lower() + item["msg"][1:]) + received


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, int | float) and not isinstance(value, bool)
