"""Run directories: named once, never overwritten, every file written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from simengine.errors import RunError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIG = "config.resolved.yaml"
ORIGIN = "origin.json"
"""Folder that the config's plugin paths start from."""
METRICS = "metrics.json"
DONE = "DONE"
"""Marker file, written last: a directory without it holds an unfinished run."""

_T = TypeVar("_T")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses within the block into one line about ``path``.

    Raises
    ------
    RunError
        With the reason that the system gives.
    """
    try:
        yield
    except OSError as error:
        taken = isinstance(error, FileExistsError)
        reason = f"{error.filename} is a file" if taken else error.strerror or error
        raise RunError(
            f"{path}: cannot be written ({reason}); choose a folder that can be written to"
        ) from error


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    The bytes go to a temporary name in the same folder, are fsynced and renamed over ``path``.

    Raises
    ------
    RunError
        When the system refuses: no such place, no permission, no space left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_bytes_atomic` does."""
    write_bytes_atomic(path, text.encode())


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON values have no narrower type
    """Return ``value`` as JSON can hold it: NumPy to Python, NaN and infinities to None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_json(value: Any) -> str:  # noqa: ANN401
    """Return indented JSON of `plain` (value), ending in a newline."""
    return json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401
    """Write `to_json` (value) atomically."""
    write_text_atomic(path, to_json(value))


def write_npz(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write arrays as an uncompressed npz; equal arrays give equal bytes."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_bytes_atomic(path, buffer.getvalue())


def sha256_file(path: Path) -> str:
    """Return the hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class RunDir:
    """A run directory ``runs/<utc>-<name>-<hash8>/``."""

    path: Path

    @classmethod
    def create(cls, root: Path, name: str, config_hash: str) -> RunDir:
        """Make a new directory; a clash within the same second gets a counter, never an overwrite.

        Raises
        ------
        RunError
            When ``root`` is no folder, or nothing can be written there.
        """
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "run"
        stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{safe}-{config_hash[:8]}"
        with writing(root):
            root.mkdir(parents=True, exist_ok=True)
        for attempt in range(1000):
            path = root / (stem if attempt == 0 else f"{stem}.{attempt}")
            with writing(root), suppress(FileExistsError):
                path.mkdir()
                return cls(path)
        raise RunError(f"{root}: no free name for {stem}; remove old runs of this second")

    @classmethod
    def open(cls, path: Path | str, *, finished: bool = True) -> RunDir:
        """Open an existing run.

        Raises
        ------
        RunError
            When ``path`` is no run directory, or ``finished`` is asked for and the run is not.
        """
        path = Path(path)
        if not os.path.isfile(path / CONFIG):  # Path.is_file raises where a folder may not be looked into
            raise RunError(f"{path}: no run directory ({CONFIG} is missing)")
        if finished and not (path / DONE).is_file():
            raise RunError(
                f"{path}: this run is not finished; continue it with: simengine run --resume {path}"
            )
        return cls(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def has(self, name: str) -> bool:
        """Return whether the file is there (and so complete)."""
        return os.path.isfile(self.path / name)

    def read_json(self, name: str, kind: type = dict) -> Any:  # noqa: ANN401
        """Return the content of a JSON file of the run, a mapping unless ``kind`` says list.

        Raises
        ------
        RunError
            When the file is missing, damaged, or holds something else.
        """
        path = self.path / name
        if not self.has(name):
            raise RunError(f"{self.path}: {name} is missing")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror or error})") from error
        except ValueError as error:  # of JSON, or of UTF-8
            raise RunError(f"{path}: no valid JSON ({error}); restore the file or run again") from error
        if not isinstance(value, kind):
            raise RunError(f"{path}: expected a JSON {kind.__name__}, received {type(value).__name__}")
        return value

    def read_value(self, name: str, key: str, kind: type[_T]) -> _T:
        """Return what a JSON file of the run holds under ``key``.

        Raises
        ------
        RunError
            As `read_json`, and when the key is missing or its value is no ``kind``.
        """
        content = self.read_json(name)
        if not isinstance(value := content.get(key), kind):
            received = type(value).__name__ if key in content else "nothing"
            raise RunError(
                f"{self.path / name}: {key}: expected a {kind.__name__}, received {received}; "
                "restore the file or run again"
            )
        return value

    def discard(self) -> None:
        """Remove the directory and everything in it."""
        shutil.rmtree(self.path)

    def sweep(self) -> None:
        """Remove the temporary files that a killed process left behind."""
        for path in self.path.rglob(".*.tmp"):
            path.unlink()

    def finish(self) -> None:
        """Write the marker of a finished run."""
        write_text_atomic(self.path / DONE, "")
