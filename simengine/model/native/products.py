"""Matrix products of activations (channels, steps, LANES), in tiles that stay in registers.

Twelve sums are kept at once: four of one operand by three of the other, so that each loaded number is used
three or four times. A tile that would reach beyond the edge is moved back inside and computes a few results
twice, except where results are added up.
"""

from __future__ import annotations

from simengine.model.native.compiling import inlined, part
from simengine.model.native.lanes import Array, load, splat, store, total


@inlined
def _project_tile(
    weights: Array, x: Array, out: Array, first_in: int, channel: int, step: int, bias: Array
) -> None:
    """Compute four output channels at three steps."""
    b0, b1, b2, b3 = bias[channel], bias[channel + 1], bias[channel + 2], bias[channel + 3]
    a00 = a01 = a02 = splat(b0, x)
    a10 = a11 = a12 = splat(b1, x)
    a20 = a21 = a22 = splat(b2, x)
    a30 = a31 = a32 = splat(b3, x)
    for d in range(weights.shape[0]):
        x0, x1, x2 = (
            load(x, first_in + d, step),
            load(x, first_in + d, step + 1),
            load(x, first_in + d, step + 2),
        )
        w = weights[d, channel]
        a00, a01, a02 = a00 + x0 * w, a01 + x1 * w, a02 + x2 * w
        w = weights[d, channel + 1]
        a10, a11, a12 = a10 + x0 * w, a11 + x1 * w, a12 + x2 * w
        w = weights[d, channel + 2]
        a20, a21, a22 = a20 + x0 * w, a21 + x1 * w, a22 + x2 * w
        w = weights[d, channel + 3]
        a30, a31, a32 = a30 + x0 * w, a31 + x1 * w, a32 + x2 * w
    store(out, channel, step, (a00, a01, a02))
    store(out, channel + 1, step, (a10, a11, a12))
    store(out, channel + 2, step, (a20, a21, a22))
    store(out, channel + 3, step, (a30, a31, a32))


@part
def project(weights: Array, bias: Array, x: Array, out: Array) -> None:
    """Write ``out[c] = bias[c] + sum_d weights[d, c] x[d]``, x (D, S, LANES) to out (C, S, LANES)."""
    channels, steps = out.shape[0], out.shape[1]
    if channels >= 4 and steps >= 3:
        for first_step in range(0, steps, 3):
            step = min(first_step, steps - 3)
            for first in range(0, channels, 4):
                _project_tile(weights, x, out, 0, min(first, channels - 4), step, bias)
        return
    for step in range(steps):
        for channel in range(channels):
            a = splat(bias[channel], x)
            for d in range(weights.shape[0]):
                a = a + load(x, d, step) * weights[d, channel]
            store(out, channel, step, a)


@part
def outer(x: Array, dy: Array, result: Array) -> None:
    """Add ``sum over steps and lanes of x[d] dy[c]`` to ``result[d, c]``."""
    rows, columns, steps = x.shape[0], dy.shape[0], x.shape[1]
    whole_rows, whole_columns = rows - rows % 2, columns - columns % 4
    zero = splat(0.0, x)
    # Eight sums, not twelve: with both operands in registers twelve would not fit into the sixteen of AVX2.
    for i in range(0, whole_rows, 2):
        for j in range(0, whole_columns, 4):
            a00 = a01 = a02 = a03 = zero
            a10 = a11 = a12 = a13 = zero
            for t in range(steps):
                x0, x1 = load(x, i, t), load(x, i + 1, t)
                y = load(dy, j, t)
                a00, a10 = a00 + x0 * y, a10 + x1 * y
                y = load(dy, j + 1, t)
                a01, a11 = a01 + x0 * y, a11 + x1 * y
                y = load(dy, j + 2, t)
                a02, a12 = a02 + x0 * y, a12 + x1 * y
                y = load(dy, j + 3, t)
                a03, a13 = a03 + x0 * y, a13 + x1 * y
            result[i, j] += total(a00)
            result[i, j + 1] += total(a01)
            result[i, j + 2] += total(a02)
            result[i, j + 3] += total(a03)
            result[i + 1, j] += total(a10)
            result[i + 1, j + 1] += total(a11)
            result[i + 1, j + 2] += total(a12)
            result[i + 1, j + 3] += total(a13)
    for i in range(rows):
        for j in range(whole_columns if i < whole_rows else 0, columns):
            a = zero
            for t in range(steps):
                a = a + load(x, i, t) * load(dy, j, t)
            result[i, j] += total(a)


@part
def sum_steps(dy: Array, result: Array) -> None:
    """Add the sum over steps and lanes of each channel to ``result``."""
    for c in range(dy.shape[0]):
        a = splat(0.0, dy)
        for t in range(dy.shape[1]):
            a = a + load(dy, c, t)
        result[c] += total(a)
