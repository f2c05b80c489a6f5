"""Normalisation over channels: of all of them (layer norm) or of each head."""

from __future__ import annotations

from simengine.model.native.compiling import part
from simengine.model.native.lanes import Array, load, splat, square_root, store, total

EPSILON = 1e-5


@part
def normalise(x: Array, first: int, width: int, out: Array, inverse: Array) -> None:
    """Normalise ``width`` channels from ``first`` on to mean 0 and variance 1.

    ``out`` may be ``x``; row ``first // width`` of ``inverse`` gets 1 / sqrt(variance + epsilon).
    """
    share = 1.0 / width
    for t in range(x.shape[1]):
        mean = splat(0.0, x)
        for c in range(first, first + width):
            mean = mean + load(x, c, t)
        mean = mean * share
        variance = splat(0.0, x)
        for c in range(first, first + width):
            v = load(x, c, t) - mean
            variance = variance + v * v
        scale = 1.0 / square_root(variance * share + EPSILON)
        store(inverse, first // width, t, scale)
        for c in range(first, first + width):
            store(out, c, t, (load(x, c, t) - mean) * scale)


@part
def normalise_back(normal: Array, inverse: Array, first: int, width: int, dy: Array) -> None:
    """Turn the gradient by the normalised channels, ``dy``, into that by their inputs, in place.

    dx = (dy - mean(dy) - normal mean(dy normal)) / sqrt(variance + epsilon).
    """
    share = 1.0 / width
    for t in range(dy.shape[1]):
        mean, along = splat(0.0, dy), splat(0.0, dy)
        for c in range(first, first + width):
            v = load(dy, c, t)
            mean = mean + v
            along = along + v * load(normal, c, t)
        mean, along = mean * share, along * share
        scale = load(inverse, first // width, t)
        for c in range(first, first + width):
            v = load(dy, c, t) - mean - load(normal, c, t) * along
            store(dy, c, t, v * scale)


@part
def scaled(normal: Array, scale: Array, out: Array) -> None:
    """Write ``(1 + scale[c]) normal[c]``."""
    for c in range(normal.shape[0]):
        factor = 1.0 + scale[c]
        for t in range(normal.shape[1]):
            store(out, c, t, load(normal, c, t) * factor)


@part
def normed(x: Array, scale: Array, normal: Array, inverse: Array, out: Array) -> None:
    """Write the layer normalisation ``(1 + scale) normalise(x)``, or ``x`` itself when ``scale`` is empty."""
    if scale.shape[0]:
        normalise(x, 0, x.shape[0], normal, inverse)
        scaled(normal, scale, out)
    else:
        out[:] = x


@part
def normed_back(normal: Array, inverse: Array, scale: Array, dx: Array, dscale: Array) -> None:
    """Turn ``dx``, the gradient by the results of `normed`, into that by its inputs; fill ``dscale``."""
    if scale.shape[0] == 0:
        return
    for c in range(dx.shape[0]):
        factor, summed = 1.0 + scale[c], splat(0.0, dx)
        for t in range(dx.shape[1]):
            v = load(dx, c, t)
            summed = summed + v * load(normal, c, t)
            store(dx, c, t, v * factor)
        dscale[c] += total(summed)
    normalise_back(normal, inverse, 0, dx.shape[0], dx)
