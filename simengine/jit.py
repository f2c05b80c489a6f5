"""Compiling with numba, cached on disk for as long as no file of the package changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def code_version(folder: Path) -> str:
    """Return what identifies the code in ``folder``: numba's version, times and sizes of its files."""
    files = [path.stat() for path in sorted(folder.glob("*.py"))]
    return f"{numba.__version__} {[(file.st_mtime_ns, file.st_size) for file in files]}"


def njit_cached(function: _Function, version: str, **options: Any) -> _Function:  # noqa: ANN401
    """Compile a function with numba and cache it on disk under ``version``.

    numba itself looks only at the file in which a function stands, not at those it calls into; with the
    `code_version` of its package the cache is dropped when any of them changes. Options are those of
    ``numba.njit``; without them the function releases the GIL and divides as NumPy does.
    """
    settings: Any = {"cache": True, "error_model": "numpy", "nogil": True, **options}
    dispatcher: Any = numba.njit(**settings)(function)
    dispatcher._cache._cache_file._version = version
    return cast(_Function, dispatcher)
