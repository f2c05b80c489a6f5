"""The peak of what NumPy allocates while something runs."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MB = 2**20


@dataclass(slots=True)
class Peak:
    """What was measured; ``mb`` is 0 until the block has ended."""

    mb: float = 0.0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure the peak of Python's and NumPy's allocations within a block, on top of what was there."""
    measured = Peak()
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start(1)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    try:
        yield measured
        measured.mb = round((tracemalloc.get_traced_memory()[1] - before) / MB, 1)
    finally:
        if started:
            tracemalloc.stop()
