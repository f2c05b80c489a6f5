"""`identity`: the window as it is."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from simengine import Component, hookimpl
from simengine.types import Float32Array


class Identity:
    """Leave the window as it is: the model's plain answer, as one of the views that are averaged.

    Parameters
    ----------
    weight : float
        Relative weight in the mean of probabilities.
    """

    is_identity: ClassVar[bool] = True

    def __init__(
        self, *, weight: Annotated[float, Field(gt=0, description="relative weight of the view")] = 1.0
    ) -> None:
        self.weight = weight

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Return the batch (B, length, F) itself."""
        return batch


@hookimpl
def simengine_register_tta() -> list[Component]:
    """Register the component."""
    return [Component("identity", Identity)]
