"""The compiled loops over pairs: products of windows by sliding sums, and the nearest of every base.

The squared distance of two windows is |a|^2 + |b|^2 - 2 a.b. The kernels are given products a.b of a tile
(rows x columns) and the squared norms, and keep for every base a short sorted list of the nearest
candidates by this approximate distance. Which of them are the nearest is settled afterwards by
`simengine.data.neighbours.exact`.

Rows and columns are places on one axis. ``norm`` of a place that is no candidate is infinite and ``limit``
of a place that is no base is minus infinity, so that neither is ever near.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simengine.data.neighbours.compiling import compiled, inlined

UNLIMITED = 1e300
"""Limit of a base that has fewer than k candidates; finite, since inf - inf would be no number."""

_TOGETHER = 64  # places that are tested together before one of them is looked at alone

Array = NDArray[Any]
Axis = tuple[Array, Array, Array, Array]
"""``norm`` and ``limit`` (float64), row and base (int32) of each place."""
Rows = tuple[Array, Array, Array]
"""``ends``, ``kinds`` and ``groups`` of all rows."""
Table = tuple[Array, Array, Array]
"""``ids`` (int32) and ``distances`` (float32), both (bases, capacity), and ``lost`` (float32, bases)."""
Numbers = tuple[int, int, float]
"""``k``, ``exclusion``, and the error of a distance as a share of both squared norms."""


@inlined
def reach(norm: float, kth: float, error: float) -> float:
    """Return the approximate distance beyond which no window is among the k nearest of a base.

    With an error of a distance of at most e (|a|^2 + |b|^2), and |b|^2 <= 2 |a|^2 + 2 d for a window b at the
    squared distance d of a base a, the k nearest lie within the k-th approximate distance plus twice
    e (3 |a|^2 + 2 d).
    """
    return kth + 2.0 * error * (3.0 * norm + 2.0 * kth)


@inlined
def _insert(base: int, row: int, distance: float, table: Table, k: int) -> bool:
    """Put a candidate into the sorted list of a base; return whether its k nearest have changed."""
    ids, distances, lost = table
    place = ids.shape[1] - 1
    value = np.float32(distance)
    if value >= distances[base, place]:
        lost[base] = min(lost[base], value)
        return False
    lost[base] = min(lost[base], distances[base, place])
    while place > 0 and distances[base, place - 1] > value:
        distances[base, place] = distances[base, place - 1]
        ids[base, place] = ids[base, place - 1]
        place -= 1
    distances[base, place] = value
    ids[base, place] = row
    changed: bool = place < k
    return changed


@inlined
def _offer(
    place: int, other: int, product: float, axis: Axis, rows: Rows, table: Table, numbers: Numbers
) -> None:
    """Offer the window at ``other`` to the base at ``place``."""
    norm, limit, row_at, base_at = axis
    ends, kinds, groups = rows
    k, exclusion, error = numbers
    row, candidate = row_at[place], row_at[other]
    if kinds[row] != kinds[candidate]:
        return
    if groups[row] == groups[candidate]:
        apart = np.int64(ends[row]) - np.int64(ends[candidate])
        if abs(apart) < exclusion:
            return
    base = base_at[place]
    distance = max(norm[place] + norm[other] - 2.0 * product, 0.0)
    if _insert(base, candidate, distance, table, k):
        kth = np.float64(table[1][base, k - 1])
        if kth < np.inf:
            limit[place] = reach(norm[place], kth, error) - norm[place]


@inlined
def _scan(
    place: int, first: int, products: Array, axis: Axis, rows: Rows, table: Table, numbers: Numbers
) -> None:
    """Offer the windows at places ``first``, ... to the base at ``place``, and the other way round."""
    norm, limit = axis[0], axis[1]
    own = norm[place]
    if own == np.inf:
        return
    for start in range(0, len(products), _TOGETHER):
        part = products[start : start + _TOGETHER]
        begin = first + start
        norms, limits = norm[begin : begin + len(part)], limit[begin : begin + len(part)]
        mine = limit[place]
        near = 0
        for x in range(len(part)):
            near += 2.0 * part[x] >= min(norms[x] - mine, own - limits[x])
        if near == 0:
            continue
        for x in range(len(part)):
            if norms[x] - 2.0 * part[x] <= limit[place]:
                _offer(place, begin + x, part[x], axis, rows, table, numbers)
            if own - 2.0 * part[x] <= limits[x] and norms[x] < np.inf:
                _offer(begin + x, place, part[x], axis, rows, table, numbers)


@compiled
def slide(
    products: Array,
    blocks: int,
    places: tuple[int, int],
    sums: Array,
    axis: Axis,
    rows: Rows,
    table: Table,
    numbers: Numbers,
) -> None:
    """Turn products of blocks of bars into products of windows, and scan them.

    The product of two windows is the sum of ``blocks`` products along a diagonal, so that the next one on
    that diagonal adds one product and drops another. Sums are kept in float64, so that what is dropped
    leaves nothing behind that could be seen beside the rounding of a float32 product.

    Parameters
    ----------
    products : float32 array, shape (rows + blocks - 1, columns + blocks - 1)
        Products of the blocks of a tile, beginning ``blocks - 1`` before its first windows.
    blocks : int
        Blocks in a window.
    places : tuple of int
        Place of the first row and of the first column. When they are equal only pairs above the diagonal
        are looked at, each once.
    sums : float64 array, shape (2, columns + blocks - 1)
        Work space.
    axis, rows, table, numbers
        As the types of this module say.
    """
    lead, width = blocks - 1, products.shape[1]
    for i in range(products.shape[0]):
        now, before = sums[i & 1], sums[(i + 1) & 1]
        now[0] = products[i, 0]
        if i == 0:
            for j in range(1, width):
                now[j] = products[0, j]
        else:
            # Sums of the first `lead` columns still lack products, as those of the first `lead` rows do.
            growing = width if i < blocks else min(blocks, width)
            new, old, out = products[i, 1:growing], before[: growing - 1], now[1:growing]
            for j in range(len(out)):
                out[j] = old[j] + np.float64(new[j])
            if growing < width:
                new, old, out = products[i, blocks:], before[lead : width - 1], now[blocks:]
                gone = products[i - blocks, : width - blocks]
                for j in range(len(out)):
                    out[j] = old[j] + (np.float64(new[j]) - np.float64(gone[j]))
        if i >= lead:
            row = i - lead
            skip = row + 1 if places[0] == places[1] else 0
            _scan(places[0] + row, places[1] + skip, now[lead + skip :], axis, rows, table, numbers)


@compiled
def scan(
    products: Array, places: tuple[int, int], axis: Axis, rows: Rows, table: Table, numbers: Numbers
) -> None:
    """Scan products (rows, columns) of whole windows; the parameters are those of `slide`."""
    for i in range(products.shape[0]):
        _scan(places[0] + i, places[1], products[i], axis, rows, table, numbers)
