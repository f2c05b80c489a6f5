"""What all miners have in common: their options, and the share that grows over the training."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from simengine.errors import DataError
from simengine.types import CLASS_NAMES, IntArray, LabelArray

Classes = Annotated[
    tuple[Literal["sell", "hold", "buy"], ...],
    Field(min_length=1, description="labels of the rows that can be selected"),
]
Every = Annotated[int, Field(ge=1, description="epochs between two selections; the first follows epoch 1")]
Start = Annotated[
    float, Field(ge=0, lt=1, description="share of a batch that the ramp begins with, in epoch 1")
]
End = Annotated[
    float, Field(ge=0, lt=1, description="share of a batch that hard rows take in the last epoch")
]


def checked_classes(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes.

    Raises
    ------
    ValueError
        When one is named twice.
    """
    if len(set(classes)) < len(classes):
        raise ValueError(f"classes: expected each class once, received {list(classes)}")
    return classes


def linear_share(epoch: int, epochs: int, start: float, end: float) -> float:
    """Return start + (end - start) (epoch - 1) / (epochs - 1), and 0 in the first epoch.

    Nothing has been selected before the first epoch is over, so the ramp is felt from the second on.
    """
    if epoch <= 1:
        return 0.0
    return start + (end - start) * (epoch - 1) / (epochs - 1)


def rows_of_class(labels: LabelArray, name: str, miner: str) -> IntArray:
    """Return the ids of the rows of a class.

    Raises
    ------
    DataError
        When there is none.
    """
    rows: IntArray = np.flatnonzero(labels == CLASS_NAMES.index(name))
    if len(rows) == 0:
        raise DataError(
            f"miner {miner}: none of the {len(labels)} train rows is {name.upper()}: change its classes or "
            "labels.labeler"
        )
    return rows


def top_count(n: int, fraction: float) -> int:
    """Return how many rows the top fraction of n rows is, rounded up."""
    # Rounded first: 0.1 * 30 could be 3.0000000000000004 and would otherwise take a row too many.
    return int(np.ceil(np.round(n * fraction, 9)))
