"""`Component`: one named, selectable part, and the marker for hook functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pluggy

PROJECT = "simengine"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


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
