"""Batches as the data come: every row once an epoch, in random order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simengine import Component, hookimpl
from simengine.types import IntArray, LabelArray


class Natural:
    """Every training row once an epoch, shuffled; the last batch may be shorter."""

    def epoch(
        self, labels: LabelArray, groups: IntArray, epoch: int, rng: np.random.Generator, batch_size: int
    ) -> Iterator[IntArray]:
        """Yield the row ids of each batch, shape (batch_size,) or less in the last."""
        order = rng.permutation(len(labels))
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]


@hookimpl
def simengine_register_balancers() -> list[Component]:
    """Register the component."""
    return [Component("natural", Natural)]
