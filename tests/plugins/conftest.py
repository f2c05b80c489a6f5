import numpy as np
import pytest


@pytest.fixture
def slopes():
    """Return (analytic, numeric) gradients, float64 (B, 3), of the sum of ``function(logits)``."""
    import tensorflow as tf

    def slopes(function, logits, step=1e-5):
        logits = np.asarray(logits, np.float64)
        variable = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(variable)
            value = function(variable)
        numeric = np.empty_like(logits)
        for place in np.ndindex(logits.shape):
            shift = np.zeros_like(logits)
            shift[place] = step
            above, below = (np.sum(np.asarray(function(tf.constant(logits + s)))) for s in (shift, -shift))
            numeric[place] = (above - below) / (2 * step)
        return tape.gradient(value, variable).numpy(), numeric

    return slopes
