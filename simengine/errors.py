"""Errors that a user can act on: each is one line that says what, where and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SimengineError(Exception):
    """Base of every error that is shown to the user without a traceback."""

    exit_code = 2


class ConfigError(SimengineError):
    """The configuration is not valid."""


class PluginError(SimengineError):
    """A plugin could not be loaded, or breaks the contract of its kind."""


class DataError(SimengineError):
    """The bars cannot be used as they are."""


class RunError(SimengineError):
    """A run directory is missing something, or two runs cannot be compared."""


class MissingExtraError(SimengineError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'simengine-xlstm[{extra}]'")


class CheckFailedError(SimengineError):
    """A stated check on the data or the result failed; the input itself was understood."""

    exit_code = 1


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Return the standard sentence for a name that is not among the known ones."""
    names = sorted(known)
    return f"unknown {what} {name!r}{did_you_mean(name, names)}; known: {', '.join(names) or 'none'}"
