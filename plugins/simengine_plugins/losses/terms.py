"""What the focal losses have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from simengine.types import N_CLASSES


def log_proba_and_rest(logits: Any) -> tuple[Any, Any]:  # noqa: ANN401 - tensors
    """Return log p and log(1 - p), (B, 3) each, of logits (B, 3).

    log(1 - p_c) is the log of the other classes' probabilities summed, so a sure row has no 1 - 1 = 0
    and its gradient does not vanish.
    """
    import tensorflow as tf

    log_p = tf.nn.log_softmax(logits)
    others = tf.constant(np.where(np.eye(N_CLASSES, dtype=bool), -1e30, 0.0), dtype=log_p.dtype)
    return log_p, tf.reduce_logsumexp(log_p[:, None, :] + others, axis=-1)
