"""How the kernel is compiled: one decorator, and views without reference counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba.extending import intrinsic
from numpy.typing import NDArray

from simengine.jit import code_version, njit_cached

_Function = TypeVar("_Function", bound=Callable[..., Any])


VERSION = code_version(Path(__file__).parent)


def compiled(function: _Function) -> _Function:
    """Compile a function with numba, inlined where it is called, and cached on disk.

    The cache is dropped when any file of this package changes.
    """
    return njit_cached(function, VERSION, forceinline=True)


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
    return njit_cached(function, VERSION, no_cpython_wrapper=True)
