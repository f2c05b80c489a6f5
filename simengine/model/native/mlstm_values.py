"""What the mLSTM kernels work on: weights, the values of a group of samples, gradients by them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simengine.model.native.compiling import part
from simengine.model.native.lanes import Array
from simengine.model.native.layout import room
from simengine.model.native.memory import Head, HeadSlopes


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


class Transposed(NamedTuple):
    """Weights with inputs and outputs exchanged, for the way back."""

    up: Array  # (2 I, D)
    down: Array  # (D, I)
    gate_convolved: Array  # (2 heads, I)
    gate_main: Array  # (2 heads, I)


class Values(NamedTuple):
    """Forward values of one group; arrays are (channels, steps, LANES) unless it says otherwise."""

    x: Array
    normal: Array  # x, normalised
    inverse: Array
    inputs: Array  # of the up-projection
    up: Array  # main channels, then those of the output gate
    before: Array  # what SiLU turns into `convolved`
    convolved: Array
    gates: Array
    head: Head  # one after the other
    hidden: Array  # (I, queries, LANES): read from the memory, then normalised within heads
    head_inverse: Array
    gated: Array  # (I, queries, LANES)
    out: Array  # (D, queries, LANES)


@part
def allocate(weights: MLSTMWeights, steps: int, queries: int) -> Values:
    """Return room for the values of one group."""
    outside, inside = weights.up.shape[0], weights.down.shape[0]
    heads = weights.gate_bias.shape[0] // 2
    width = inside // heads
    dtype = weights.up.dtype
    head = Head(
        room(width, steps, dtype),
        room(width, steps, dtype),
        room(width, steps, dtype),
        room(3, steps, dtype),
        room(steps, steps, dtype),
        room(2, steps, dtype),
        room(width, steps, dtype),
    )
    return Values(
        room(outside, steps, dtype),
        room(outside, steps, dtype),
        room(1, steps, dtype),
        room(outside, steps, dtype),
        room(2 * inside, steps, dtype),
        room(inside, steps, dtype),
        room(inside, steps, dtype),
        room(2 * heads, steps, dtype),
        head,
        room(inside, queries, dtype),
        room(heads, queries, dtype),
        room(inside, queries, dtype),
        room(outside, queries, dtype),
    )


class Slopes(NamedTuple):
    """Gradients by the values of one group, by the same names."""

    out: Array
    gated: Array
    hidden: Array
    head: HeadSlopes
    gates: Array
    convolved: Array
    up: Array
    x: Array


@part
def allocate_slopes(values: Values) -> Slopes:
    """Return room for the gradients by the values of one group."""
    head = HeadSlopes(
        np.empty_like(values.head.q),
        np.empty_like(values.head.k),
        np.empty_like(values.head.v),
        np.empty_like(values.head.sums),
        np.empty_like(values.head.pairs),
        np.empty_like(values.head.mixed),
    )
    return Slopes(
        np.empty_like(values.out),
        np.empty_like(values.gated),
        np.empty_like(values.hidden),
        head,
        np.empty_like(values.gates),
        np.empty_like(values.convolved),
        np.empty_like(values.up),
        np.empty_like(values.x),
    )
