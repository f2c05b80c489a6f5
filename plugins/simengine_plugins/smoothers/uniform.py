"""The same label smoothing for every class."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from simengine import Component, hookimpl
from simengine.types import N_CLASSES, FloatArray


class Uniform:
    """Mix every target with equal shares: (1 - smoothing) t + smoothing / 3.

    Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, section 7. It
    keeps the network from growing ever surer of noisy labels. The probabilities it teaches are those of
    smoothed labels, too flat by the smoothing; a calibrator fitted on validation data puts that right
    (Müller et al., "When Does Label Smoothing Help?", NeurIPS 2019).

    Parameters
    ----------
    smoothing : float
        Share of a target that is spread over all three classes, in [0, 1).

    Examples
    --------
    With 0.06 the target of a BUY row is (0.02, 0.02, 0.96).
    """

    def __init__(
        self,
        *,
        smoothing: Annotated[
            float, Field(ge=0, lt=1, description="share of a target spread over all classes")
        ] = 0.05,
    ) -> None:
        self.smoothing = smoothing

    def prior_tilt(self, label_share: FloatArray) -> FloatArray:
        """Return log((1 - s) + s / (3 share)) (3,): rare classes gain a little."""
        share = np.asarray(label_share, dtype=np.float64)
        tilt: FloatArray = np.log((1 - self.smoothing) + self.smoothing / (N_CLASSES * share))
        return tilt

    def __call__(self, targets: Any) -> Any:  # noqa: ANN401 - tensors
        """Return soft targets (B, 3) of one-hot targets (B, 3)."""
        return (1 - self.smoothing) * targets + self.smoothing / N_CLASSES


@hookimpl
def simengine_register_smoothers() -> list[Component]:
    """Register the component."""
    return [Component("uniform", Uniform)]
