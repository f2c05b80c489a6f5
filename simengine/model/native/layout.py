"""Between batches (rows, steps, channels) and groups of samples (channels, steps, LANES)."""

from __future__ import annotations

from typing import Any

import numpy as np

from simengine.model.native.compiling import part
from simengine.model.native.lanes import LANES, Array


@part
def room(channels: int, steps: int, dtype: Any) -> Array:  # noqa: ANN401 - numba's own types
    """Return an array for the values of one group."""
    return np.empty((channels, steps, LANES), dtype)


@part
def gather(batch: Array, group: int, out: Array) -> None:
    """Copy rows ``group * LANES`` onwards of (B, S, D) to (D, S, LANES); lanes beyond the batch are 0."""
    first = group * LANES
    filled = min(LANES, batch.shape[0] - first)
    for t in range(out.shape[1]):
        for d in range(out.shape[0]):
            for lane in range(filled):
                out[d, t, lane] = batch[first + lane, t, d]
            for lane in range(filled, LANES):
                out[d, t, lane] = 0.0


@part
def scatter(values: Array, group: int, batch: Array) -> None:
    """Copy (D, S, LANES) back to the rows of (B, S, D)."""
    first = group * LANES
    filled = min(LANES, batch.shape[0] - first)
    for lane in range(filled):
        for t in range(values.shape[1]):
            for d in range(values.shape[0]):
                batch[first + lane, t, d] = values[d, t, lane]
