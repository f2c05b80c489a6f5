"""The way back through an mLSTM layer or block of a group of samples.

It computes the forward values again: they stay in the cache, where storing them for the whole batch would
send some hundred megabytes through the memory.
"""

from __future__ import annotations

import math

import numpy as np

from simengine.model.native.compiling import kernel, merged, part
from simengine.model.native.convolution import convolve_back, project_blocks_back
from simengine.model.native.lanes import Array, load, splat, store, total
from simengine.model.native.layout import gather, scatter
from simengine.model.native.maths import silu, silu_slope
from simengine.model.native.memory import gate_sums_back, read_back
from simengine.model.native.mlstm import before_the_memory, read_head
from simengine.model.native.mlstm_values import (
    MLSTMWeights,
    Slopes,
    Transposed,
    Values,
    allocate,
    allocate_slopes,
)
from simengine.model.native.norm import normalise_back, normed_back
from simengine.model.native.products import outer, project, sum_steps


@part
def _gate_head_back(
    weights: MLSTMWeights,
    values: Values,
    slopes: Slopes,
    gradients: MLSTMWeights,
    row: int,
    width: int,
    first: int,
) -> None:
    """Go back through the output gate and the skip connection of one head."""
    inside = weights.down.shape[0]
    for c in range(row, row + width):
        factor, skip = 1.0 + weights.scale[c], weights.skip[c]
        by_scale, by_skip = splat(0.0, values.x), splat(0.0, values.x)
        for t in range(values.hidden.shape[1]):
            z = load(values.up, inside + c, first + t)
            hidden, convolved = load(values.hidden, c, t), load(values.convolved, c, first + t)
            inner = hidden * factor + convolved * skip
            dgated, gate = load(slopes.gated, c, t), silu(z)
            store(values.gated, c, t, inner * gate)
            store(slopes.up, inside + c, first + t, dgated * inner * silu_slope(z))
            dinner = dgated * gate
            by_scale, by_skip = by_scale + dinner * hidden, by_skip + dinner * convolved
            store(slopes.convolved, c, first + t, dinner * skip)
            store(slopes.hidden, c, t, dinner * factor)
        gradients.scale[c] += total(by_scale)
        gradients.skip[c] += total(by_skip)


@merged
def _read_head_back(
    weights: MLSTMWeights, values: Values, slopes: Slopes, gradients: MLSTMWeights, head: int, first: int
) -> None:
    """Go back through normalisation, memory and projections of one head."""
    own, down = values.head, slopes.head
    width, heads = own.q.shape[0], weights.gate_bias.shape[0] // 2
    row = head * width
    scale = 1.0 / math.sqrt(width)
    normalise_back(values.hidden, values.head_inverse, row, width, slopes.hidden)
    for d in range(width):
        for t in range(first, down.mixed.shape[1]):
            store(down.mixed, d, t, load(slopes.hidden, row + d, t - first))
    read_back(own, down, first)
    gate_sums_back(values.gates, heads, head, down.sums, slopes.gates)
    for t in range(first):  # without a query
        for d in range(width):
            store(down.q, d, t, splat(0.0, values.x))
    project_blocks_back(
        weights.query, values.convolved, row, scale,
        down.q, slopes.convolved, gradients.query, gradients.query_bias,
    )  # fmt: skip
    project_blocks_back(
        weights.key, values.convolved, row, 1.0,
        down.k, slopes.convolved, gradients.key, gradients.key_bias,
    )  # fmt: skip
    project_blocks_back(
        weights.value, values.up, row, 1.0,
        down.v, slopes.up, gradients.value, gradients.value_bias,
    )  # fmt: skip


@merged
def _before_the_memory_back(
    weights: MLSTMWeights, transposed: Transposed, values: Values, slopes: Slopes, gradients: MLSTMWeights
) -> None:
    """Go back from the raw gates, the convolved and the main channels to the inputs."""
    outside, inside = weights.up.shape[0], weights.down.shape[0]
    main, dmain = values.up[:inside], slopes.up[:inside]
    outer(values.convolved, slopes.gates, gradients.gate_convolved)
    outer(main, slopes.gates, gradients.gate_main)
    sum_steps(slopes.gates, gradients.gate_bias)
    nothing = np.zeros(max(inside, outside), weights.up.dtype)
    by_gates = np.empty_like(slopes.convolved)
    project(transposed.gate_convolved, nothing, slopes.gates, by_gates)
    slopes.convolved[:] += by_gates
    project(transposed.gate_main, nothing, slopes.gates, by_gates)
    dmain[:] += by_gates
    convolve_back(
        weights.conv, main, values.before, slopes.convolved, dmain, gradients.conv, gradients.conv_bias
    )
    outer(values.inputs, slopes.up, gradients.up)
    sum_steps(slopes.up, gradients.up_bias)
    project(transposed.up, nothing, slopes.up, slopes.x)
    normed_back(values.normal, values.inverse, weights.norm, slopes.x, gradients.norm)


@kernel
def backward(
    x: Array,
    dy: Array,
    weights: MLSTMWeights,
    transposed: Transposed,
    dx: Array,
    gradients: MLSTMWeights,
    groups: tuple[int, int],
) -> None:
    """Write the gradient by ``x`` of some groups, given that by the outputs, and add those by the weights."""
    steps, queries = x.shape[1], dy.shape[1]
    first = steps - queries
    values = allocate(weights, steps, queries)
    slopes = allocate_slopes(values)
    width = values.head.q.shape[0]
    nothing = np.zeros(weights.down.shape[0], weights.down.dtype)
    for group in range(groups[0], groups[1]):
        gather(x, group, values.x)
        gather(dy, group, slopes.out)
        before_the_memory(weights, values)
        project(transposed.down, nothing, slopes.out, slopes.gated)
        slopes.up[:] = 0.0
        slopes.convolved[:] = 0.0
        for head in range(weights.gate_bias.shape[0] // 2):
            read_head(weights, values, head, first)
            _gate_head_back(weights, values, slopes, gradients, head * width, width, first)
            _read_head_back(weights, values, slopes, gradients, head, first)
        outer(values.gated, slopes.out, gradients.down)
        sum_steps(slopes.out, gradients.down_bias)
        _before_the_memory_back(weights, transposed, values, slopes, gradients)
        scatter(slopes.x, group, dx)
