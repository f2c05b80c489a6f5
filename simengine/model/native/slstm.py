"""An sLSTM layer of a group of samples."""

from __future__ import annotations

from simengine.model.native.compiling import kernel, merged
from simengine.model.native.convolution import convolve
from simengine.model.native.lanes import Array, load, store
from simengine.model.native.layout import gather, scatter
from simengine.model.native.norm import normalise, normed, scaled
from simengine.model.native.products import project
from simengine.model.native.recurrence import scan
from simengine.model.native.slstm_values import Masks, SLSTMWeights, Values, allocate


@merged
def through_the_memory(
    x: Array, masks: Masks, weights: SLSTMWeights, values: Values, group: int, queries: int
) -> None:
    """Compute all values of a group up to the normalised hidden states."""
    heads, width = weights.recurrent.shape[0], weights.recurrent.shape[1]
    cells = values.cells
    gather(x, group, values.x)
    normed(values.x, weights.norm, values.normal, values.inverse, values.inputs)
    convolve(weights.conv, weights.conv_bias, values.inputs, values.before, values.convolved)
    for head in range(heads):
        row, gate = head * width, head * 4 * width
        bias, middle = weights.bias[head], gate + 2 * width
        slow, fast = cells.gates[gate:middle], cells.gates[middle : gate + 4 * width]
        project(weights.slow[head], bias[: 2 * width], values.convolved[row : row + width], slow)
        project(weights.fast[head], bias[2 * width :], values.inputs[row : row + width], fast)
    if masks.recurrent.shape[0]:
        gather(masks.recurrent, group, cells.kept)
    scan(weights.recurrent, cells)
    first = x.shape[1] - queries
    if masks.hidden.shape[0]:
        gather(masks.hidden, group, values.kept)
    for c in range(heads * width):
        for t in range(queries):
            h = load(cells.hidden, c, first + t)
            if masks.hidden.shape[0]:
                h = h * load(values.kept, c, t)
            store(values.read, c, t, h)
    for head in range(heads):
        normalise(values.read, head * width, width, values.read, values.head_inverse)


@kernel
def forward(x: Array, masks: Masks, weights: SLSTMWeights, result: Array, groups: tuple[int, int]) -> None:
    """Write the outputs (B, S, D), or (B, 1, D) of the last step, to ``result``.

    ``groups`` are the first group of samples that is computed and the one behind the last.
    """
    values = allocate(weights, masks, x.shape[1], result.shape[1])
    for group in range(groups[0], groups[1]):
        through_the_memory(x, masks, weights, values, group, result.shape[1])
        scaled(values.read, weights.scale, values.out)
        scatter(values.out, group, result)
