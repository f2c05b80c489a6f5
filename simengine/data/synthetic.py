"""Synthetic train rows: what is asked for, and how they are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simengine.errors import PluginError
from simengine.log import NoProgress, Progress
from simengine.types import Float32Array, IntArray, LabelArray

if TYPE_CHECKING:
    from simengine.data.windows import WindowSet


@dataclass(frozen=True, slots=True)
class SmoteTask:
    """What a smote component is given.

    Parameters
    ----------
    train : WindowSet
        Labelled, scaled train windows; n rows. A row's series of bars is known by `WindowSet.series_starts`.
    seed : int
        Of everything random in it.
    scratch : Path or None
        Folder for parts that survive a kill; None keeps nothing.
    progress : Progress
        Told about every chunk.
    """

    train: WindowSet
    seed: int
    scratch: Path | None = None
    progress: Progress = field(default_factory=NoProgress)


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Synthetic rows as pairs of train rows: the window (1 - mix) W_first + mix W_second.

    Parameters
    ----------
    first, second : int64 arrays, shape (m,)
        Ids of train rows of one class.
    mix : float32 array, shape (m,)
        Lambda, in [0, 1].
    report : mapping
        Plain numbers on what was made and what memory it took, for the log.
    """

    first: IntArray
    second: IntArray
    mix: Float32Array
    report: dict[str, object]

    def __len__(self) -> int:
        return len(self.first)

    def labels(self, labels: LabelArray, *, with_train: bool = True) -> LabelArray:
        """Return the class of each row: of the train rows, given as (n,), and then of the m synthetic ones.

        With ``with_train`` false of the synthetic rows alone.
        """
        own = labels[self.first]
        return np.concatenate([labels, own]) if with_train else own

    def check(self, labels: LabelArray, who: str) -> None:
        """Refuse rows that cannot be.

        Raises
        ------
        PluginError
            When ids are not those of train rows, classes differ within a pair or lambda is outside [0, 1].
        """
        n = len(labels)
        if not len(self.first) == len(self.second) == len(self.mix):
            lengths = f"{len(self.first)}, {len(self.second)} and {len(self.mix)}"
            raise PluginError(f"smote {who}: first, second and mix must be of one length, received {lengths}")
        for name, ids in (("first", self.first), ("second", self.second)):
            if ids.dtype.kind != "i" or (len(ids) and (ids.min() < 0 or ids.max() >= n)):
                raise PluginError(f"smote {who}: {name} must hold ids of train rows, 0 to {n - 1}")
        if not ((self.mix >= 0) & (self.mix <= 1)).all():
            raise PluginError(f"smote {who}: mix must lie in [0, 1]")
        differ = np.flatnonzero(labels[self.first] != labels[self.second])
        if len(differ):
            raise PluginError(f"smote {who}: pair {differ[0]} joins two classes ({len(differ)} such pairs)")
