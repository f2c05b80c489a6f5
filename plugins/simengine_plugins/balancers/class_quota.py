"""Batches with fixed class shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.errors import ConfigError
from simengine.seed import stream
from simengine.train.classes import class_counts
from simengine.types import FloatArray, IntArray, LabelArray


class ClassQuota:
    """Every batch holds the same share of each class, whatever the label shares are.

    Use it when the network leans to the commonest class. Class-aware sampling (Shen, Lin and Huang, "Relay
    Backpropagation for Effective Learning of Deep Convolutional Neural Networks", ECCV 2016) with any
    shares. Counts per batch are the quotas times the batch size, rounded by largest remainder (the first
    class wins a tie). An epoch has n // batch_size batches, at least one.

    Within a class, rows are drawn without replacement until all were seen, then from a new shuffle. This
    goes on across epochs: an epoch continues where the one before it stopped, so that no row of a class has
    ever been seen more than once more often than another. A class with fewer rows than its
    quota repeats rows within a batch; a class without rows is an error.

    With ``by_symbol`` the rows of a pass are laid out so that every stretch of it holds the symbols in
    their share of the class, apportioned by Webster's method (highest averages); a batch takes a stretch.
    Largest remainder would not do: a stretch can then owe a symbol a row fewer than a shorter stretch did
    (the Alabama paradox), and the row would be lost. Without it symbols are in proportion on average.

    The quotas tilt the prior that the network learns by log(quota / label share) (`prior_tilt`); a decision
    rule fitted on validation data should follow.

    Parameters
    ----------
    quotas : PerClass
        Share of each class in a batch, fractions that sum to 1.
    by_symbol : bool
        Whether every batch holds the symbols of a class in proportion.

    Examples
    --------
    A batch of 128 with the default quotas holds 39 SELL, 38 HOLD and 51 BUY rows. Of 1,000 SELL rows and
    20 batches an epoch, the first epoch takes 780, the second the other 220 and 560 of the next shuffle.
    """

    def __init__(
        self,
        *,
        quotas: Annotated[
            PerClass, Field(description="share of each class in a batch (fractions that sum to 1)")
        ] = PerClass(0.30, 0.30, 0.40),  # noqa: B008 - an immutable tuple
        by_symbol: Annotated[
            bool, Field(description="keep the symbols of a class in proportion in every batch")
        ] = False,
    ) -> None:
        if min(quotas) <= 0 or abs(sum(quotas) - 1) > 1e-9:
            raise ValueError(f"quotas must be above 0 and sum to 1; received {tuple(quotas)}")
        self.quotas = quotas
        self.by_symbol = by_symbol
        self._seed = 0

    def begin(self, seed: int) -> None:
        """Take the seed of the training: it decides the order of every pass, and so who is left out."""
        self._seed = seed

    def prior_tilt(self, label_share: FloatArray) -> FloatArray:
        """Return log(quota / share) (3,): the log-odds that the quotas add to each class."""
        tilt: FloatArray = np.log(np.asarray(self.quotas) / np.asarray(label_share, dtype=np.float64))
        return tilt

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
            start = (epoch - 1) * needed
            parts = self._stretch(rows, groups, label, start, start + needed)
            columns.append(np.concatenate(list(parts)).reshape(n_batches, count))
        yield from np.concatenate(columns, axis=1)

    def _stretch(
        self, rows: IntArray, groups: IntArray, label: int, start: int, stop: int
    ) -> Iterator[IntArray]:
        """Yield the rows at places ``start`` to ``stop`` of the endless line of passes, pass by pass."""
        n = len(rows)
        for number in range(start // n, -(-stop // n)):
            ordered = self._pass(rows, groups[rows], label, number)
            yield ordered[max(start - number * n, 0) : stop - number * n]

    def _pass(self, rows: IntArray, groups: IntArray, label: int, number: int) -> IntArray:
        """Return the rows of a class in the order of one pass; an epoch needs none of those before."""
        rng = stream(self._seed, "class_quota", label, number)
        order = rng.permutation(len(rows))
        if not self.by_symbol:
            return rows[order]
        shuffled = groups[order]
        by_group = np.argsort(shuffled, kind="stable")
        _, first, sizes = np.unique(shuffled[by_group], return_index=True, return_counts=True)
        rank = np.arange(len(rows)) - np.repeat(first, sizes)
        # Webster's method gives a symbol its k-th seat when k - 1/2 of its size's share is reached.
        key = (rank + 0.5) / np.repeat(sizes, sizes)
        tie = np.repeat(rng.permutation(len(sizes)), sizes)
        ordered: IntArray = rows[order[by_group[np.lexsort((tie, key))]]]
        return ordered

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
