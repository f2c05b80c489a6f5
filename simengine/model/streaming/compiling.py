"""How the streaming kernels are compiled, and how they look into flat arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from simengine.jit import code_version, njit_cached

_Function = TypeVar("_Function", bound=Callable[..., Any])

VERSION = code_version(Path(__file__).parent)
CONTRACT = {"contract"}
"""A multiplication and an addition may become one instruction; inf and NaN keep their meaning."""
REASSOCIATE = {"contract", "reassoc", "nsz"}
"""Sums may moreover be taken in another order, which lets them use vector registers."""
# What is not stated, numba takes from the caller that it happens to compile first.
_CALLED: dict[str, Any] = {"no_cpython_wrapper": True, "forceinline": False}


def compiled(function: _Function) -> _Function:
    """Compile a function that is inlined where it is called, cached until a file of this folder changes."""
    return njit_cached(function, VERSION, forceinline=True, fastmath=CONTRACT)


def outlined(function: _Function) -> _Function:
    """Compile a function that is called, not inlined: its loops are long and its callers many."""
    return njit_cached(function, VERSION, **_CALLED, fastmath=CONTRACT)


def summing(function: _Function) -> _Function:
    """Compile a function that may add up in any order, called rather than inlined."""
    return njit_cached(function, VERSION, **_CALLED, fastmath=REASSOCIATE)


def merged(function: _Function) -> _Function:
    """Mark a function that becomes part of its caller before anything is compiled.

    For the upper levels: everything that a compiled function calls is optimised once more with it.
    """
    return njit_cached(function, VERSION, inline="always", fastmath=CONTRACT)


def entry(function: _Function) -> _Function:
    """Compile a function that Python calls."""
    return njit_cached(function, VERSION, fastmath=CONTRACT)


def _view(context: Any, builder: Any, kind: Any, source: tuple[Any, Any, Any], shape: list[Any]) -> Any:  # noqa: ANN401
    array_type, array, offset = source
    data = builder.gep(context.make_array(array_type)(context, builder, array).data, [offset])
    size = context.get_constant(types.intp, kind.dtype.bitwidth // 8)
    strides = [size]
    for extent in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], extent))
    view = context.make_array(kind)(context, builder)
    # Without an owner nothing counts references, which would cost more than the short loops here.
    context.populate_array(view, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
    return view._getvalue()


def _row(typing_context: Any, array: Any, offset: Any, size: Any) -> tuple[Any, Any]:  # noqa: ANN401
    kind = types.Array(array.dtype, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return _view(context, builder, kind, (signature.args[0], *arguments[:2]), [arguments[2]])

    return kind(array, types.intp, types.intp), codegen


def _matrix(typing_context: Any, array: Any, offset: Any, rows: Any, columns: Any) -> tuple[Any, Any]:  # noqa: ANN401
    kind = types.Array(array.dtype, 2, "C")

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return _view(context, builder, kind, (signature.args[0], *arguments[:2]), list(arguments[2:]))

    return kind(array, types.intp, types.intp, types.intp), codegen


def _stay_apart(typing_context: Any) -> tuple[Any, Any]:  # noqa: ANN401
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


stay_apart = cast(Callable[[], None], intrinsic(_stay_apart))
"""Called in a function, keeps it from being inlined.

The optimiser would otherwise copy long loops into every caller, and those into theirs: it took a minute.
"""

row = cast(Callable[[NDArray[Any], int, int], NDArray[Any]], intrinsic(_row))
"""``row(array, offset, size)``: ``size`` values of a contiguous array of any shape, from a flat offset on.

Neither `row` nor `matrix` checks bounds or keeps the array alive: the array must outlive the view.
"""

matrix = cast(Callable[[NDArray[Any], int, int, int], NDArray[Any]], intrinsic(_matrix))
"""``matrix(array, offset, rows, columns)``: the same as a matrix."""
