"""`zscore_window`: the window on its own scale."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.types import Float32Array

_AXES = {"time": 1, "feature": 2}


class ZscoreWindow:
    """Subtract each window's mean and divide by its standard deviation.

    ``(x - mean) / (std + epsilon)`` with both taken over the named axes of the window, nothing outside
    it. Over ``time`` alone every feature is put on its own scale, which drops the level of features
    that hardly move within a window; over ``feature`` alone every bar is; over both the whole
    window has one mean and one standard deviation, which keeps the features' relation.

    Parameters
    ----------
    axes : tuple of {"time", "feature"}
        What mean and standard deviation are taken over.
    epsilon : float
        Added to the standard deviation, in units of the scaled features; a constant window becomes 0.
    weight : float
        Relative weight in the mean of probabilities.

    Examples
    --------
    One feature with the values 1, 2, 3 over time becomes -1.22, 0, 1.22.
    """

    def __init__(
        self,
        *,
        axes: Annotated[
            tuple[Literal["time", "feature"], ...],
            Field(min_length=1, description="axes that mean and standard deviation are taken over"),
        ] = ("time", "feature"),
        epsilon: Annotated[
            float, Field(gt=0, description="added to the standard deviation, in scaled feature units")
        ] = 1e-6,
        weight: Annotated[float, Field(gt=0, description="relative weight of the view")] = 1.0,
    ) -> None:
        if len(set(axes)) != len(axes):
            raise ValueError(f"axes: expected each axis once, received {list(axes)}")
        self.axes = axes
        self.epsilon = epsilon
        self.weight = weight

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Return the standardised batch (B, length, F)."""
        axes = tuple(sorted(_AXES[name] for name in self.axes))
        mean = batch.mean(axis=axes, keepdims=True, dtype=np.float64)
        centred = batch - mean
        spread = np.sqrt(np.square(centred).mean(axis=axes, keepdims=True))
        return np.asarray(centred / (spread + self.epsilon), dtype=np.float32)


@hookimpl
def simengine_register_tta() -> list[Component]:
    """Register the component."""
    return [Component("zscore_window", ZscoreWindow)]
