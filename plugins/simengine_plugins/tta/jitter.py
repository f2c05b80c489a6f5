"""`jitter`: the window with a little fixed noise."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.seed import stream
from simengine.types import Float32Array


class Jitter:
    """Add one fixed pattern of Gaussian noise to every window.

    The pattern depends on ``seed`` and the shape of a window alone, so that a window's answer is the same
    whatever batch it comes in and whenever it is asked for. List the view several times with different
    seeds to average over several patterns.

    Parameters
    ----------
    scale : float
        Standard deviation of the noise, in standard deviations of the scaled features.
    seed : int
        Chooses the pattern.
    weight : float
        Relative weight in the mean of probabilities.
    """

    def __init__(
        self,
        *,
        scale: Annotated[
            float, Field(gt=0, description="standard deviation of the noise, in scaled feature units")
        ] = 0.05,
        seed: Annotated[int, Field(ge=0, description="chooses the noise pattern")] = 0,
        weight: Annotated[float, Field(gt=0, description="relative weight of the view")] = 1.0,
    ) -> None:
        self.scale = scale
        self.seed = seed
        self.weight = weight

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Return the batch (B, length, F) plus the pattern (length, F)."""
        pattern = stream(self.seed, "jitter").standard_normal(batch.shape[1:]) * self.scale
        return np.asarray(batch + pattern.astype(np.float32), dtype=np.float32)


@hookimpl
def simengine_register_tta() -> list[Component]:
    """Register the component."""
    return [Component("jitter", Jitter)]
