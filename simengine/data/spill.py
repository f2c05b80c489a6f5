"""Mixed windows as an array on disk, for models that need one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simengine.errors import ConfigError
from simengine.rundir import writing
from simengine.types import Float32Array, IntArray

if TYPE_CHECKING:
    from simengine.data.synthetic import Synthetic
    from simengine.data.windows import WindowSet

MB = 2**20


def mixed(synthetic: Synthetic, train: WindowSet, rows: slice | IntArray) -> Float32Array:
    """Return the windows of some synthetic rows, float32 (B, length, F).

    The window is ``(1 - mix) W_first + mix W_second``, in float32 as inside a graph.
    """
    second = synthetic.mix[rows][:, None, None]
    batch = train.gather(synthetic.first[rows])
    batch *= np.float32(1) - second
    other = train.gather(synthetic.second[rows])
    other *= second
    batch += other
    return batch


def spill(
    synthetic: Synthetic,
    train: WindowSet,
    path: Path,
    *,
    lags: int | None = None,
    with_train: bool = True,
    memory_budget_mb: int = 64,
) -> np.memmap[Any, np.dtype[np.float32]]:
    """Write windows, flattened, to a ``.npy`` file and return it mapped into memory, read only.

    Only a chunk of windows is in memory at a time. The file is written under a temporary name, fsynced and
    renamed; labels of its rows are `Synthetic.labels`.

    Parameters
    ----------
    synthetic : Synthetic
        m rows of ``train``.
    train : WindowSet
        n windows.
    path : Path
        Of the file; one that is there is replaced.
    lags : int, optional
        Use the last bars of each window only; all of them by default.
    with_train : bool
        Write the n train windows first, so that the array has n + m rows; otherwise m.
    memory_budget_mb : int
        Of a chunk.

    Returns
    -------
    float32 memory map, shape (n + m or m, lags * F)
        A row is a window bar by bar, the oldest first.

    Raises
    ------
    ConfigError
        When ``lags`` is not within the window, or the budget does not hold one window.
    RunError
        When the file cannot be written.
    """
    bars = train.length if lags is None else lags
    if not 1 <= bars <= train.length:
        raise ConfigError(f"spill: lags must be 1 to the window length {train.length}; received {bars}")
    windows = replace(train, length=bars)
    width = bars * train.n_features
    chunk = memory_budget_mb * MB // (width * 4 * 2 + bars * 8 * 2)
    if chunk < 1:
        raise ConfigError(
            f"spill: memory_budget_mb {memory_budget_mb} does not hold one window of {bars} bars; raise it"
        )
    own = len(train) if with_train else 0
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as stream:
                header = {"descr": "<f4", "fortran_order": False, "shape": (own + len(synthetic), width)}
                np.lib.format.write_array_header_1_0(stream, header)
                for start in range(0, own, chunk):
                    stream.write(windows.gather(slice(start, start + chunk)).astype("<f4", copy=False).data)
                for start in range(0, len(synthetic), chunk):
                    batch = mixed(synthetic, windows, slice(start, start + chunk))
                    stream.write(batch.astype("<f4", copy=False).data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    mapped: np.memmap[Any, np.dtype[np.float32]] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
