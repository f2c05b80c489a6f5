"""The same bytes from the same seed: switches TensorFlow to deterministic operations."""

from __future__ import annotations


def make_deterministic() -> None:
    """Let every TensorFlow operation of this process give the same bytes each time.

    Safe to call again. Kernels without a deterministic form then raise an error instead of running.
    Results may still differ between machines and between TensorFlow versions.
    """
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def seed_libraries(seed: int) -> None:
    """Seed the global generators of Python, NumPy and TensorFlow.

    A Keras layer without a seed of its own draws one from Python's global generator; this makes a
    network reproducible even when its author gave none.
    """
    import keras

    keras.utils.set_random_seed(seed)
