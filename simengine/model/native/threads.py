"""Groups of samples over the processor's cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TypeVar

from simengine.model.native.lanes import LANES

_Result = TypeVar("_Result")

PARTS = 8
"""Parts of a batch. Their gradients are added in order, so results do not depend on the number of threads."""


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="simengine-native")


def thread_count() -> int:
    """Return how many threads TensorFlow may use within one operation."""
    import tensorflow as tf

    chosen = tf.config.threading.get_intra_op_parallelism_threads()
    asked = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    if not chosen and asked.isdigit():
        chosen = int(asked)  # TensorFlow itself reads it, but does not tell; 0 stands for all, as there
    if chosen:
        return int(chosen)
    # Not every system can say which processors this process may use.
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def in_parts(rows: int, function: Callable[[int, int], _Result]) -> list[_Result]:
    """Call ``function(first_group, last_group)`` on parts that cover ``rows`` samples; return all results."""
    groups = -(-rows // LANES)
    parts = min(PARTS, groups)
    bounds = [groups * part // parts for part in range(parts + 1)] if parts else []
    ranges = list(pairwise(bounds))
    threads = min(thread_count(), parts)
    if threads <= 1:
        return [function(first, last) for first, last in ranges]
    return list(_pool(threads).map(lambda part: function(*part), ranges))
