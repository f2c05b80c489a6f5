"""An mLSTM layer or block of a group of samples, forward and backward.

The backward pass computes the forward values again: they stay in the cache, where storing them for the whole
batch would send some hundred megabytes through the memory.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from simengine.model.native.compiling import kernel, merged, part
from simengine.model.native.convolution import (
    convolve,
    convolve_back,
    project_blocks,
    project_blocks_back,
)
from simengine.model.native.lanes import LANES, Array, load, splat, store, total
from simengine.model.native.layout import gather, scatter
from simengine.model.native.maths import silu, silu_slope
from simengine.model.native.memory import gate_sums, gate_sums_back, read, read_back
from simengine.model.native.norm import normalise, normalise_back, scaled
from simengine.model.native.products import outer, project, sum_steps


class MLSTMWeights(NamedTuple):
    """Weights of an mLSTM layer, or gradients by them; D channels outside, I inside.

    Biases that a layer does not have are zeros. The gates are folded: their raw values are
    ``convolved @ gate_convolved + main @ gate_main + gate_bias``, all (.., 2 heads), input gates first.
    """

    norm: Array  # (D,), or (0,) for a layer without normalisation in front
    up: Array  # (D, 2 I)
    up_bias: Array  # (2 I,)
    conv: Array  # (K, I), K = 0 without a convolution
    conv_bias: Array  # (I,)
    query: Array  # (blocks, size, size)
    key: Array
    value: Array
    query_bias: Array  # (I,)
    key_bias: Array
    value_bias: Array
    gate_convolved: Array  # (I, 2 heads)
    gate_main: Array  # (I, 2 heads)
    gate_bias: Array  # (2 heads,)
    skip: Array  # (I,)
    scale: Array  # (I,)
    down: Array  # (I, D)
    down_bias: Array  # (D,)


class _Values(NamedTuple):
    """Forward values of one group; arrays are (channels, steps, LANES) unless it says otherwise."""

    x: Array
    normal: Array  # x, normalised
    inverse: Array
    inputs: Array  # of the up-projection
    up: Array  # main channels, then those of the output gate
    before: Array  # what SiLU turns into `convolved`
    convolved: Array
    gates: Array
    sums: Array
    q: Array
    k: Array
    v: Array
    pairs: Array  # (queries, keys, LANES)
    factor: Array
    mixed: Array
    hidden: Array  # (I, queries, LANES): read from the memory, then normalised within heads
    head_inverse: Array
    gated: Array  # (I, queries, LANES)
    out: Array  # (D, queries, LANES)


@part
def _allocate(weights: MLSTMWeights, steps: int, queries: int) -> _Values:
    outside, inside = weights.up.shape[0], weights.down.shape[0]
    heads = weights.gate_bias.shape[0] // 2
    width = inside // heads
    dtype = weights.up.dtype
    return _Values(
        np.empty((outside, steps, LANES), dtype),
        np.empty((outside, steps, LANES), dtype),
        np.empty((1, steps, LANES), dtype),
        np.empty((outside, steps, LANES), dtype),
        np.empty((2 * inside, steps, LANES), dtype),
        np.empty((inside, steps, LANES), dtype),
        np.empty((inside, steps, LANES), dtype),
        np.empty((2 * heads, steps, LANES), dtype),
        np.empty((3, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((steps, steps, LANES), dtype),
        np.empty((2, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((inside, queries, LANES), dtype),
        np.empty((heads, queries, LANES), dtype),
        np.empty((inside, queries, LANES), dtype),
        np.empty((outside, queries, LANES), dtype),
    )


@merged
def _before_the_memory(weights: MLSTMWeights, values: _Values) -> None:
    """Compute everything up to the raw gates."""
    outside, inside = weights.up.shape[0], weights.down.shape[0]
    if weights.norm.shape[0]:
        normalise(values.x, 0, outside, values.normal, values.inverse)
        scaled(values.normal, weights.norm, values.inputs)
    else:
        values.inputs[:] = values.x
    project(weights.up, weights.up_bias, values.inputs, values.up)
    main = values.up[:inside]
    convolve(weights.conv, weights.conv_bias, main, values.before, values.convolved)
    nothing = np.zeros(weights.gate_bias.shape[0], weights.gate_bias.dtype)
    project(weights.gate_convolved, weights.gate_bias, values.convolved, values.gates)
    by_main = np.empty_like(values.gates)
    project(weights.gate_main, nothing, main, by_main)
    values.gates[:] += by_main


@merged
def _read_head(weights: MLSTMWeights, values: _Values, head: int, first: int) -> None:
    """Compute one head: projections, memory, normalisation."""
    width, heads = values.q.shape[0], weights.gate_bias.shape[0] // 2
    row = head * width
    scale = 1.0 / math.sqrt(width)
    project_blocks(weights.query, weights.query_bias, values.convolved, row, scale, values.q)
    project_blocks(weights.key, weights.key_bias, values.convolved, row, 1.0, values.k)
    project_blocks(weights.value, weights.value_bias, values.up, row, 1.0, values.v)
    gate_sums(values.gates, heads, head, values.sums)
    read(
        values.q, values.k, values.v, values.sums, first,
        values.pairs, values.factor, values.mixed, values.hidden, row,
    )  # fmt: skip
    normalise(values.hidden, row, width, values.hidden, values.head_inverse)


@part
def _gate_head(weights: MLSTMWeights, values: _Values, row: int, width: int, first: int) -> None:
    """Add the skip connection and apply the output gate to the channels of one head."""
    inside = weights.down.shape[0]
    for c in range(row, row + width):
        for t in range(values.hidden.shape[1]):
            skipped = load(values.convolved, c, first + t) * weights.skip[c]
            inner = load(values.hidden, c, t) * (1.0 + weights.scale[c]) + skipped
            store(values.gated, c, t, inner * silu(load(values.up, inside + c, first + t)))


@kernel
def forward(x: Array, weights: MLSTMWeights, result: Array, first_group: int, last_group: int) -> None:
    """Write the outputs (B, S, D), or (B, 1, D) of the last step, of some groups of samples to ``result``."""
    steps, queries = x.shape[1], result.shape[1]
    values = _allocate(weights, steps, queries)
    width = values.q.shape[0]
    for group in range(first_group, last_group):
        gather(x, group, values.x)
        _before_the_memory(weights, values)
        for head in range(weights.gate_bias.shape[0] // 2):
            _read_head(weights, values, head, steps - queries)
            _gate_head(weights, values, head * width, width, steps - queries)
        project(weights.down, weights.down_bias, values.gated, values.out)
        scatter(values.out, group, result)


class _Slopes(NamedTuple):
    """Gradients by the values of one group, by the same names."""

    out: Array
    gated: Array
    hidden: Array
    mixed: Array
    q: Array
    k: Array
    v: Array
    pairs: Array
    sums: Array
    gates: Array
    convolved: Array
    up: Array
    x: Array


@part
def _allocate_slopes(values: _Values) -> _Slopes:
    return _Slopes(
        np.empty_like(values.out),
        np.empty_like(values.gated),
        np.empty_like(values.hidden),
        np.empty_like(values.mixed),
        np.empty_like(values.q),
        np.empty_like(values.k),
        np.empty_like(values.v),
        np.empty_like(values.pairs),
        np.empty_like(values.sums),
        np.empty_like(values.gates),
        np.empty_like(values.convolved),
        np.empty_like(values.up),
        np.empty_like(values.x),
    )


@part
def _gate_head_back(
    weights: MLSTMWeights,
    values: _Values,
    slopes: _Slopes,
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
    weights: MLSTMWeights, values: _Values, slopes: _Slopes, gradients: MLSTMWeights, head: int, first: int
) -> None:
    """Go back through normalisation, memory and projections of one head."""
    width, heads = values.q.shape[0], weights.gate_bias.shape[0] // 2
    row = head * width
    scale = 1.0 / math.sqrt(width)
    normalise_back(values.hidden, values.head_inverse, row, width, slopes.hidden)
    for d in range(width):
        for t in range(first, slopes.mixed.shape[1]):
            store(slopes.mixed, d, t, load(slopes.hidden, row + d, t - first))
    read_back(
        values.q, values.k, values.v, values.sums, first, values.pairs, values.factor,
        slopes.mixed, slopes.pairs, slopes.sums, slopes.q, slopes.k, slopes.v,
    )  # fmt: skip
    gate_sums_back(values.gates, heads, head, slopes.sums, slopes.gates)
    for t in range(first):  # without a query
        for d in range(width):
            store(slopes.q, d, t, splat(0.0, values.x))
    project_blocks_back(
        weights.query, values.convolved, row, scale,
        slopes.q, slopes.convolved, gradients.query, gradients.query_bias,
    )  # fmt: skip
    project_blocks_back(
        weights.key, values.convolved, row, 1.0,
        slopes.k, slopes.convolved, gradients.key, gradients.key_bias,
    )  # fmt: skip
    project_blocks_back(
        weights.value, values.up, row, 1.0,
        slopes.v, slopes.up, gradients.value, gradients.value_bias,
    )  # fmt: skip


@merged
def _before_the_memory_back(
    weights: MLSTMWeights, transposed: Transposed, values: _Values, slopes: _Slopes, gradients: MLSTMWeights
) -> None:
    """Go back from the raw gates, the convolved and the main channels to the inputs."""
    outside, inside = weights.up.shape[0], weights.down.shape[0]
    main, dmain = values.up[:inside], slopes.up[:inside]
    outer(values.convolved, slopes.gates, gradients.gate_convolved)
    outer(main, slopes.gates, gradients.gate_main)
    sum_steps(slopes.gates, gradients.gate_bias)
    nothing = np.zeros(inside, weights.up.dtype)
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
    project(transposed.up, nothing[:outside], slopes.up, slopes.x)
    if weights.norm.shape[0]:
        for c in range(outside):
            summed = splat(0.0, values.x)
            for t in range(values.x.shape[1]):
                v = load(slopes.x, c, t)
                summed = summed + v * load(values.normal, c, t)
                store(slopes.x, c, t, v * (1.0 + weights.norm[c]))
            gradients.norm[c] += total(summed)
        normalise_back(values.normal, values.inverse, 0, outside, slopes.x)


class Transposed(NamedTuple):
    """Weights with inputs and outputs exchanged, for the way back."""

    up: Array  # (2 I, D)
    down: Array  # (D, I)
    gate_convolved: Array  # (2 heads, I)
    gate_main: Array  # (2 heads, I)


@kernel
def backward(
    x: Array,
    dy: Array,
    weights: MLSTMWeights,
    transposed: Transposed,
    dx: Array,
    gradients: MLSTMWeights,
    first_group: int,
    last_group: int,
) -> None:
    """Write the gradient by ``x`` of some groups, given that by the outputs, and add those by the weights."""
    steps, queries = x.shape[1], dy.shape[1]
    first = steps - queries
    values = _allocate(weights, steps, queries)
    slopes = _allocate_slopes(values)
    width = values.q.shape[0]
    nothing = np.zeros(weights.down.shape[0], weights.down.dtype)
    for group in range(first_group, last_group):
        gather(x, group, values.x)
        gather(dy, group, slopes.out)
        _before_the_memory(weights, values)
        project(transposed.down, nothing, slopes.out, slopes.gated)
        slopes.up[:] = 0.0
        slopes.convolved[:] = 0.0
        for head in range(weights.gate_bias.shape[0] // 2):
            _read_head(weights, values, head, first)
            _gate_head_back(weights, values, slopes, gradients, head * width, width, first)
            _read_head_back(weights, values, slopes, gradients, head, first)
        outer(values.gated, slopes.out, gradients.down)
        sum_steps(slopes.out, gradients.down_bias)
        _before_the_memory_back(weights, transposed, values, slopes, gradients)
        scatter(slopes.x, group, dx)
