"""How the kernel is compiled: one decorator, and views without reference counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import njit
from numba.extending import intrinsic
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _version() -> str:
    files = [path.stat() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return f"{numba.__version__} {[(file.st_mtime_ns, file.st_size) for file in files]}"


VERSION = _version()
"""Of the cached code: numba itself looks only at the file in which a function stands."""


def compiled(function: _Function) -> _Function:
    """Compile a function with numba, inlined where it is called, and cached on disk.

    The cache is dropped when any file of this package changes.
    """
    dispatcher: Any = njit(cache=True, error_model="numpy", forceinline=True, nogil=True)(function)
    dispatcher._cache._cache_file._version = VERSION
    return cast(_Function, dispatcher)


def _without_owner(typing_context: Any, array: Any) -> tuple[Any, Any]:  # noqa: ANN401 - numba's own types
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        view.meminfo = view.meminfo.type(None)
        return view._getvalue()

    return array(array), codegen


borrowed = cast(Callable[[NDArray[Any]], NDArray[Any]], intrinsic(_without_owner))
"""View of an array that does not count references; the array itself has to outlive it.

Inner functions would otherwise count state and trades up and down on every bar, with atomic operations
that take three times as long as the accounting.
"""


def outlined(function: _Function) -> _Function:
    """Compile a function that is called, not inlined: for what is rare, to keep the common path short."""
    options: Any = {"cache": True, "error_model": "numpy", "nogil": True, "no_cpython_wrapper": True}
    dispatcher: Any = njit(**options)(function)
    dispatcher._cache._cache_file._version = VERSION
    return cast(_Function, dispatcher)
