"""Label smoothing with an amount of its own for every class."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from simengine import Component, PerClass, hookimpl
from simengine.types import N_CLASSES, FloatArray

_MOST = 0.5
"""From here on a smoothed target could name another class than its label does."""


class ClassConditional:
    """Take a share from the target of each class and give it to the other two.

    A row labelled c gets the target ``1 - s_c`` for c and ``s_c v_k / sum_{j != c} v_j`` for every other
    class k, where s is ``smoothing`` and v is ``spread``, by default equal for all. This is the label
    smoothing of Szegedy et al. (CVPR 2016) with an amount per class and nothing given back to the label
    itself; it acts before the loss and so goes with every loss.

    More for one class says that its labels are trusted less. It also tilts the prior: from shares pi the
    network learns ``pi M``, with M the matrix of the targets above (`prior_tilt`). A decision rule fitted on
    validation data should follow, and a calibrator, since smoothed targets teach probabilities that are
    too flat.

    Parameters
    ----------
    smoothing : PerClass
        Share taken from the target of each class, in [0, 0.5): a label stays the likeliest class.
    spread : PerClass, optional
        In which proportion the other two classes receive it, for example the label shares; by default
        equally.

    Examples
    --------
    With the defaults the target of a BUY row is (0.05, 0.05, 0.90), of a SELL row (0.98, 0.01, 0.01).
    Label shares of 28.3 / 33.9 / 37.8 % become 30.0 / 35.4 / 34.6 % of the targets.
    """

    def __init__(
        self,
        *,
        smoothing: Annotated[
            PerClass, Field(description="share taken from the target of each class, in [0, 0.5)")
        ] = PerClass(0.02, 0.02, 0.10),  # noqa: B008 - an immutable tuple
        spread: Annotated[
            PerClass | None,
            Field(description="proportion in which the other classes receive it; null: equally"),
        ] = None,
    ) -> None:
        if min(smoothing) < 0 or max(smoothing) >= _MOST:
            raise ValueError(f"smoothing must lie in [0, 0.5); received {tuple(smoothing)}")
        if spread is not None and min(spread) <= 0:
            raise ValueError(f"spread must be above 0; received {tuple(spread)}")
        self.smoothing = smoothing
        self.spread = spread

    def matrix(self) -> FloatArray:
        """Return the targets (3, 3) of SELL, HOLD and BUY rows, one row each."""
        given = np.tile(np.asarray(self.spread or (1.0, 1.0, 1.0)), (N_CLASSES, 1))
        np.fill_diagonal(given, 0.0)
        taken = np.asarray(self.smoothing)
        rows: FloatArray = np.diag(1 - taken) + taken[:, None] * given / given.sum(axis=1, keepdims=True)
        return rows

    def prior_tilt(self, label_share: FloatArray) -> FloatArray:
        """Return log(share M / share) (3,): the log-odds that the smoothing adds to each class."""
        share = np.asarray(label_share, dtype=np.float64)
        tilt: FloatArray = np.log(share @ self.matrix() / share)
        return tilt

    def __call__(self, targets: Any) -> Any:  # noqa: ANN401 - tensors
        """Return soft targets (B, 3) of one-hot targets (B, 3)."""
        import tensorflow as tf

        return tf.matmul(targets, tf.constant(self.matrix(), dtype=targets.dtype))


@hookimpl
def simengine_register_smoothers() -> list[Component]:
    """Register the component."""
    return [Component("class_conditional", ClassConditional)]
