"""A sweep directory: finished chunks on disk, so that a killed sweep goes on where it was."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simengine.backtest.chunk import BLOCKS, COLUMNS, ChunkResult
from simengine.errors import RunError
from simengine.log import FIELDS, event, get_logger
from simengine.rundir import DONE, to_json, write_json, write_npz, write_text_atomic, writing

SWEEP = "sweep.json"
CHUNKS = "chunks"
TABLE = "table.csv"
OVERFITTING = "overfitting.json"

logger = get_logger(__name__)

# What NumPy and zipfile raise for a file that is torn, damaged, or something else altogether.
_DAMAGED = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class SweepStore:
    """The directory of one sweep.

    Parameters
    ----------
    path : Path
        Holds ``sweep.json`` (what is swept), ``chunks/00000.npz`` and so on, and once it is done
        ``table.csv``, ``overfitting.json`` and ``DONE``.
    digest : bytes
        sha256 of what is swept; every chunk carries it.
    """

    path: Path
    digest: bytes

    @classmethod
    def open(cls, path: Path, identity: Mapping[str, Any], *, resume: bool) -> SweepStore:
        """Start a sweep in a new directory, or open one that was started.

        Parameters
        ----------
        path : Path
            New or empty; with ``resume`` the directory of a sweep.
        identity : mapping
            What is swept, as plain data.
        resume : bool
            Whether to go on with what is there.

        Raises
        ------
        RunError
            A directory that holds something, one that holds no sweep, or one of another sweep, naming
            what differs.
        """
        text = to_json(identity)
        if resume:
            _check_same(path, json.loads(text))
            for left in path.rglob(".*.tmp"):
                left.unlink()
            # Of what was written then: 1 and 1.0 are the same option in other letters.
            return cls(path, hashlib.sha256((path / SWEEP).read_bytes()).digest())
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            taken = any(not item.name.endswith(".tmp") for item in path.iterdir())
        if taken:
            raise RunError(
                f"{path}: is not empty; choose a new folder, or continue the sweep in it with resume"
            )
        write_text_atomic(path / SWEEP, text)
        return cls(path, hashlib.sha256(text.encode()).digest())

    def load(self, number: int, size: int) -> ChunkResult | None:
        """Return a finished chunk of ``size`` variants, or None when it has to be computed.

        A file that is damaged or of another sweep is computed again, and the log says so.
        """
        path = self._chunk(number)
        if not path.is_file():
            return None
        try:
            found = self._read(path, number, size)
        except _DAMAGED as error:
            message = f"{path}: cannot be used ({error}); its variants are simulated again"
            logger.warning(message, extra={FIELDS: {"event": "chunk_recomputed", "chunk": number}})
            return None
        return found

    def save(self, number: int, result: ChunkResult) -> None:
        """Write a finished chunk, whole or not at all."""
        seal = np.frombuffer(self._seal(number, result), np.uint8)
        write_npz(self._chunk(number), {**result._asdict(), "sha256": seal})

    def finish(self, table: str, overfitting: Mapping[str, Any]) -> None:
        """Write the table and the overfitting statistics, then the marker of a finished sweep."""
        write_text_atomic(self.path / TABLE, table)
        write_json(self.path / OVERFITTING, overfitting)
        write_text_atomic(self.path / DONE, "")
        event(logger, "sweep_done", f"{self.path}: finished", directory=str(self.path))

    def _chunk(self, number: int) -> Path:
        return self.path / CHUNKS / f"{number:05d}.npz"

    def _read(self, path: Path, number: int, size: int) -> ChunkResult:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in (*ChunkResult._fields, "sha256")}
        seal = arrays.pop("sha256").tobytes()
        result = ChunkResult(**arrays)
        widths = (len(COLUMNS), BLOCKS, BLOCKS)
        for name, array, width in zip(ChunkResult._fields, result, widths, strict=True):
            if array.dtype != np.float64 or array.shape != (size, width):
                raise ValueError(f"{name} has the shape {array.shape} and the type {array.dtype}")
        if seal != self._seal(number, result):
            raise ValueError("its checksum does not fit")
        return result

    def _seal(self, number: int, result: ChunkResult) -> bytes:
        """Return the checksum of a chunk: of its numbers, its place and the sweep it belongs to."""
        digest = hashlib.sha256(self.digest + number.to_bytes(8, "little"))
        for array in result:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.digest()


def read_identity(path: Path) -> dict[str, Any]:
    """Return what the sweep in a directory was started as.

    Raises
    ------
    RunError
        When there is none, or it cannot be read.
    """
    file = path / SWEEP
    if not file.is_file():
        raise RunError(f"{path}: no sweep directory ({SWEEP} is missing); start it without resume")
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: cannot be read ({error}); start a new sweep") from error
    if not isinstance(stored, dict):
        raise RunError(f"{file}: expected a JSON mapping; start a new sweep")
    return stored


def read_chunk(path: Path) -> int:
    """Return the number of variants per chunk that the sweep in a directory was started with."""
    chunk = read_identity(path).get("chunk")
    if type(chunk) is not int or chunk < 1:
        raise RunError(
            f"{path / SWEEP}: chunk: expected a number of variants, received {chunk!r}; start anew"
        )
    return chunk


def _check_same(path: Path, wanted: dict[str, Any]) -> None:
    """Check that the directory holds the sweep that is asked for."""
    changed = _differences(read_identity(path), wanted)
    if changed:
        raise RunError(
            f"{path}: was started as another sweep: {'; '.join(changed)}; give it what it was "
            "started with, or start a new one"
        )


def _differences(stored: Any, wanted: dict[str, Any], place: str = "") -> list[str]:  # noqa: ANN401
    """Return what differs, one short phrase each; hashes are not shown."""
    if not isinstance(stored, dict):
        return [f"{place} was {json.dumps(stored)}"]
    found = []
    for name in sorted({*stored, *wanted}):
        where = f"{place}.{name}" if place else name
        old, new = stored.get(name), wanted.get(name)
        if old == new:
            continue
        if isinstance(new, dict) and "sha256" not in new:
            found += _differences(old, new, where)
        elif isinstance(new, dict) or name.endswith("sha256"):
            found.append(f"other {where.removesuffix('.sha256')}")
        else:
            found.append(f"{where} was {json.dumps(old)}, is {json.dumps(new)}")
    return found
