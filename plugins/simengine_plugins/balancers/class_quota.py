"""Batches with fixed class shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.errors import ConfigError
from simengine.train.classes import class_counts
from simengine.types import IntArray, LabelArray


class ClassQuota:
    """Every batch holds the same share of each class, whatever the label shares are.

    Use it when the network leans to the commonest class. Counts per batch are the quotas times the
    batch size, rounded by largest remainder (the first class wins a tie). Within a class, rows are
    drawn without replacement until all were seen, then from a new shuffle. An epoch has
    n // batch_size batches, at least one.

    The quotas tilt the prior that the network learns; a decision rule fitted on validation data
    should follow.

    Examples
    --------
    A batch of 128 with the default quotas holds 39 SELL, 38 HOLD and 51 BUY rows.
    """

    def __init__(
        self,
        *,
        quotas: Annotated[
            PerClass, Field(description="share of each class in a batch (fractions that sum to 1)")
        ] = PerClass(0.30, 0.30, 0.40),  # noqa: B008 - an immutable tuple
    ) -> None:
        if min(quotas) <= 0 or abs(sum(quotas) - 1) > 1e-9:
            raise ValueError(f"quotas must be above 0 and sum to 1; received {tuple(quotas)}")
        self.quotas = quotas

    def epoch(
        self, labels: LabelArray, groups: IntArray, epoch: int, rng: np.random.Generator, batch_size: int
    ) -> Iterator[IntArray]:
        """Yield the row ids of each batch, shape (batch_size,).

        Raises
        ------
        DataError
            When a class has no row.
        ConfigError
            When the batch is too small to hold every class.
        """
        class_counts(labels, "balancer class_quota")
        counts = self._per_batch(batch_size)
        n_batches = max(1, len(labels) // batch_size)
        columns = []
        for label, count in enumerate(counts):
            rows = np.flatnonzero(labels == label)
            needed = n_batches * int(count)
            passes = [rng.permutation(rows) for _ in range(-(-needed // len(rows)))]
            columns.append(np.concatenate(passes)[:needed].reshape(n_batches, count))
        yield from np.concatenate(columns, axis=1)

    def _per_batch(self, batch_size: int) -> IntArray:
        exact = np.asarray(self.quotas) * batch_size
        # Rounded first: 0.3 * 10 is 2.9999999999999996 and would otherwise lose a row to another class.
        counts: IntArray = np.floor(np.round(exact, 9)).astype(np.int64)
        missing = batch_size - int(counts.sum())
        by_remainder = np.argsort(-np.round(exact - counts, 9), kind="stable")
        counts[by_remainder[:missing]] += 1
        if counts.min() == 0:
            raise ConfigError(
                f"training.batch_size: {batch_size} rows are too few for class_quota {tuple(self.quotas)}: "
                "a class would get none"
            )
        return counts


@hookimpl
def simengine_register_balancers() -> list[Component]:
    """Register the component."""
    return [Component("class_quota", ClassQuota)]
