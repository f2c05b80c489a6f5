"""How the kernels of this package are compiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from simengine.jit import code_version, njit_cached

_Function = TypeVar("_Function", bound=Callable[..., Any])

VERSION = code_version(Path(__file__).parent)


def compiled(function: _Function) -> _Function:
    """Compile a function that is called from Python or from another kernel, cached on disk."""
    return njit_cached(function, VERSION)


def inlined(function: _Function) -> _Function:
    """Compile a function that is copied into its caller: for the loops that run for every pair."""
    return njit_cached(function, VERSION, forceinline=True)
