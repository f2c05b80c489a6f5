"""`Component`: one named, selectable part, and the marker for hook functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pluggy

PROJECT = "simengine"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

OFF = ("none", "null", "off")
"""Names that no component may have: in YAML they would read as the absence of one."""

NAME_RULE = f"lower-case letters, digits and _, and not one of {', '.join(OFF)}"
"""What `is_component_name` asks for, in words."""


def is_component_name(name: object) -> bool:
    """Return whether a component can be registered and selected under this name."""
    return isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None and name not in OFF


@dataclass(frozen=True, slots=True)
class Component:
    """A factory under the name that YAML selects it by.

    The factory's signature is the options schema: annotations are validated strictly, defaults are
    the defaults, and the first line of its docstring is its summary in lists and docs.

    Parameters
    ----------
    name : str
        Lower-case name, unique within its kind, for example ``"temperature"``.
    factory : callable
        Usually a class; called with the validated options as keyword arguments.
    """

    name: str
    factory: Callable[..., Any]
