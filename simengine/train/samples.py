"""The sample table: which windows, and mixtures of windows, a training draws its batches from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.data.synthetic import SmoteTask, Synthetic
from simengine.log import event, get_logger
from simengine.seed import integer
from simengine.types import Float32Array, IntArray, LabelArray

if TYPE_CHECKING:
    from simengine.data.windows import WindowSet
    from simengine.train.context import TrainContext

SCRATCH = "smote"
logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SampleTable:
    """Rows (i, j, lambda): row r is the window (1 - mix) W[first] + mix W[second].

    The first n rows are the n train windows themselves, the others are synthetic.

    Parameters
    ----------
    train : WindowSet
        n labelled windows.
    first, second : int64 arrays, shape (m,)
        Ids of train windows, of one class in each row.
    mix : float32 array, shape (m,)
        In [0, 1]; 0 for the windows themselves.
    labels : int8 array, shape (m,)
        Class of each row.
    groups : int64 array, shape (m,)
        Symbol index of the first window.
    """

    train: WindowSet
    first: IntArray
    second: IntArray
    mix: Float32Array
    labels: LabelArray
    groups: IntArray

    def __len__(self) -> int:
        return len(self.first)

    @property
    def mixed(self) -> bool:
        """Whether there are synthetic rows."""
        return len(self) > len(self.train)

    def ends(self, rows: IntArray) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return the window ends of both partners of some rows, int32 (B,) each."""
        ends = self.train.ends
        return ends[self.first[rows]].astype(np.int32), ends[self.second[rows]].astype(np.int32)


def sample_table(train: WindowSet, context: TrainContext) -> SampleTable:
    """Return the train windows, and what ``training.smote`` adds to them.

    Raises
    ------
    PluginError
        When the smote component breaks its contract.
    """
    n = len(train)
    own = np.arange(n, dtype=np.int64)
    added = synthetic_rows(train, context)
    first, second = np.concatenate([own, added.first]), np.concatenate([own, added.second])
    mix = np.concatenate([np.zeros(n, np.float32), added.mix.astype(np.float32)])
    return SampleTable(train, first, second, mix, train.labels[first], train.groups[first].astype(np.int64))


def synthetic_rows(train: WindowSet, context: TrainContext) -> Synthetic:
    """Return the pairs that ``training.smote`` adds; none without it.

    Raises
    ------
    PluginError
        When the smote component breaks its contract.
    """
    if context.smote is None:
        none = np.zeros(0, np.int64)
        return Synthetic(none, none, np.zeros(0, np.float32), {})
    scratch = None if context.checkpoint is None else context.checkpoint / SCRATCH
    task = SmoteTask(train, integer(context.seed, "smote"), scratch, context.progress)
    added = context.smote.synthesize(task)
    added.check(train.labels, type(context.smote).__name__)
    event(logger, "smote", f"{len(added):,} synthetic rows beside {len(train):,}", **added.report)
    return added
