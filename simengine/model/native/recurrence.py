"""The sLSTM recurrence of a group of samples, and its gradient.

See `simengine.model.recurrence.slstm_scan` for the formula. The raw gates lie as (heads * 4 DH, S, LANES), of
each head input, forget, cell and output gate.
"""

from __future__ import annotations

from typing import NamedTuple

from simengine.model.native.compiling import inlined, part
from simengine.model.native.lanes import Array, Lanes, choose, load, magnitude, maximum, minimum, splat, store
from simengine.model.native.maths import exp, log_one_plus, sigmoid, tanh


class Cells(NamedTuple):
    """What the recurrence of D = heads * DH units works on; arrays are (D, S, LANES) or as it says."""

    gates: Array  # (heads * 4 DH, S, LANES): raw, without the recurrent part; then their activations
    kept: Array  # (D, 1, LANES) or (0, 1, LANES): factors of `previous` (recurrent dropout)
    stabiliser: Array  # (D, 1, LANES): m
    slope: Array  # sigmoid(-f)
    cell: Array  # c
    normaliser: Array  # n
    previous: Array  # the hidden state that entered the gates
    hidden: Array  # h


class CellSlopes(NamedTuple):
    """Gradients on the way back."""

    hidden: Array  # (D, S, LANES)
    carried: Array  # (D, 1, LANES), as what follows: the gradients that go one step back, by h
    cell: Array  # by c
    normaliser: Array  # by n


@inlined
def _add_products(
    weights: Array, inputs: Array, first_in: int, step_in: int, sums: Array, first_out: int, step_out: int
) -> None:
    """Add ``sum_d weights[d, j] inputs[first_in + d, step_in]`` to ``sums[first_out + j, step_out]``."""
    rows, columns = weights.shape
    for j in range(0, columns - 7, 8):
        c = first_out + j
        a0, a1, a2, a3 = (
            load(sums, c, step_out),
            load(sums, c + 1, step_out),
            load(sums, c + 2, step_out),
            load(sums, c + 3, step_out),
        )
        a4, a5, a6, a7 = (
            load(sums, c + 4, step_out),
            load(sums, c + 5, step_out),
            load(sums, c + 6, step_out),
            load(sums, c + 7, step_out),
        )
        for d in range(rows):
            x = load(inputs, first_in + d, step_in)
            a0, a1 = a0 + x * weights[d, j], a1 + x * weights[d, j + 1]
            a2, a3 = a2 + x * weights[d, j + 2], a3 + x * weights[d, j + 3]
            a4, a5 = a4 + x * weights[d, j + 4], a5 + x * weights[d, j + 5]
            a6, a7 = a6 + x * weights[d, j + 6], a7 + x * weights[d, j + 7]
        store(sums, c, step_out, a0)
        store(sums, c + 1, step_out, a1)
        store(sums, c + 2, step_out, a2)
        store(sums, c + 3, step_out, a3)
        store(sums, c + 4, step_out, a4)
        store(sums, c + 5, step_out, a5)
        store(sums, c + 6, step_out, a6)
        store(sums, c + 7, step_out, a7)
    for j in range(columns - columns % 8, columns):
        a = load(sums, first_out + j, step_out)
        for d in range(rows):
            a = a + load(inputs, first_in + d, step_in) * weights[d, j]
        store(sums, first_out + j, step_out, a)


@inlined
def _advance(cells: Cells, first: int, width: int, unit: int, t: int) -> Lanes:
    """Compute one unit at one step and return h; the gates are replaced by their activations.

    Their places then hold exp(i - m), exp(f - m), tanh(z) and sigmoid(o); ``slope`` gets sigmoid(-f), the
    derivative of log sigmoid(f).
    """
    gates, stabiliser, slope = cells.gates, cells.stabiliser, cells.slope
    cell, normaliser = cells.cell, cells.normaliser
    u = unit % width
    i, f = load(gates, first + u, t), load(gates, first + width + u, t)
    value = tanh(load(gates, first + 2 * width + u, t))
    out = sigmoid(load(gates, first + 3 * width + u, t))
    # exp(-|f|) serves both log sigmoid(f) and its derivative, sigmoid(-f).
    e = exp(magnitude(f) * -1.0)
    inverse = 1.0 / (e + 1.0)
    store(slope, unit, t, choose(f, e * inverse, inverse))
    kept = load(stabiliser, unit, 0) + (minimum(f, 0.0) - log_one_plus(e))
    m = i if t == 0 else maximum(i, kept)
    gain = exp(i - m)
    decay = gain * 0.0 if t == 0 else exp(kept - m)
    before = max(t - 1, 0)
    c = gain * value
    n = gain
    if t > 0:
        c = c + decay * load(cell, unit, before)
        n = n + decay * load(normaliser, unit, before)
    store(stabiliser, unit, 0, m)
    store(gates, first + u, t, gain)
    store(gates, first + width + u, t, decay)
    store(gates, first + 2 * width + u, t, value)
    store(gates, first + 3 * width + u, t, out)
    store(cell, unit, t, c)
    store(normaliser, unit, t, n)
    return out * c / n


@part
def scan(recurrent: Array, cells: Cells) -> None:
    """Run the recurrence with the weights ``recurrent`` (heads, DH, 4 DH) over all steps.

    ``cells`` comes with the raw gates and ``kept``; the gates are replaced and the rest is filled.
    """
    gates, kept, previous, hidden = cells.gates, cells.kept, cells.previous, cells.hidden
    heads, width = recurrent.shape[0], recurrent.shape[1]
    for t in range(gates.shape[1]):
        for head in range(heads):
            first = head * 4 * width
            if t > 0:
                _add_products(recurrent[head], previous, head * width, t, gates, first, t)
            for unit in range(head * width, (head + 1) * width):
                h = _advance(cells, first, width, unit, t)
                store(hidden, unit, t, h)
                if t == 0:
                    store(previous, unit, 0, splat(0.0, hidden))
                if t + 1 < gates.shape[1]:
                    if kept.shape[0]:
                        h = h * load(kept, unit, 0)
                    store(previous, unit, t + 1, h)


@inlined
def _retreat(cells: Cells, slopes: CellSlopes, first: int, width: int, unit: int, t: int, dh: Lanes) -> None:
    """Go back through one unit at one step; the activations of its gates become gradients by the raw ones."""
    gates, dcell, dnormaliser = cells.gates, slopes.cell, slopes.normaliser
    u = unit % width
    gain, decay = load(gates, first + u, t), load(gates, first + width + u, t)
    value, out = load(gates, first + 2 * width + u, t), load(gates, first + 3 * width + u, t)
    inverse = 1.0 / load(cells.normaliser, unit, t)
    ratio = load(cells.cell, unit, t) * inverse
    by_cell = dh * out * inverse
    dc = load(dcell, unit, 0) + by_cell
    dn = load(dnormaliser, unit, 0) - by_cell * ratio
    forgotten = dh * 0.0
    if t > 0:  # names of arrays that end within the branch would be counted at every step, atomically
        forgotten = dc * load(cells.cell, unit, t - 1) + dn * load(cells.normaliser, unit, t - 1)
    store(gates, first + u, t, gain * (dc * value + dn))
    store(gates, first + width + u, t, decay * load(cells.slope, unit, t) * forgotten)
    store(gates, first + 2 * width + u, t, dc * gain * (1.0 - value * value))
    store(gates, first + 3 * width + u, t, dh * ratio * out * (1.0 - out))
    store(dcell, unit, 0, dc * decay)
    store(dnormaliser, unit, 0, dn * decay)


@part
def scan_back(transposed: Array, cells: Cells, slopes: CellSlopes) -> None:
    """Replace the activations that `scan` left in ``cells.gates`` by the gradients by the raw gates.

    ``transposed`` (heads, 4 DH, DH) holds the recurrent weights with inputs and outputs exchanged;
    ``slopes`` comes with the gradient by h of all steps, the rest of it is room.
    """
    gates, kept, carried = cells.gates, cells.kept, slopes.carried
    heads, width = transposed.shape[0], transposed.shape[2]
    zero = splat(0.0, gates)
    for unit in range(heads * width):
        store(carried, unit, 0, zero)
        store(slopes.cell, unit, 0, zero)
        store(slopes.normaliser, unit, 0, zero)
    steps = gates.shape[1]
    for back in range(steps):
        t = steps - 1 - back
        for head in range(heads):
            first = head * 4 * width
            for unit in range(head * width, (head + 1) * width):
                by_next = load(carried, unit, 0)
                if kept.shape[0]:
                    by_next = by_next * load(kept, unit, 0)
                dh = load(slopes.hidden, unit, t) + by_next
                _retreat(cells, slopes, first, width, unit, t, dh)
                store(carried, unit, 0, zero)
            _add_products(transposed[head], gates, first, t, carried, head * width, 0)
