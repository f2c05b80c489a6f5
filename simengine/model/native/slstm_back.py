"""The way back through an sLSTM layer of a group of samples; it computes the forward values again."""

from __future__ import annotations

import numpy as np

from simengine.model.native.compiling import kernel, merged
from simengine.model.native.convolution import convolve_back
from simengine.model.native.lanes import Array, load, splat, store, total
from simengine.model.native.layout import gather, scatter
from simengine.model.native.norm import normalise_back, normed_back
from simengine.model.native.products import outer, project, sum_steps
from simengine.model.native.recurrence import scan_back
from simengine.model.native.slstm import through_the_memory
from simengine.model.native.slstm_values import (
    Masks,
    Slopes,
    SLSTMWeights,
    Transposed,
    Values,
    allocate,
    allocate_slopes,
)


@merged
def _outputs_back(
    weights: SLSTMWeights, masks: Masks, values: Values, slopes: Slopes, gradients: SLSTMWeights
) -> None:
    """Go back from the outputs to the hidden states."""
    heads, width = weights.recurrent.shape[0], weights.recurrent.shape[1]
    dhidden = slopes.cells.hidden
    steps, queries = dhidden.shape[1], slopes.out.shape[1]
    for c in range(heads * width):
        summed = splat(0.0, slopes.out)
        for t in range(queries):
            v = load(slopes.out, c, t)
            summed = summed + v * load(values.read, c, t)
            store(slopes.out, c, t, v * (1.0 + weights.scale[c]))
        gradients.scale[c] += total(summed)
    for head in range(heads):
        normalise_back(values.read, values.head_inverse, head * width, width, slopes.out)
    dhidden[:] = 0.0
    for c in range(heads * width):
        for t in range(queries):
            v = load(slopes.out, c, t)
            if masks.hidden.shape[0]:
                v = v * load(values.kept, c, t)
            store(dhidden, c, steps - queries + t, v)


@merged
def _gates_back(
    weights: SLSTMWeights, transposed: Transposed, values: Values, slopes: Slopes, gradients: SLSTMWeights
) -> None:
    """Go back from the raw gates to inputs and convolved inputs."""
    heads, width = weights.recurrent.shape[0], weights.recurrent.shape[1]
    nothing = np.zeros(width, weights.scale.dtype)
    gates, previous = values.cells.gates, values.cells.previous
    for head in range(heads):
        row, gate = head * width, head * 4 * width
        middle, end = gate + 2 * width, gate + 4 * width
        slow, fast = gates[gate:middle], gates[middle:end]
        inputs, convolved = values.inputs[row : row + width], values.convolved[row : row + width]
        outer(previous[row : row + width], gates[gate:end], gradients.recurrent[head])
        outer(convolved, slow, gradients.slow[head])
        outer(inputs, fast, gradients.fast[head])
        sum_steps(gates[gate:end], gradients.bias[head])
        project(transposed.slow[head], nothing, slow, slopes.convolved[row : row + width])
        project(transposed.fast[head], nothing, fast, slopes.inputs[row : row + width])


@kernel
def backward(
    x: Array,
    masks: Masks,
    dy: Array,
    weights: SLSTMWeights,
    transposed: Transposed,
    dx: Array,
    gradients: SLSTMWeights,
    groups: tuple[int, int],
) -> None:
    """Write the gradient by ``x`` of some groups, given that by the outputs, and add those by the weights."""
    values = allocate(weights, masks, x.shape[1], dy.shape[1])
    slopes = allocate_slopes(values)
    for group in range(groups[0], groups[1]):
        gather(dy, group, slopes.out)
        through_the_memory(x, masks, weights, values, group, dy.shape[1])
        _outputs_back(weights, masks, values, slopes, gradients)
        scan_back(transposed.recurrent, values.cells, slopes.cells)
        _gates_back(weights, transposed, values, slopes, gradients)
        convolve_back(
            weights.conv, values.inputs, values.before, slopes.convolved, slopes.inputs,
            gradients.conv, gradients.conv_bias,
        )  # fmt: skip
        normed_back(values.normal, values.inverse, weights.norm, slopes.inputs, gradients.norm)
        scatter(slopes.inputs, group, dx)
