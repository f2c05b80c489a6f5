"""An sLSTM layer of a group of samples, forward and backward; values are computed again on the way back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simengine.model.native.compiling import kernel, merged, part
from simengine.model.native.convolution import convolve, convolve_back
from simengine.model.native.lanes import LANES, Array, load, splat, store, total
from simengine.model.native.layout import gather, scatter
from simengine.model.native.norm import normalise, normalise_back, normed, normed_back, scaled
from simengine.model.native.products import outer, project, sum_steps
from simengine.model.native.recurrence import scan, scan_back


class SLSTMWeights(NamedTuple):
    """Weights of an sLSTM layer of D = heads * DH channels, or gradients by them."""

    norm: Array  # (D,), or (0,) for a layer without normalisation in front
    conv: Array  # (K, D), K = 0 without a convolution
    conv_bias: Array  # (D,)
    slow: Array  # (heads, DH, 2 DH): input and forget gate, from the convolved inputs
    fast: Array  # (heads, DH, 2 DH): cell input and output gate, from the inputs themselves
    recurrent: Array  # (heads, DH, 4 DH)
    bias: Array  # (heads, 4 DH)
    scale: Array  # (D,)


class Masks(NamedTuple):
    """Factors of dropout; empty first axes stand for none."""

    hidden: Array  # (B, queries, D), of the hidden states on their way out
    recurrent: Array  # (B, 1, D), of the hidden states on their way into the next step


class _Values(NamedTuple):
    """Forward values of one group, each (channels, steps, LANES)."""

    x: Array
    normal: Array
    inverse: Array
    inputs: Array
    before: Array  # what SiLU turns into `convolved`
    convolved: Array
    gates: Array
    kept: Array
    recurrent_kept: Array
    stabiliser: Array
    slope: Array
    cell: Array
    normaliser: Array
    previous: Array
    hidden: Array
    read: Array  # (D, queries, LANES): hidden states that go out, normalised within heads
    head_inverse: Array
    out: Array  # (D, queries, LANES)


@part
def _allocate(weights: SLSTMWeights, masks: Masks, steps: int, queries: int) -> _Values:
    width = weights.scale.shape[0]
    heads = weights.recurrent.shape[0]
    dtype = weights.scale.dtype
    return _Values(
        np.empty((width, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((1, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((4 * width, steps, LANES), dtype),
        np.empty((width if masks.hidden.shape[0] else 0, queries, LANES), dtype),
        np.empty((width if masks.recurrent.shape[0] else 0, 1, LANES), dtype),
        np.empty((width, 1, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((width, steps, LANES), dtype),
        np.empty((width, queries, LANES), dtype),
        np.empty((heads, queries, LANES), dtype),
        np.empty((width, queries, LANES), dtype),
    )


@merged
def _through(
    x: Array, masks: Masks, weights: SLSTMWeights, values: _Values, group: int, queries: int
) -> None:
    """Compute all values of a group up to the normalised hidden states."""
    heads, width = weights.recurrent.shape[0], weights.recurrent.shape[1]
    gather(x, group, values.x)
    normed(values.x, weights.norm, values.normal, values.inverse, values.inputs)
    convolve(weights.conv, weights.conv_bias, values.inputs, values.before, values.convolved)
    for head in range(heads):
        row, gate = head * width, head * 4 * width
        bias, middle = weights.bias[head], gate + 2 * width
        slow, fast = values.gates[gate:middle], values.gates[middle : gate + 4 * width]
        project(weights.slow[head], bias[: 2 * width], values.convolved[row : row + width], slow)
        project(weights.fast[head], bias[2 * width :], values.inputs[row : row + width], fast)
    if masks.recurrent.shape[0]:
        gather(masks.recurrent, group, values.recurrent_kept)
    scan(
        weights.recurrent, values.gates, values.recurrent_kept, values.stabiliser,
        values.slope, values.cell, values.normaliser, values.previous, values.hidden,
    )  # fmt: skip
    first = x.shape[1] - queries
    if masks.hidden.shape[0]:
        gather(masks.hidden, group, values.kept)
    for c in range(heads * width):
        for t in range(queries):
            h = load(values.hidden, c, first + t)
            if masks.hidden.shape[0]:
                h = h * load(values.kept, c, t)
            store(values.read, c, t, h)
    for head in range(heads):
        normalise(values.read, head * width, width, values.read, values.head_inverse)


@kernel
def forward(
    x: Array, masks: Masks, weights: SLSTMWeights, result: Array, first_group: int, last_group: int
) -> None:
    """Write the outputs (B, S, D), or (B, 1, D) of the last step, of some groups of samples to ``result``."""
    values = _allocate(weights, masks, x.shape[1], result.shape[1])
    for group in range(first_group, last_group):
        _through(x, masks, weights, values, group, result.shape[1])
        scaled(values.read, weights.scale, values.out)
        scatter(values.out, group, result)


class _Slopes(NamedTuple):
    """Gradients by the values of one group, by the same names."""

    out: Array
    hidden: Array
    inputs: Array
    convolved: Array
    carried: Array
    cell: Array
    normaliser: Array


@part
def _allocate_slopes(values: _Values) -> _Slopes:
    return _Slopes(
        np.empty_like(values.out),
        np.empty_like(values.hidden),
        np.empty_like(values.inputs),
        np.empty_like(values.convolved),
        np.empty_like(values.stabiliser),
        np.empty_like(values.stabiliser),
        np.empty_like(values.stabiliser),
    )


@merged
def _outputs_back(
    weights: SLSTMWeights, masks: Masks, values: _Values, slopes: _Slopes, gradients: SLSTMWeights
) -> None:
    """Go back from the outputs to the hidden states."""
    heads, width = weights.recurrent.shape[0], weights.recurrent.shape[1]
    steps, queries = slopes.hidden.shape[1], slopes.out.shape[1]
    for c in range(heads * width):
        summed = splat(0.0, slopes.out)
        for t in range(queries):
            v = load(slopes.out, c, t)
            summed = summed + v * load(values.read, c, t)
            store(slopes.out, c, t, v * (1.0 + weights.scale[c]))
        gradients.scale[c] += total(summed)
    for head in range(heads):
        normalise_back(values.read, values.head_inverse, head * width, width, slopes.out)
    slopes.hidden[:] = 0.0
    for c in range(heads * width):
        for t in range(queries):
            v = load(slopes.out, c, t)
            if masks.hidden.shape[0]:
                v = v * load(values.kept, c, t)
            store(slopes.hidden, c, steps - queries + t, v)


class Transposed(NamedTuple):
    """Weights with inputs and outputs exchanged, for the way back."""

    slow: Array  # (heads, 2 DH, DH)
    fast: Array  # (heads, 2 DH, DH)
    recurrent: Array  # (heads, 4 DH, DH)


@merged
def _gates_back(
    weights: SLSTMWeights, transposed: Transposed, values: _Values, slopes: _Slopes, gradients: SLSTMWeights
) -> None:
    """Go back from the raw gates to inputs and convolved inputs."""
    heads, width = weights.recurrent.shape[0], weights.recurrent.shape[1]
    nothing = np.zeros(width, weights.scale.dtype)
    for head in range(heads):
        row, gate = head * width, head * 4 * width
        middle, end = gate + 2 * width, gate + 4 * width
        slow, fast = values.gates[gate:middle], values.gates[middle:end]
        inputs, convolved = values.inputs[row : row + width], values.convolved[row : row + width]
        outer(values.previous[row : row + width], values.gates[gate:end], gradients.recurrent[head])
        outer(convolved, slow, gradients.slow[head])
        outer(inputs, fast, gradients.fast[head])
        sum_steps(values.gates[gate:end], gradients.bias[head])
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
    first_group: int,
    last_group: int,
) -> None:
    """Write the gradient by ``x`` of some groups, given that by the outputs, and add those by the weights."""
    values = _allocate(weights, masks, x.shape[1], dy.shape[1])
    slopes = _allocate_slopes(values)
    for group in range(first_group, last_group):
        gather(dy, group, slopes.out)
        _through(x, masks, weights, values, group, dy.shape[1])
        _outputs_back(weights, masks, values, slopes, gradients)
        scan_back(
            transposed.recurrent, values.gates, values.recurrent_kept, values.slope, values.cell,
            values.normaliser, slopes.hidden, slopes.carried, slopes.cell, slopes.normaliser,
        )  # fmt: skip
        _gates_back(weights, transposed, values, slopes, gradients)
        convolve_back(
            weights.conv, values.inputs, values.before, slopes.convolved, slopes.inputs,
            gradients.conv, gradients.conv_bias,
        )  # fmt: skip
        normed_back(values.normal, values.inverse, weights.norm, slopes.inputs, gradients.norm)
        scatter(slopes.inputs, group, dx)
