"""What the sLSTM kernels work on: weights, the values of a group of samples, gradients by them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simengine.model.native.compiling import part
from simengine.model.native.lanes import Array
from simengine.model.native.layout import room
from simengine.model.native.recurrence import Cells, CellSlopes


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


class Transposed(NamedTuple):
    """Weights with inputs and outputs exchanged, for the way back."""

    slow: Array  # (heads, 2 DH, DH)
    fast: Array  # (heads, 2 DH, DH)
    recurrent: Array  # (heads, 4 DH, DH)


class Masks(NamedTuple):
    """Factors of dropout; empty first axes stand for none."""

    hidden: Array  # (B, queries, D), of the hidden states on their way out
    recurrent: Array  # (B, 1, D), of the hidden states on their way into the next step


class Values(NamedTuple):
    """Forward values of one group; arrays are (channels, steps, LANES) unless it says otherwise."""

    x: Array
    normal: Array  # x, normalised
    inverse: Array
    inputs: Array
    before: Array  # what SiLU turns into `convolved`
    convolved: Array
    cells: Cells
    kept: Array  # (D, queries, LANES), or (0, queries, LANES): the mask of the hidden states that go out
    read: Array  # (D, queries, LANES): hidden states that go out, normalised within heads
    head_inverse: Array
    out: Array  # (D, queries, LANES)


@part
def allocate(weights: SLSTMWeights, masks: Masks, steps: int, queries: int) -> Values:
    """Return room for the values of one group."""
    width, heads = weights.scale.shape[0], weights.recurrent.shape[0]
    dtype = weights.scale.dtype
    cells = Cells(
        room(4 * width, steps, dtype),
        room(width if masks.recurrent.shape[0] else 0, 1, dtype),
        room(width, 1, dtype),
        room(width, steps, dtype),
        room(width, steps, dtype),
        room(width, steps, dtype),
        room(width, steps, dtype),
        room(width, steps, dtype),
    )
    return Values(
        room(width, steps, dtype),
        room(width, steps, dtype),
        room(1, steps, dtype),
        room(width, steps, dtype),
        room(width, steps, dtype),
        room(width, steps, dtype),
        cells,
        room(width if masks.hidden.shape[0] else 0, queries, dtype),
        room(width, queries, dtype),
        room(heads, queries, dtype),
        room(width, queries, dtype),
    )


class Slopes(NamedTuple):
    """Gradients by the values of one group, by the same names."""

    out: Array
    cells: CellSlopes
    convolved: Array
    inputs: Array


@part
def allocate_slopes(values: Values) -> Slopes:
    """Return room for the gradients by the values of one group."""
    cells = CellSlopes(
        np.empty_like(values.cells.hidden),
        np.empty_like(values.cells.stabiliser),
        np.empty_like(values.cells.stabiliser),
        np.empty_like(values.cells.stabiliser),
    )
    return Slopes(
        np.empty_like(values.out),
        cells,
        np.empty_like(values.convolved),
        np.empty_like(values.inputs),
    )
