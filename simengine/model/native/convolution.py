"""Causal depthwise convolution with SiLU, and the block-diagonal projections."""

from __future__ import annotations

from simengine.model.native.compiling import part
from simengine.model.native.lanes import Array, load, splat, store, total
from simengine.model.native.maths import silu, silu_slope


@part
def convolve(taps: Array, bias: Array, x: Array, before: Array, out: Array) -> None:
    """Write ``before[c, t] = bias[c] + sum_j taps[j, c] x[c, t - K + 1 + j]`` and ``out = silu(before)``.

    Steps before the first are 0. Without taps ``out`` is ``x``.
    """
    size = taps.shape[0]
    for c in range(x.shape[0]):
        for t in range(x.shape[1]):
            if size == 0:
                store(out, c, t, load(x, c, t))
                continue
            a = splat(bias[c], x)
            for j in range(max(0, size - 1 - t), size):
                a = a + load(x, c, t - size + 1 + j) * taps[j, c]
            store(before, c, t, a)
            store(out, c, t, silu(a))


@part
def convolve_back(
    taps: Array, x: Array, before: Array, dout: Array, dx: Array, dtaps: Array, dbias: Array
) -> None:
    """Add to ``dx``, ``dtaps`` and ``dbias`` what ``dout`` says; ``dout`` is overwritten."""
    size, steps = taps.shape[0], x.shape[1]
    for c in range(x.shape[0]):
        if size == 0:
            for t in range(steps):
                store(dx, c, t, load(dx, c, t) + load(dout, c, t))
            continue
        summed = splat(0.0, x)
        for t in range(steps):
            v = load(dout, c, t) * silu_slope(load(before, c, t))
            store(dout, c, t, v)
            summed = summed + v
        dbias[c] += total(summed)
        for t in range(steps):
            a = load(dx, c, t)
            for j in range(max(0, t + size - steps), size):  # x[t] reaches the outputs t + K - 1 - j
                a = a + load(dout, c, t + size - 1 - j) * taps[j, c]
            store(dx, c, t, a)
        for j in range(size):
            lag = size - 1 - j
            summed = splat(0.0, x)
            for t in range(lag, steps):
                summed = summed + load(dout, c, t) * load(x, c, t - lag)
            dtaps[j, c] += total(summed)


@part
def project_blocks(blocks: Array, bias: Array, x: Array, first: int, scale: float, out: Array) -> None:
    """Project channels ``first`` onwards within blocks: block n (size_in, size_out) is ``blocks[n]``.

    ``out`` (width, S, LANES) gets ``scale (x blocks + bias)`` of the channels ``first`` to ``first + width``.
    """
    size = blocks.shape[1]
    for c in range(out.shape[0]):
        n, o = (first + c) // size, (first + c) % size
        source = n * size
        for t in range(out.shape[1]):
            a = splat(bias[first + c], x)
            for d in range(size):
                a = a + load(x, source + d, t) * blocks[n, d, o]
            store(out, c, t, a * scale)


@part
def project_blocks_back(
    blocks: Array, x: Array, first: int, scale: float, dout: Array, dx: Array, dblocks: Array, dbias: Array
) -> None:
    """Add to ``dx``, ``dblocks`` and ``dbias`` what the gradient ``dout`` of `project_blocks` says."""
    size = blocks.shape[1]
    for c in range(dout.shape[0]):
        n, inside = (first + c) // size, (first + c) % size
        start = n * size  # of the block, among all channels
        for t in range(dout.shape[1]):
            a = load(dx, first + c, t)
            for o in range(size):
                a = a + load(dout, start - first + o, t) * (blocks[n, inside, o] * scale)
            store(dx, first + c, t, a)
        summed = splat(0.0, x)
        for t in range(dout.shape[1]):
            summed = summed + load(dout, c, t)
        dbias[first + c] += total(summed) * scale
        for o in range(size):
            a = splat(0.0, x)
            for t in range(dout.shape[1]):
                a = a + load(dout, start - first + o, t) * load(x, first + c, t)
            dblocks[n, inside, o] += total(a) * scale
