"""Which of the near candidates are the nearest: distances added up in float64, bar by bar."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simengine.data.neighbours.compiling import compiled, inlined
from simengine.data.neighbours.kernels import Rows, Table

Array = NDArray[Any]

LARGEST = 1e15
"""Size of a feature from which products of float32 would overflow."""


@inlined
def _distance(matrix: Array, first: int, second: int, length: int, limit: float) -> float:
    """Return the squared distance of the windows that end at two bars, or infinity beyond ``limit``."""
    total = 0.0
    for step in range(length):
        a, b = matrix[first - step], matrix[second - step]
        for f in range(len(a)):
            difference = np.float64(a[f]) - np.float64(b[f])
            total += difference * difference
        if total > limit:
            return np.inf
    return total


@inlined
def _place(row: int, distance: float, rows: Array, distances: Array) -> None:
    """Put a row into a list sorted by distance, then by row."""
    place = len(rows) - 1
    if distance > distances[place] or (distance == distances[place] and row > rows[place]):
        return
    while place > 0 and (
        distances[place - 1] > distance or (distances[place - 1] == distance and rows[place - 1] > row)
    ):
        distances[place], rows[place] = distances[place - 1], rows[place - 1]
        place -= 1
    distances[place], rows[place] = distance, row


@compiled
def settle(
    matrix: Array,
    length: int,
    ends: Array,
    bases: Array,
    table: Table,
    reaches: Array,
    found: tuple[Array, Array],
) -> None:
    """Rank the candidates within ``reaches`` (b,) of each base by their exact distance.

    ``found`` holds rows and distances (b, k), filled with the largest integer and infinity.
    """
    ids, distances, _ = table
    for base in range(len(bases)):
        rows, exact = found[0][base], found[1][base]
        for place in range(ids.shape[1]):
            if distances[base, place] > reaches[base] or distances[base, place] == np.inf:
                break
            row = ids[base, place]
            apart = _distance(matrix, ends[bases[base]], ends[row], length, exact[-1])
            if apart < np.inf:
                _place(row, apart, rows, exact)


@compiled
def rescan(
    matrix: Array, length: int, base: int, rows: Rows, exclusion: int, found_rows: Array, found: Array
) -> None:
    """Look at every candidate of one base."""
    ends, kinds, groups = rows
    for row in range(len(ends)):
        if kinds[row] != kinds[base]:
            continue
        if groups[row] == groups[base] and abs(np.int64(ends[row]) - np.int64(ends[base])) < exclusion:
            continue
        apart = _distance(matrix, ends[base], ends[row], length, found[-1])
        if apart < np.inf:
            _place(row, apart, found_rows, found)


@compiled
def centre_of(matrix: Array, ends: Array) -> Array:
    """Return the mean of each feature over the last bars of the windows, float64 (F,).

    Numbers that are missing or absurd are left out here, so that the window that holds them can be named.
    """
    # Any centre does, so that one too many in the count spares a division by 0.
    total, count = np.zeros(matrix.shape[1]), np.ones(matrix.shape[1])
    for end in ends:
        for f in range(len(total)):
            value = np.float64(matrix[end, f])
            if abs(value) < LARGEST:
                total[f] += value
                count[f] += 1
    return total / count


@compiled
def energies(matrix: Array, centre: Array) -> Array:
    """Return the sum of squares of each centred bar, float64 (n_bars,)."""
    out = np.empty(len(matrix))
    for bar in range(len(matrix)):
        total = 0.0
        for f in range(len(centre)):
            value = np.float64(matrix[bar, f] - centre[f])
            total += value * value
        out[bar] = total
    return out
