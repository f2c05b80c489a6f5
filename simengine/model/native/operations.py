"""The native kernels as TensorFlow operations with gradients.

They run on the CPU, in float32 or float64, in eager mode and in graphs; XLA cannot compile a graph that holds
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from simengine.model.native import mlstm as mlstm_kernels
from simengine.model.native import mlstm_back, mlstm_values, slstm_back, slstm_values
from simengine.model.native import slstm as slstm_kernels
from simengine.model.native.mlstm_values import MLSTMWeights
from simengine.model.native.slstm_values import Masks, SLSTMWeights
from simengine.model.native.threads import in_parts

Array = NDArray[Any]


def _frozen(array: Array) -> Array:
    """Return a read-only view: numba would otherwise compile anew for each mixture of the two kinds."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _transposed(array: Array) -> Array:
    return _frozen(np.ascontiguousarray(np.swapaxes(array, -1, -2)))


def _fields(kind: type[Any], arrays: tuple[Array, ...]) -> Any:  # noqa: ANN401 - a named tuple of ``kind``
    return kind(*(_frozen(array) for array in arrays))


def _summed(parts: list[tuple[Array, ...]], weights: tuple[Array, ...]) -> list[Array]:
    """Add up the gradients of all parts, in their order; without a sample they are 0."""
    total = [np.zeros_like(array) for array in weights]
    for part in parts:
        for kept, added in zip(total, part, strict=True):
            kept += added
    return total


def _mlstm_forward(queries: int) -> Callable[..., Array]:
    def run(x: Array, *arrays: Array) -> Array:
        x, weights = _frozen(x), _fields(MLSTMWeights, arrays)
        result = np.empty((x.shape[0], min(queries, x.shape[1]), x.shape[2]), x.dtype)
        in_parts(len(x), lambda *groups: mlstm_kernels.forward(x, weights, result, groups))
        return result

    return run


def _mlstm_backward(dy: Array, x: Array, *arrays: Array) -> list[Array]:
    x, dy, weights = _frozen(x), _frozen(dy), _fields(MLSTMWeights, arrays)
    transposed = mlstm_values.Transposed(
        *(_transposed(getattr(weights, name)) for name in mlstm_values.Transposed._fields)
    )
    dx = np.empty_like(x)

    def part(first: int, last: int) -> tuple[Array, ...]:
        gradients = MLSTMWeights(*(np.zeros_like(array) for array in weights))
        mlstm_back.backward(x, dy, weights, transposed, dx, gradients, (first, last))
        return gradients

    return [dx, *_summed(in_parts(len(x), part), weights)]


def _slstm_forward(queries: int) -> Callable[..., Array]:
    def run(x: Array, hidden: Array, recurrent: Array, *arrays: Array) -> Array:
        x, weights, masks = _frozen(x), _fields(SLSTMWeights, arrays), _fields(Masks, (hidden, recurrent))
        result = np.empty((x.shape[0], min(queries, x.shape[1]), x.shape[2]), x.dtype)
        in_parts(len(x), lambda *groups: slstm_kernels.forward(x, masks, weights, result, groups))
        return result

    return run


def _slstm_backward(dy: Array, x: Array, hidden: Array, recurrent: Array, *arrays: Array) -> list[Array]:
    x, dy, weights = _frozen(x), _frozen(dy), _fields(SLSTMWeights, arrays)
    masks = _fields(Masks, (hidden, recurrent))
    transposed = slstm_values.Transposed(
        *(_transposed(getattr(weights, name)) for name in slstm_values.Transposed._fields)
    )
    dx = np.empty_like(x)

    def part(first: int, last: int) -> tuple[Array, ...]:
        gradients = SLSTMWeights(*(np.zeros_like(array) for array in weights))
        slstm_back.backward(x, masks, dy, weights, transposed, dx, gradients, (first, last))
        return gradients

    return [dx, *_summed(in_parts(len(x), part), weights)]


def _called(function: Callable[..., Any], inputs: list[tf.Tensor], outputs: int) -> Any:  # noqa: ANN401
    kinds = [inputs[0].dtype] * outputs
    return tf.numpy_function(function, inputs, kinds[0] if outputs == 1 else kinds, stateful=False)


def _shaped(values: list[tf.Tensor], like: list[tf.Tensor]) -> list[tf.Tensor]:
    for value, source in zip(values, like, strict=True):
        value.set_shape(source.shape)
    return values


def _differentiable(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    x: tf.Tensor,
    queries: int,
    weights: Iterable[Any],
    constants: list[tf.Tensor],
) -> tf.Tensor:
    """Return ``forward(x, *constants, *weights)``, of which ``backward`` computes the gradient.

    ``backward(dy, x, *constants, *weights)`` returns the gradients by ``x`` and the weights.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def apply(x: tf.Tensor, *weights: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        y = _called(forward, [x, *constants, *weights], 1)
        y.set_shape((x.shape[0], queries, x.shape[2]))

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def slopes(dy: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., Any]]:
            computed = _called(backward, [dy, x, *constants, *weights], 1 + len(weights))
            return _shaped(computed, [x, *weights]), _no_second_derivative

        def grad(dy: tf.Tensor) -> list[tf.Tensor]:
            return list(slopes(dy))

        return y, grad

    return apply(x, *(tf.convert_to_tensor(weight) for weight in weights))


def _no_second_derivative(*_: tf.Tensor) -> list[tf.Tensor]:
    # Without this TensorFlow would answer None, which reads as "does not depend on it".
    raise NotImplementedError(
        "the native kernels have first derivatives only; for second ones set kernels to tensorflow"
    )


def mlstm(x: tf.Tensor, weights: MLSTMWeights, *, last_only: bool = False) -> tf.Tensor:
    """Apply an mLSTM layer, with the normalisation in front when ``weights.norm`` is not empty.

    Parameters
    ----------
    x : tensor, shape (B, S, D)
    weights : MLSTMWeights of tensors
    last_only : bool
        Whether to compute the last step only.

    Returns
    -------
    tensor, shape (B, S, D), or (B, 1, D) of the last step
    """
    queries = 1 if last_only else x.shape[1]
    return _differentiable(_mlstm_forward(queries), _mlstm_backward, x, queries, weights, [])


def slstm(x: tf.Tensor, weights: SLSTMWeights, masks: Masks, *, last_only: bool = False) -> tf.Tensor:
    """Apply an sLSTM layer, with the normalisation in front when ``weights.norm`` is not empty.

    Parameters
    ----------
    x : tensor, shape (B, S, D)
    weights : SLSTMWeights of tensors
    masks : Masks of tensors
        Factors of dropout; no gradient goes through them.
    last_only : bool
        Whether to return the last step only.

    Returns
    -------
    tensor, shape (B, S, D), or (B, 1, D) of the last step
    """
    queries = 1 if last_only else x.shape[1]
    kept = [tf.stop_gradient(mask) for mask in masks]
    return _differentiable(_slstm_forward(queries), _slstm_backward, x, queries, weights, kept)
