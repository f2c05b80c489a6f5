"""The sLSTM recurrence of a group of samples, and its gradient.

See `simengine.model.recurrence.slstm_scan` for the formula. The raw gates lie as (heads * 4 DH, S, LANES), of
each head input, forget, cell and output gate.
"""

from __future__ import annotations

from simengine.model.native.compiling import inlined, part
from simengine.model.native.lanes import Array, Lanes, choose, load, magnitude, maximum, minimum, splat, store
from simengine.model.native.maths import exp, log_one_plus, sigmoid, tanh


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
def _advance(
    gates: Array,
    first: int,
    width: int,
    unit: int,
    t: int,
    stabiliser: Array,
    slope: Array,
    cell: Array,
    normaliser: Array,
) -> Lanes:
    """Compute one unit at one step and return h; the gates are replaced by their activations.

    Their places then hold exp(i - m), exp(f - m), tanh(z) and sigmoid(o); ``slope`` gets sigmoid(-f), the
    derivative of log sigmoid(f).
    """
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
def scan(
    recurrent: Array,
    gates: Array,
    kept: Array,
    stabiliser: Array,
    slope: Array,
    cell: Array,
    normaliser: Array,
    previous: Array,
    hidden: Array,
) -> None:
    """Run the recurrence over all steps.

    Parameters
    ----------
    recurrent : array, shape (heads, DH, 4 DH)
    gates : array, shape (heads * 4 DH, S, LANES)
        Raw gates without the recurrent part; replaced by their activations.
    kept : array, shape (D, 1, LANES) or (0, 1, LANES)
        Factors of the hidden state on its way back into the gates (recurrent dropout).
    stabiliser : array, shape (D, 1, LANES)
        Room for m.
    slope, cell, normaliser, previous, hidden : arrays, shape (D, S, LANES)
        Get sigmoid(-f), c, n, the hidden state that entered the gates, and h.
    """
    heads, width = recurrent.shape[0], recurrent.shape[1]
    for t in range(gates.shape[1]):
        for head in range(heads):
            first = head * 4 * width
            if t > 0:
                _add_products(recurrent[head], previous, head * width, t, gates, first, t)
            for unit in range(head * width, (head + 1) * width):
                h = _advance(gates, first, width, unit, t, stabiliser, slope, cell, normaliser)
                store(hidden, unit, t, h)
                if t == 0:
                    store(previous, unit, 0, splat(0.0, hidden))
                if t + 1 < gates.shape[1]:
                    if kept.shape[0]:
                        h = h * load(kept, unit, 0)
                    store(previous, unit, t + 1, h)


@inlined
def _retreat(
    gates: Array,
    first: int,
    width: int,
    unit: int,
    t: int,
    slope: Array,
    cell: Array,
    normaliser: Array,
    dh: Lanes,
    dcell: Array,
    dnormaliser: Array,
) -> None:
    """Go back through one unit at one step; the activations of its gates become gradients by the raw ones."""
    u = unit % width
    gain, decay = load(gates, first + u, t), load(gates, first + width + u, t)
    value, out = load(gates, first + 2 * width + u, t), load(gates, first + 3 * width + u, t)
    inverse = 1.0 / load(normaliser, unit, t)
    ratio = load(cell, unit, t) * inverse
    by_cell = dh * out * inverse
    dc = load(dcell, unit, 0) + by_cell
    dn = load(dnormaliser, unit, 0) - by_cell * ratio
    forgotten = dh * 0.0
    if t > 0:
        forgotten = dc * load(cell, unit, t - 1) + dn * load(normaliser, unit, t - 1)
    store(gates, first + u, t, gain * (dc * value + dn))
    store(gates, first + width + u, t, decay * load(slope, unit, t) * forgotten)
    store(gates, first + 2 * width + u, t, dc * gain * (1.0 - value * value))
    store(gates, first + 3 * width + u, t, dh * ratio * out * (1.0 - out))
    store(dcell, unit, 0, dc * decay)
    store(dnormaliser, unit, 0, dn * decay)


@part
def scan_back(
    transposed: Array,
    gates: Array,
    kept: Array,
    slope: Array,
    cell: Array,
    normaliser: Array,
    dhidden: Array,
    carried: Array,
    dcell: Array,
    dnormaliser: Array,
) -> None:
    """Replace the activations that `scan` left in ``gates`` by the gradients by the raw gates.

    Parameters
    ----------
    transposed : array, shape (heads, 4 DH, DH)
        Recurrent weights with inputs and outputs exchanged.
    dhidden : array, shape (D, S, LANES)
        Gradient by h of all steps.
    carried, dcell, dnormaliser : arrays, shape (D, 1, LANES)
        Room for the gradients that go one step back.
    """
    heads, width = transposed.shape[0], transposed.shape[2]
    zero = splat(0.0, gates)
    for unit in range(heads * width):
        store(carried, unit, 0, zero)
        store(dcell, unit, 0, zero)
        store(dnormaliser, unit, 0, zero)
    steps = gates.shape[1]
    for back in range(steps):
        t = steps - 1 - back
        for head in range(heads):
            first = head * 4 * width
            for unit in range(head * width, (head + 1) * width):
                by_next = load(carried, unit, 0)
                if kept.shape[0]:
                    by_next = by_next * load(kept, unit, 0)
                dh = load(dhidden, unit, t) + by_next
                _retreat(gates, first, width, unit, t, slope, cell, normaliser, dh, dcell, dnormaliser)
                store(carried, unit, 0, zero)
            _add_products(transposed[head], gates, first, t, carried, head * width, 0)
