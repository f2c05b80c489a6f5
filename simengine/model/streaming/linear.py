"""Products and normalisations of rows: what the blocks share.

A matrix of activations holds one bar per row. Arrays are float32 and C-contiguous; every function writes
its last array argument.
"""

from __future__ import annotations

import numpy as np

from simengine.model.streaming.compiling import compiled, matrix, outlined, row, stay_apart, summing
from simengine.types import Float32Array, IntArray

f4 = np.float32


@compiled
def behind(array: Float32Array, used: int) -> Float32Array:
    """Return what lies behind the first ``used`` values of a flat array."""
    return row(array, used, array.shape[0] - used)


@outlined
def spread(values: Float32Array, out: Float32Array) -> None:
    """Copy one row, shape (m,), into each row of out, (T, m)."""
    stay_apart()
    for t in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[t, j] = values[j]


@outlined
def add_to_each(values: Float32Array, out: Float32Array) -> None:
    """Add one row, shape (m,), to each row of out, (T, m)."""
    stay_apart()
    for t in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[t, j] += values[j]


@outlined
def product(x: Float32Array, first: int, w: Float32Array, target: int, out: Float32Array) -> None:
    """Add ``x[:, first : first + n] @ w``, w (n, m), to ``out[:, target : target + m]``.

    Four rows and two inputs at a time: each weight that is read serves four rows. Whatever the number of
    rows, the sum of one output is formed in the same order, so a bar alone gives the bits of a bar in many.
    """
    stay_apart()
    rows, (n, m) = x.shape[0], w.shape
    width_in, width_out = x.shape[1], out.shape[1]
    done = rows - rows % 4
    for t in range(0, done, 4):
        x0 = row(x, t * width_in + first, n)
        x1 = row(x, (t + 1) * width_in + first, n)
        x2 = row(x, (t + 2) * width_in + first, n)
        x3 = row(x, (t + 3) * width_in + first, n)
        y0 = row(out, t * width_out + target, m)
        y1 = row(out, (t + 1) * width_out + target, m)
        y2 = row(out, (t + 2) * width_out + target, m)
        y3 = row(out, (t + 3) * width_out + target, m)
        for i in range(0, n - 1, 2):
            u, v = row(w, i * m, m), row(w, (i + 1) * m, m)
            a0, a1, a2, a3 = x0[i], x1[i], x2[i], x3[i]
            b0, b1, b2, b3 = x0[i + 1], x1[i + 1], x2[i + 1], x3[i + 1]
            for j in range(m):
                p, q = u[j], v[j]
                y0[j] = y0[j] + a0 * p + b0 * q
                y1[j] = y1[j] + a1 * p + b1 * q
                y2[j] = y2[j] + a2 * p + b2 * q
                y3[j] = y3[j] + a3 * p + b3 * q
        if n % 2:
            u = row(w, (n - 1) * m, m)
            a0, a1, a2, a3 = x0[n - 1], x1[n - 1], x2[n - 1], x3[n - 1]
            for j in range(m):
                p = u[j]
                y0[j] += a0 * p
                y1[j] += a1 * p
                y2[j] += a2 * p
                y3[j] += a3 * p
    for t in range(done, rows):
        vector_product(row(x, t * width_in + first, n), w, row(out, t * width_out + target, m))


@outlined
def vector_product(x: Float32Array, w: Float32Array, out: Float32Array) -> None:
    """Add ``x @ w`` to out: x (n,), w (n, m), out (m,)."""
    stay_apart()
    n, m = w.shape
    done = n - n % 4
    for i in range(0, done, 4):
        w0, w1 = row(w, i * m, m), row(w, (i + 1) * m, m)
        w2, w3 = row(w, (i + 2) * m, m), row(w, (i + 3) * m, m)
        x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(m):
            out[j] = out[j] + x0 * w0[j] + x1 * w1[j] + x2 * w2[j] + x3 * w3[j]
    for i in range(done, n):
        last, value = row(w, i * m, m), x[i]
        for j in range(m):
            out[j] += value * last[j]


@compiled
def project(x: Float32Array, block: IntArray, weights: Float32Array, place: int, out: Float32Array) -> None:
    """Write ``x @ w + bias`` with the matrix at ``place`` and its bias behind: x (T, n), out (T, m)."""
    n, m = x.shape[1], out.shape[1]
    spread(row(weights, block[place + 1], m), out)
    product(x, 0, matrix(weights, block[place], n, m), 0, out)


@compiled
def add_projection(
    x: Float32Array, block: IntArray, weights: Float32Array, place: int, out: Float32Array
) -> None:
    """Add to out what `project` writes."""
    n, m = x.shape[1], out.shape[1]
    add_to_each(row(weights, block[place + 1], m), out)
    product(x, 0, matrix(weights, block[place], n, m), 0, out)


@summing
def dot(x: Float32Array, y: Float32Array) -> np.float32:
    """Return the inner product of two rows."""
    total = f4(0.0)
    for j in range(x.shape[0]):
        total += x[j] * y[j]
    return total


@summing
def normalise(x: Float32Array, eps: np.float32, out: Float32Array) -> None:
    """Write x with mean 0 and variance 1, both (n,)."""
    n = x.shape[0]
    total, square = f4(0.0), f4(0.0)
    for j in range(n):
        total += x[j]
    mean = total / f4(n)
    for j in range(n):
        square += (x[j] - mean) * (x[j] - mean)
    factor = f4(1.0) / np.sqrt(square / f4(n) + eps)
    for j in range(n):
        out[j] = (x[j] - mean) * factor


@summing
def normalise_size(x: Float32Array, eps: np.float32, out: Float32Array) -> None:
    """Write x with mean square 1 (RMSNorm), both (n,)."""
    n = x.shape[0]
    square = f4(0.0)
    for j in range(n):
        square += x[j] * x[j]
    factor = f4(1.0) / np.sqrt(square / f4(n) + eps)
    for j in range(n):
        out[j] = x[j] * factor


@compiled
def normalise_rows(x: Float32Array, eps: np.float32, out: Float32Array) -> None:
    """`normalise` each row of x, both (T, n)."""
    rows, n = x.shape
    for t in range(rows):
        normalise(row(x, t * n, n), eps, row(out, t * n, n))


@compiled
def normalise_sizes(x: Float32Array, eps: np.float32, out: Float32Array) -> None:
    """`normalise_size` of each row of x, both (T, n)."""
    rows, n = x.shape
    for t in range(rows):
        normalise_size(row(x, t * n, n), eps, row(out, t * n, n))


@compiled
def normalise_heads(x: Float32Array, heads: int, eps: np.float32) -> None:
    """Normalise the part of each head in each row of x, (T, H DH), in place."""
    size = x.shape[1] // heads
    parts = matrix(x, 0, x.shape[0] * heads, size)
    normalise_rows(parts, eps, parts)
