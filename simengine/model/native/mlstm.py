"""An mLSTM layer or block of a group of samples."""

from __future__ import annotations

import math

import numpy as np

from simengine.model.native.compiling import kernel, merged, part
from simengine.model.native.convolution import convolve, project_blocks
from simengine.model.native.lanes import Array, load, store
from simengine.model.native.layout import gather, scatter
from simengine.model.native.maths import silu
from simengine.model.native.memory import gate_sums, read
from simengine.model.native.mlstm_values import MLSTMWeights, Values, allocate
from simengine.model.native.norm import normalise, normed
from simengine.model.native.products import project


@merged
def before_the_memory(weights: MLSTMWeights, values: Values) -> None:
    """Compute everything up to the raw gates."""
    inside = weights.down.shape[0]
    normed(values.x, weights.norm, values.normal, values.inverse, values.inputs)
    project(weights.up, weights.up_bias, values.inputs, values.up)
    main = values.up[:inside]
    convolve(weights.conv, weights.conv_bias, main, values.before, values.convolved)
    nothing = np.zeros(weights.gate_bias.shape[0], weights.gate_bias.dtype)
    project(weights.gate_convolved, weights.gate_bias, values.convolved, values.gates)
    by_main = np.empty_like(values.gates)
    project(weights.gate_main, nothing, main, by_main)
    values.gates[:] += by_main


@merged
def read_head(weights: MLSTMWeights, values: Values, head: int, first: int) -> None:
    """Compute one head: projections, memory, normalisation."""
    own = values.head
    width, heads = own.q.shape[0], weights.gate_bias.shape[0] // 2
    row = head * width
    scale = 1.0 / math.sqrt(width)
    project_blocks(weights.query, weights.query_bias, values.convolved, row, scale, own.q)
    project_blocks(weights.key, weights.key_bias, values.convolved, row, 1.0, own.k)
    project_blocks(weights.value, weights.value_bias, values.up, row, 1.0, own.v)
    gate_sums(values.gates, heads, head, own.sums)
    read(own, first, values.hidden, row)
    normalise(values.hidden, row, width, values.hidden, values.head_inverse)


@part
def _gate_head(weights: MLSTMWeights, values: Values, row: int, width: int, first: int) -> None:
    """Add the skip connection and apply the output gate to the channels of one head."""
    inside = weights.down.shape[0]
    for c in range(row, row + width):
        for t in range(values.hidden.shape[1]):
            skipped = load(values.convolved, c, first + t) * weights.skip[c]
            inner = load(values.hidden, c, t) * (1.0 + weights.scale[c]) + skipped
            store(values.gated, c, t, inner * silu(load(values.up, inside + c, first + t)))


@kernel
def forward(x: Array, weights: MLSTMWeights, result: Array, groups: tuple[int, int]) -> None:
    """Write the outputs (B, S, D), or (B, 1, D) of the last step, to ``result``.

    ``groups`` are the first group of samples that is computed and the one behind the last.
    """
    steps, queries = x.shape[1], result.shape[1]
    values = allocate(weights, steps, queries)
    width = values.head.q.shape[0]
    for group in range(groups[0], groups[1]):
        gather(x, group, values.x)
        before_the_memory(weights, values)
        for head in range(weights.gate_bias.shape[0] // 2):
            read_head(weights, values, head, steps - queries)
            _gate_head(weights, values, head * width, width, steps - queries)
        project(weights.down, weights.down_bias, values.gated, values.out)
        scatter(values.out, group, result)
