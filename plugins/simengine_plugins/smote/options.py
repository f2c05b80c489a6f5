"""Options that both makers of synthetic rows share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simengine import PerClass

Target = Annotated[
    Literal["balance", "minority"] | PerClass,
    Field(
        description="balance: every class up to the largest; minority: the smallest class alone; or the "
        "share of each class among all rows, real and synthetic (fractions that sum to 1)"
    ),
]
KNeighbors = Annotated[
    int, Field(ge=1, le=1000, description="nearest rows of its class that a row is mixed with")
]
ExclusionBars = Annotated[
    int | None,
    Field(
        ge=1,
        description="windows of one symbol that end less than this apart are no neighbours (bars); "
        "null: the window length, so that they share no bar",
    ),
]
MemoryBudgetMb = Annotated[
    int, Field(ge=1, description="most memory that may be used besides the train windows (MB)")
]


def check_target(target: str | PerClass) -> None:
    """Refuse shares that are none.

    Raises
    ------
    ValueError
        A share is not above 0, or they do not sum to 1.
    """
    if isinstance(target, PerClass) and (min(target) <= 0 or abs(sum(target) - 1) > 1e-9):
        raise ValueError(f"target shares must be above 0 and sum to 1; received {tuple(target)}")
