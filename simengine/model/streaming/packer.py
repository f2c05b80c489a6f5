"""Named weights on their way into flat arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simengine.errors import did_you_mean
from simengine.model.streaming.layout import NUMBERS, PLACES
from simengine.types import Float32Array, IntArray

_ALIGNED = 16
"""Offsets are multiples of 16 floats, a cache line."""

Array = NDArray[np.float64]


class Part:
    """The weights of one part of the model, in float64, that remembers which were asked for.

    Parameters
    ----------
    weights : mapping of str to array
        All weights of the model by name.
    prefix : str
        Start of the names of this part.
    used : set of str
        Takes in the name of every weight that is read.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]], prefix: str, used: set[str]) -> None:
        self.weights = weights
        self.prefix = prefix
        self.used = used

    def part(self, name: str) -> Part:
        """Return the part of this part that is called ``name``."""
        return Part(self.weights, f"{self.prefix}{name}/", self.used)

    def has(self, name: str) -> bool:
        """Say whether there is such a weight."""
        return self.prefix + name in self.weights

    def __getitem__(self, name: str) -> Array:
        full = self.prefix + name
        if full not in self.weights:
            raise ValueError(f"the model has no weight {full!r}{did_you_mean(full, self.weights)}")
        self.used.add(full)
        return np.asarray(self.weights[full], np.float64)

    def joined(self, axis: int, *names: str) -> Array:
        """Return several weights side by side."""
        return np.concatenate([self[name] for name in names], axis)

    def get(self, name: str, size: int, value: float = 0.0) -> Array:
        """Return a weight that options may leave out; without it ``size`` equal values."""
        return self[name] if self.has(name) else np.full(size, value)


class Packer:
    """Collects rows of the plan, weights and the shapes of states."""

    def __init__(self) -> None:
        self.rows: list[IntArray] = []
        self.arrays: list[Float32Array] = []
        self.size = 0
        self.states: dict[str, tuple[int, tuple[int, ...]]] = {}
        self.state_size = 0

    def new_row(self, numbers: Mapping[int, int]) -> None:
        """Start the next row of the plan with these numbers by place; the others are 0 until they are set."""
        self.rows.append(np.zeros(PLACES, np.int64))
        self.set(numbers)

    def set(self, numbers: Mapping[int, int]) -> None:
        """Set places of the newest row."""
        for place, number in numbers.items():
            self.rows[-1][place] = number

    def put(self, place: int, array: Array) -> None:
        """Store an array at ``place`` of the newest row."""
        values = np.ascontiguousarray(array, np.float32).ravel()
        self.rows[-1][place] = self.size
        padded = -(-values.size // _ALIGNED) * _ALIGNED
        self.arrays.append(np.pad(values, (0, padded - values.size)))
        self.size += padded

    def put_linear(self, place: int, matrix: Array, bias: Array) -> None:
        """Store a matrix at ``place`` of the newest row, and its bias at the place behind."""
        self.put(place, matrix)
        self.put(place + 1, bias)

    def put_numbers(self, **numbers: float) -> None:
        """Store epsilons and the cap of the newest row, see `layout.EPS_NORM`."""
        names = ("norm", "heads", "memory", "cap")
        self.put(NUMBERS, np.array([numbers.get(name, 0.0) for name in names]))

    def reserve(self, place: int, name: str, shape: tuple[int, ...]) -> None:
        """Make room for a state of the newest row, called ``name`` in snapshots."""
        self.rows[-1][place] = self.state_size
        self.states[name] = (self.state_size, shape)
        self.state_size += -(-int(np.prod(shape)) // _ALIGNED) * _ALIGNED

    def weights(self) -> Float32Array:
        """Return all weights in one array."""
        return np.concatenate(self.arrays)
