"""How many synthetic rows each class gets."""

from __future__ import annotations

import numpy as np

from simengine import PerClass
from simengine.errors import DataError
from simengine.types import FloatArray, IntArray, Signal


def wanted_rows(counts: IntArray, target: str | PerClass, who: str) -> IntArray:
    """Return the number of synthetic rows of each class, int64 (3,); 0 for those at their target.

    Parameters
    ----------
    counts : int64 array, shape (3,)
        Train rows of each class.
    target : {"balance", "minority"} or PerClass
        As the option of that name. For shares q the total is max(n_c / q_c), the least at which no class has
        too many rows, and class c is filled up to q_c of it, rounded to the nearest row.
    who : str
        For messages.

    Raises
    ------
    DataError
        A class that should grow has no row.
    """
    wanted: IntArray = np.maximum(_totals(counts, target) - counts, 0)
    empty = np.flatnonzero((counts == 0) & (wanted > 0))
    if len(empty):
        raise DataError(
            f"{who}: no train row is {Signal(int(empty[0])).name}, so there is nothing to make more of; "
            "change labels.labeler or use more bars"
        )
    return wanted


def _totals(counts: IntArray, target: str | PerClass) -> IntArray:
    if isinstance(target, PerClass):
        shares = np.asarray(target)
        # Rounded first: 10 / 0.3 * 0.3 is 9.999999999999998.
        exact = np.round((counts / shares).max() * shares, 6)
        whole: IntArray = np.floor(exact + 0.5).astype(np.int64)
        return whole
    totals: IntArray = np.full(3, counts.max(), dtype=np.int64)
    if target == "minority":
        totals = np.where(np.arange(3) == counts.argmin(), totals, counts)
    return totals


def tilt(label_share: FloatArray, target: str | PerClass) -> FloatArray:
    """Return log(share afterwards / share before) (3,)."""
    share = np.asarray(label_share, dtype=np.float64)
    if isinstance(target, PerClass):
        # As with counts: no class loses rows.
        after = np.maximum((share / np.asarray(target)).max() * np.asarray(target), share)
    else:
        after = np.full(3, share.max())
        if target == "minority":
            after = np.where(np.arange(3) == share.argmin(), after, share)
    found: FloatArray = np.log(after / after.sum() / share)
    return found
