"""The native kernels as TensorFlow operations with gradients.

They run on the CPU, in float32 or float64, in eager mode and in graphs; XLA cannot compile a graph that holds
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from simengine.model.native import mlstm as mlstm_kernels
from simengine.model.native import mlstm_back, mlstm_values
from simengine.model.native import slstm as slstm_kernels
from simengine.model.native.mlstm_values import MLSTMWeights
from simengine.model.native.slstm import Masks, SLSTMWeights
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
        in_parts(len(x), lambda first, last: mlstm_kernels.forward(x, weights, result, first, last))
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
        mlstm_back.backward(x, dy, weights, transposed, dx, gradients, first, last)
        return gradients

    return [dx, *_summed(in_parts(len(x), part), weights)]


def _slstm_forward(queries: int) -> Callable[..., Array]:
    def run(x: Array, hidden: Array, recurrent: Array, *arrays: Array) -> Array:
        x, weights, masks = _frozen(x), _fields(SLSTMWeights, arrays), _fields(Masks, (hidden, recurrent))
        result = np.empty((x.shape[0], min(queries, x.shape[1]), x.shape[2]), x.dtype)
        in_parts(len(x), lambda first, last: slstm_kernels.forward(x, masks, weights, result, first, last))
        return result

    return run


def _slstm_backward(dy: Array, x: Array, hidden: Array, recurrent: Array, *arrays: Array) -> list[Array]:
    x, dy, weights = _frozen(x), _frozen(dy), _fields(SLSTMWeights, arrays)
    masks = _fields(Masks, (hidden, recurrent))
    transposed = slstm_kernels.Transposed(
        *(_transposed(getattr(weights, name)) for name in slstm_kernels.Transposed._fields)
    )
    dx = np.empty_like(x)

    def part(first: int, last: int) -> tuple[Array, ...]:
        gradients = SLSTMWeights(*(np.zeros_like(array) for array in weights))
        slstm_kernels.backward(x, masks, dy, weights, transposed, dx, gradients, first, last)
        return gradients

    return [dx, *_summed(in_parts(len(x), part), weights)]


def _called(function: Callable[..., Any], inputs: list[tf.Tensor], outputs: int) -> Any:  # noqa: ANN401
    kinds = [inputs[0].dtype] * outputs
    return tf.numpy_function(function, inputs, kinds[0] if outputs == 1 else kinds, stateful=False)


def _shaped(values: list[tf.Tensor], like: list[tf.Tensor]) -> list[tf.Tensor]:
    for value, source in zip(values, like, strict=True):
        value.set_shape(source.shape)
    return values


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

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def apply(*inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        y = _called(_mlstm_forward(queries), list(inputs), 1)
        y.set_shape((inputs[0].shape[0], queries, inputs[0].shape[2]))

        def grad(dy: tf.Tensor) -> list[tf.Tensor]:
            return _shaped(_called(_mlstm_backward, [dy, *inputs], len(inputs)), list(inputs))

        return y, grad

    return apply(x, *(tf.convert_to_tensor(weight) for weight in weights))


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

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def apply(*inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        first, rest = inputs[0], list(inputs[1:])
        y = _called(_slstm_forward(queries), [first, *kept, *rest], 1)
        y.set_shape((first.shape[0], queries, first.shape[2]))

        def grad(dy: tf.Tensor) -> list[tf.Tensor]:
            return _shaped(_called(_slstm_backward, [dy, first, *kept, *rest], len(inputs)), list(inputs))

        return y, grad

    return apply(x, *(tf.convert_to_tensor(weight) for weight in weights))
