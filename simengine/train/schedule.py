"""The learning rate over the course of a training."""

from __future__ import annotations

import math


def warmup_cosine(progress: float, peak: float, warmup: float) -> float:
    """Return the learning rate after a share of all steps.

    Linear from 0 to ``peak`` over the first ``warmup`` of the training, then half a cosine down to 0
    (Loshchilov and Hutter, "SGDR", 2017, without restarts).

    Parameters
    ----------
    progress : float
        Share of the training that is done, in [0, 1].
    peak : float
        Highest rate.
    warmup : float
        Share of the training that the rise takes, in [0, 1).
    """
    if progress < warmup:
        return peak * progress / warmup
    decayed = (progress - warmup) / (1.0 - warmup)
    return peak * 0.5 * (1.0 + math.cos(math.pi * decayed))
