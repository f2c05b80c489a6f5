"""Running the layers of recorded cases: outputs, gradients and states under the official names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from golden_cases import LayerCase

from simengine.model.base import Mode
from simengine.model.from_official import layer_from_official_config
from simengine.model.fused import runs_fused
from simengine.model.large import MLSTMLarge
from simengine.model.mlstm import MLSTM
from simengine.model.official import load_official_state_dict, to_official_state_dict
from simengine.model.official_names import entries_of, split_fused
from simengine.model.slstm import SLSTM

RunMode = Literal["eager", "graph", "xla"]
"""How operations are run: one by one, as a graph, or compiled."""


def as_mode(function: Callable[..., Any], mode: RunMode) -> Callable[..., Any]:
    """Return a function to be run in this mode."""
    return function if mode == "eager" else tf.function(function, jit_compile=mode == "xla")


def build(case: LayerCase, dtype: str = "float32", **options: Any) -> Any:
    """Return the layer of a case with its weights."""
    layer = layer_from_official_config(case.config, names=case.weights, dtype=dtype, **options)
    load_official_state_dict(layer, case.weights)
    return layer


def computed_by(layer: Any) -> str:
    """Return which kernels compute the memories of a layer over a sequence: native, tensorflow or both."""
    memories = [part for part in layer._flatten_layers() if isinstance(part, MLSTM | SLSTM | MLSTMLarge)]
    native = [isinstance(part, MLSTM | SLSTM) and runs_fused(part, Mode()) for part in memories]
    return "native" if all(native) else "both" if any(native) else "tensorflow"


def forward_and_gradients(
    layer: Any, case: LayerCase, mode: RunMode = "graph"
) -> tuple[Any, Any, dict[str, Any]]:
    """Return y, dx and the gradients of the parameters by official name."""
    variables = layer.trainable_variables

    def run(x: tf.Tensor, dy: tf.Tensor) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            total = tf.reduce_sum(y * dy)
        return y, tape.gradient(total, [x, *(variable.value for variable in variables)])

    dtype = layer.compute_dtype
    y, (dx, *gradients) = as_mode(run, mode)(tf.constant(case.x, dtype), tf.constant(case.dy, dtype))
    # A gradient of None: the parameter takes no part, as the recurrent weights in a single step.
    by_path = {
        variable.path: np.zeros(variable.shape) if gradient is None else gradient.numpy()
        for variable, gradient in zip(variables, gradients, strict=True)
    }
    return y.numpy(), dx.numpy(), to_official_state_dict(layer, values=by_path)


def final_states(layer: Any, case: LayerCase, mode: RunMode = "graph") -> dict[str, Any]:
    """Return the states after the whole sequence, from the official start, by official name."""

    def run(x: tf.Tensor) -> Any:
        return layer(x, initial_state=layer.initial_state(len(case.x), official=True), return_state=True)[1]

    return official_states(layer, as_mode(run, mode)(tf.constant(case.x, layer.compute_dtype)))


def stepwise(layer: Any, case: LayerCase, mode: RunMode = "graph") -> tuple[Any, dict[str, Any]]:
    """Return the last output and the states of the stepwise run, from the official start."""
    step = as_mode(layer.step, mode)
    state, y = layer.initial_state(len(case.x), official=True), None
    for x in np.moveaxis(case.x, 1, 0):
        y, state = step(tf.constant(x, layer.compute_dtype), state)
    return y.numpy(), official_states(layer, state)


def expected_gradients(layer: Any, case: LayerCase) -> dict[str, Any]:
    """Return the official gradients of the parameters, the fused ones of xLSTM-7B in their parts."""
    return split_fused(case.gradients, entries_of(layer))


def official_states(layer: Any, state: Any) -> dict[str, Any]:
    """Return a state of ours under the official names.

    Of an sLSTM ``conv_state.0`` and ``slstm_state``, of an mLSTM ``conv_state.0`` and ``mlstm_state.0`` to
    ``.2`` (C, n, m), below ``block_<index>`` in a stack. The official kernels of xLSTM-7B scale the queries
    by 1 / sqrt(DH) where the others, and ours, scale the keys: its C and n are larger by sqrt(DH).
    """
    if hasattr(layer, "blocks"):
        return {
            f"block_{index}.{name}": array
            for index, (block, part) in enumerate(zip(layer.blocks, state, strict=True))
            for name, array in official_states(block, part).items()
        }
    memory = getattr(layer, "memory", layer)
    arrays = [np.asarray(array) for array in state]
    if isinstance(memory, MLSTMLarge):
        factors = (math.sqrt(memory.key_dim), math.sqrt(memory.key_dim), 1.0)
        arrays = [array * factor for array, factor in zip(arrays, factors, strict=True)]
    has_conv = getattr(memory, "conv", None) is not None
    named = {"conv_state.0": arrays.pop(0)} if has_conv else {}
    if isinstance(memory, SLSTM):
        return {**named, "slstm_state": arrays[0]}
    return {**named, **{f"mlstm_state.{index}": array for index, array in enumerate(arrays)}}
