"""The same bytes from the same seed: switches TensorFlow to deterministic operations."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from simengine.log import get_logger

logger = get_logger(__name__)


def make_deterministic() -> None:
    """Start TensorFlow and let every operation of this process give the same bytes each time.

    Safe to call again. Kernels without a deterministic form then raise an error instead of running.
    Results may still differ between machines and between TensorFlow versions.
    """
    if "tensorflow" in sys.modules:
        _switch()
        return
    # On a machine without a GPU the first start writes a page of notes about CUDA past every logger.
    with _native_stderr_set_aside():
        _switch()


def _switch() -> None:
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    tf.config.list_logical_devices()


@contextmanager
def _native_stderr_set_aside() -> Iterator[None]:
    """Move what compiled code writes to stderr into the log at debug level; show it when the block fails."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(stderr, aside.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            aside.seek(0)
            logger.debug("TensorFlow's start-up notes:\n%s", aside.read().decode(errors="replace"))


def seed_libraries(seed: int) -> None:
    """Seed the global generators of Python, NumPy and TensorFlow.

    A Keras layer without a seed of its own draws one from Python's global generator; this makes a
    network reproducible even when its author gave none.
    """
    import keras

    keras.utils.set_random_seed(seed)
