"""A vector of `LANES` numbers, one of each sample of a group, as a value inside numba kernels.

Samples of a batch are independent, so the kernels work on `LANES` of them at once: activations lie as
(channels, steps, LANES), and `load` and `store` move the lanes of one channel at one step between memory
and a vector register. Arithmetic on such a value is one instruction for all samples, whatever the number of
heads, channels or steps; a compiler that finds vectors by itself needs long loops without aliases, and the
loops over the channels of a head are short.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model
from numpy.typing import NDArray

Array = NDArray[Any]
Lanes: TypeAlias = Any
"""What `load` returns; it exists in compiled code only."""

LANES = 8
"""Samples in a group: eight float32 fill a 256-bit register."""

_BITS = {types.float32: 32, types.float64: 64}
_FLAGS = ("contract",)  # a product and the sum it goes into may become one fused operation


class LanesType(types.Type):
    """numba's type of a vector of `LANES` floating point numbers or integers."""

    def __init__(self, dtype: Any) -> None:  # noqa: ANN401 - numba's own types
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype}, {LANES})")


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, type_: Any) -> None:  # noqa: ANN401
        super().__init__(manager, type_, _vector(type_))  # type: ignore[no-untyped-call]


def _vector(type_: Any) -> ir.VectorType:  # noqa: ANN401
    number = ir.FloatType() if type_.dtype == types.float32 else ir.DoubleType()
    return ir.VectorType(number, LANES)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, place: list[Any]) -> Any:  # noqa: ANN401
    """Return the address of the lanes at ``place`` (channel, step) of a C-contiguous array."""
    view = context.make_array(array_type)(context, builder, array)
    shape = cgutils.unpack_tuple(builder, view.shape)  # type: ignore[no-untyped-call]
    index = place[0]
    for size, step in zip(shape[1:-1], place[1:], strict=True):
        index = builder.add(builder.mul(index, size), step)
    index = builder.mul(index, ir.Constant(index.type, LANES))
    return builder.gep(view.data, [index], inbounds=True)


def _loading(typing_context: Any, array: Any, *place: Any) -> Any:  # noqa: ANN401
    lanes = LanesType(array.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        places = [
            context.cast(builder, value, kind, types.intp)
            for value, kind in zip(arguments[1:], signature.args[1:], strict=True)
        ]
        pointer = _pointer(context, builder, signature.args[0], arguments[0], places)
        vector = _vector(lanes)
        loaded = builder.load(builder.bitcast(pointer, vector.as_pointer()), typ=vector)
        loaded.align = _BITS[array.dtype] // 8
        return loaded

    return lanes(array, *place), codegen


def _load(typing_context: Any, array: Any, channel: Any, step: Any) -> tuple[Any, Any]:  # noqa: ANN401
    return _loading(typing_context, array, channel, step)  # type: ignore[no-any-return]


load = cast(Callable[[Array, int, int], Lanes], intrinsic(_load))
"""Return the lanes of ``array[channel, step]``; no bounds are checked."""


def _store(typing_context: Any, array: Any, channel: Any, step: Any, value: Any) -> tuple[Any, Any]:  # noqa: ANN401
    several = isinstance(value, types.BaseTuple)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        places = [
            context.cast(builder, value, kind, types.intp)
            for value, kind in zip(arguments[1:3], signature.args[1:3], strict=True)
        ]
        pointer = _pointer(context, builder, signature.args[0], arguments[0], places)
        vectors = [arguments[3]]
        if several:
            vectors = cgutils.unpack_tuple(builder, arguments[3])  # type: ignore[no-untyped-call]
        for place, vector in enumerate(vectors):
            target = builder.gep(pointer, [ir.Constant(ir.IntType(64), place * LANES)], inbounds=True)
            written = builder.store(vector, builder.bitcast(target, vector.type.as_pointer()))
            written.align = _BITS[array.dtype] // 8
        return context.get_dummy_value()

    return types.void(array, channel, step, value), codegen


store = cast(Callable[[Array, int, int, Lanes], None], intrinsic(_store))
"""Write the lanes of ``array[channel, step]``, or a tuple of them to the steps from ``step`` on.

No bounds are checked.
"""


def _splatted(builder: Any, number: Any, vector: Any) -> Any:  # noqa: ANN401
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, empty, mask)


def _splat(typing_context: Any, number: Any, like: Any) -> tuple[Any, Any]:  # noqa: ANN401
    lanes = LanesType(like.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        value = context.cast(builder, arguments[0], signature.args[0], lanes.dtype)
        return _splatted(builder, value, _vector(lanes))

    return lanes(number, like), codegen


splat = cast(Callable[[float, Any], Lanes], intrinsic(_splat))
"""Return ``number`` in every lane; ``like`` is an array or lanes of the wanted dtype."""


class _TwoValues(AbstractTemplate):
    """Types of an operation on two values of which at least one is lanes; numbers are spread over them."""

    def generic(self, args: Any, kws: Any) -> Any:  # noqa: ANN401
        for value in args:
            if isinstance(value, LanesType):
                return signature(value, *args)  # type: ignore[no-untyped-call]
        return None


def _binary(function: Callable[..., Any], emit: Callable[[Any, Any, Any], Any]) -> None:
    """Teach numba ``function`` of two values, at least one of them lanes, from what emits it."""

    def codegen(context: Any, builder: Any, types_: Any, arguments: Any) -> Any:  # noqa: ANN401
        lanes = types_.return_type
        both = []
        for value, kind in zip(arguments, types_.args, strict=True):
            if isinstance(kind, LanesType):
                both.append(value)
            else:
                number = context.cast(builder, value, kind, lanes.dtype)
                both.append(_splatted(builder, number, _vector(lanes)))
        return emit(builder, *both)

    infer_global(function)(type(f"_{function.__name__}", (_TwoValues,), {"key": function}))  # type: ignore[no-untyped-call]
    for left, right in ((LanesType, LanesType), (LanesType, types.Number), (types.Number, LanesType)):
        lower_builtin(function, left, right)(codegen)  # type: ignore[no-untyped-call]


def maximum(left: Any, right: Any) -> Any:  # noqa: ANN401 - lanes exist in compiled code only
    """Return the larger of two values in each lane; NaN when the first is NaN."""
    raise NotImplementedError("for compiled code only")


def minimum(left: Any, right: Any) -> Any:  # noqa: ANN401
    """Return the smaller of two values in each lane; NaN when the first is NaN."""
    raise NotImplementedError("for compiled code only")


def _where(comparison: str) -> Callable[[Any, Any, Any], Any]:
    return lambda builder, a, b: builder.select(builder.fcmp_unordered(comparison, a, b), a, b)


_binary(operator.add, lambda builder, a, b: builder.fadd(a, b, flags=_FLAGS))
_binary(operator.sub, lambda builder, a, b: builder.fsub(a, b, flags=_FLAGS))
_binary(operator.mul, lambda builder, a, b: builder.fmul(a, b, flags=_FLAGS))
_binary(operator.truediv, lambda builder, a, b: builder.fdiv(a, b, flags=_FLAGS))
_binary(maximum, _where(">"))
_binary(minimum, _where("<"))


def _round_half_even(typing_context: Any, value: Any) -> tuple[Any, Any]:  # noqa: ANN401

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return _call(builder, "llvm.rint", arguments[0])

    return value(value), codegen


round_half_even = cast(Callable[[Lanes], Lanes], intrinsic(_round_half_even))
"""Return the nearest whole numbers."""


def _square_root(typing_context: Any, value: Any) -> tuple[Any, Any]:  # noqa: ANN401

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return _call(builder, "llvm.sqrt", arguments[0])

    return value(value), codegen


square_root = cast(Callable[[Lanes], Lanes], intrinsic(_square_root))
"""Return the square roots."""


def _magnitude(typing_context: Any, value: Any) -> tuple[Any, Any]:  # noqa: ANN401

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return _call(builder, "llvm.fabs", arguments[0])

    return value(value), codegen


magnitude = cast(Callable[[Lanes], Lanes], intrinsic(_magnitude))
"""Return the absolute values."""


def _call(builder: Any, name: str, vector: Any) -> Any:  # noqa: ANN401
    suffix = "f32" if isinstance(vector.type.element, ir.FloatType) else "f64"
    function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module, ir.FunctionType(vector.type, [vector.type]), f"{name}.v{LANES}{suffix}"
    )
    return builder.call(function, [vector])


def _power_of_two(typing_context: Any, value: Any) -> tuple[Any, Any]:  # noqa: ANN401
    bits = _BITS[value.dtype]
    bias, shift = (127, 23) if bits == 32 else (1023, 52)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        whole = ir.VectorType(ir.IntType(bits), LANES)
        exponent = builder.fptosi(arguments[0], whole)
        biased = builder.add(exponent, ir.Constant(whole, [bias] * LANES))
        shifted = builder.shl(biased, ir.Constant(whole, [shift] * LANES))
        return builder.bitcast(shifted, arguments[0].type)

    return value(value), codegen


power_of_two = cast(Callable[[Lanes], Lanes], intrinsic(_power_of_two))
"""Return 2 to the power of lanes that hold whole numbers within the exponents of the dtype."""


def _choose(typing_context: Any, condition: Any, positive: Any, otherwise: Any) -> tuple[Any, Any]:  # noqa: ANN401

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        zero = ir.Constant(arguments[0].type, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered(">=", arguments[0], zero), arguments[1], arguments[2])

    return positive(condition, positive, otherwise), codegen


choose = cast(Callable[[Lanes, Lanes, Lanes], Lanes], intrinsic(_choose))
"""Return ``positive`` in the lanes where ``condition`` is at least 0, else ``otherwise``."""


def _total(typing_context: Any, value: Any) -> tuple[Any, Any]:  # noqa: ANN401

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        vector, width = arguments[0], LANES
        while width > 1:  # add the upper half to the lower one
            width //= 2
            empty = ir.Constant(vector.type, ir.Undefined)

            def half(first: int, vector: Any = vector, empty: Any = empty, width: int = width) -> Any:  # noqa: ANN401
                places = list(range(first, first + width))
                mask = ir.Constant(ir.VectorType(ir.IntType(32), width), places)
                return builder.shuffle_vector(vector, empty, mask)

            vector = builder.fadd(half(0), half(width))
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return value.dtype(value), codegen


total = cast(Callable[[Lanes], float], intrinsic(_total))
"""Return the sum of all lanes, always added in the same order."""
