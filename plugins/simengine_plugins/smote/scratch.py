"""Parts of a synthesis that survive a kill."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simengine.data.neighbours.query import Array
from simengine.data.synthetic import SmoteTask
from simengine.log import event, get_logger
from simengine.rundir import write_npz

logger = get_logger("simengine.smote")

_IDENTITY = "identity"
_VERSION = "1"  # of what the arrays mean


@dataclass(frozen=True, slots=True)
class Scratch:
    """Named sets of arrays in a folder, each one file that is replaced as a whole.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    identity : str
        `identity` of the task; files of another one are put aside, with a line in the log.
    """

    folder: Path | None
    identity: str

    def load(self, name: str) -> dict[str, Array] | None:
        """Return the arrays kept under a name, or None."""
        path = self._path(name)
        if path is None or not path.is_file():
            return None
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                arrays = {key: stored[key] for key in stored.files}
            found = arrays.pop(_IDENTITY).tobytes().decode()
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            event(logger, "smote_scratch_discarded", f"smote: {path} cannot be read ({error}); starting anew")
            return None
        if found != self.identity:
            message = f"smote: {path} belongs to other data or options; starting anew"
            event(logger, "smote_scratch_discarded", message)
            return None
        return arrays

    def save(self, name: str, arrays: Mapping[str, Array]) -> None:
        """Keep arrays under a name."""
        path = self._path(name)
        if path is not None:
            own = np.frombuffer(self.identity.encode(), dtype=np.uint8)
            write_npz(path, {**arrays, _IDENTITY: own})

    def drop(self, name: str) -> None:
        """Forget what is kept under a name."""
        path = self._path(name)
        if path is not None:
            with suppress(FileNotFoundError):
                path.unlink()

    def part(self, name: str) -> Part:
        """Return the place of one part of the work."""
        return Part(self, name)

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.npz"


@dataclass(frozen=True, slots=True)
class Part:
    """One name of a `Scratch`, as a search keeps its state."""

    scratch: Scratch
    name: str

    def load(self) -> dict[str, Array] | None:
        """Return what is kept, or None."""
        return self.scratch.load(self.name)

    def save(self, arrays: Mapping[str, Array]) -> None:
        """Keep arrays in place of those kept before."""
        if self.scratch.folder is not None:
            self.scratch.save(self.name, arrays)


def identity(task: SmoteTask, options: Mapping[str, object]) -> str:
    """Return the sha256 of everything that the synthetic rows depend on."""
    train = task.train
    digest = hashlib.sha256(json.dumps([_VERSION, task.seed, train.length, dict(options)]).encode())
    digest.update(json.dumps(train.matrix.shape).encode())
    for array in (train.matrix, train.ends, train.labels, train.groups):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
