"""Windows as index sets: the feature matrix stays one array, a window is the row of its last bar."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from simengine.errors import PluginError
from simengine.types import Float32Array, IntArray, LabelArray

if TYPE_CHECKING:
    from simengine.plugin.kinds import BatchTransform


@dataclass(frozen=True, slots=True)
class WindowSet:
    """A set of windows over one shared feature matrix.

    Parameters
    ----------
    matrix : float32 array, shape (n_bars, F)
        Scaled features of all symbols, one after another; never copied per window.
    ends : int32 array, shape (n,)
        Row of the last bar of each window; the window is rows ``end - length + 1`` to ``end``.
    labels : int8 array, shape (n,)
        Label of each window, -1 where there is none.
    groups : int16 array, shape (n,)
        Index of the symbol of each window.
    length : int
        Bars per window.
    starts : int32 array, shape (n,), optional
        Row of the first bar of the unbroken series that each window lies in: its rows up to ``end`` are
        consecutive bars of one symbol with finite features and no long hole between them. A model that
        carries state over bars begins there. None: nothing is known before the window itself.
    """

    matrix: Float32Array
    ends: np.ndarray[tuple[int], np.dtype[np.int32]]
    labels: LabelArray
    groups: np.ndarray[tuple[int], np.dtype[np.int16]]
    length: int
    starts: np.ndarray[tuple[int], np.dtype[np.int32]] | None = None

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def n_features(self) -> int:
        """Number of features F."""
        return int(self.matrix.shape[1])

    def take(self, rows: IntArray | np.ndarray[tuple[int], np.dtype[np.bool_]] | slice) -> WindowSet:
        """Return the windows at ``rows`` (row ids, a mask or a slice) over the same matrix."""
        starts = None if self.starts is None else self.starts[rows]
        return replace(
            self, ends=self.ends[rows], labels=self.labels[rows], groups=self.groups[rows], starts=starts
        )

    def series_starts(self) -> IntArray:
        """Return ``starts`` (n,), or the first row of each window where they are not known."""
        first: IntArray = self.ends.astype(np.int64) - (self.length - 1)
        return first if self.starts is None else self.starts.astype(np.int64)

    def gather(self, rows: IntArray | slice) -> Float32Array:
        """Return the windows at ``rows`` as a batch of shape (B, length, F).

        For batches only: gathering a whole data set costs ``length`` times its memory.
        """
        offsets = np.arange(1 - self.length, 1, dtype=np.int64)
        batch: Float32Array = self.matrix[self.ends[rows].astype(np.int64)[:, None] + offsets]
        return batch

    def transformed(self, rows: IntArray | slice, transform: BatchTransform) -> Float32Array:
        """Return the windows at ``rows``, (B, length, F), passed through ``transform``.

        Raises
        ------
        PluginError
            When the transform returns another shape.
        """
        batch = self.gather(rows)
        changed = np.asarray(transform(batch), dtype=np.float32)
        if changed.shape != batch.shape:
            raise PluginError(
                f"{type(transform).__name__}: expected a batch of shape {batch.shape}; "
                f"received {changed.shape}"
            )
        return changed
