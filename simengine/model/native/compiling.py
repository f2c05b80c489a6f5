"""How the kernels of the xLSTM are compiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from simengine.jit import code_version, njit_cached

_Function = TypeVar("_Function", bound=Callable[..., Any])

VERSION = code_version(Path(__file__).parent)


def inlined(function: _Function) -> _Function:
    """Compile a function of a few operations that becomes part of its caller."""
    return njit_cached(function, VERSION, forceinline=True)


def part(function: _Function) -> _Function:
    """Compile a function that is called from other kernels only."""
    return njit_cached(function, VERSION, no_cpython_wrapper=True)


def merged(function: _Function) -> _Function:
    """Mark a function that becomes part of its caller before anything is compiled.

    For the upper levels: everything that a compiled function calls is optimised once more with it.
    """
    return njit_cached(function, VERSION, inline="always")


def kernel(function: _Function) -> _Function:
    """Compile a function that is called from Python, without the GIL."""
    return njit_cached(function, VERSION)
