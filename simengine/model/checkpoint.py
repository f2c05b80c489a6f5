"""Files of named arrays: safetensors and npz, read without pickle and written whole or not at all."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simengine.errors import SimengineError
from simengine.rundir import write_bytes_atomic, write_npz

Arrays = dict[str, NDArray[Any]]

PICKLED = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}


class CheckpointError(SimengineError, ValueError):
    """A file of weights cannot be read, or its weights do not fit the layer."""


def read_arrays(path: Path | str) -> Arrays:
    """Return the arrays of a ``.safetensors`` or ``.npz`` file by name.

    Arrays of bfloat16, which NumPy does not have, come as float32 of the same values.

    Raises
    ------
    CheckpointError
        When the file is missing, damaged, empty, of another kind, or holds Python objects (pickle).
    """
    path = Path(path)
    reader = {".safetensors": _read_safetensors, ".npz": _read_npz}.get(_suffix(path))
    if reader is None:
        raise CheckpointError(
            f"{path}: expected a .safetensors or .npz file; received {path.suffix or 'none'}"
        )
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; give the path of a .safetensors or .npz file")
    try:
        arrays = reader(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or _line(error)})") from error
    if not arrays:
        raise CheckpointError(f"{path}: holds no arrays; write it anew")
    return arrays


def write_arrays(path: Path | str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as ``.safetensors`` or ``.npz``, atomically; equal arrays give equal bytes.

    Raises
    ------
    CheckpointError
        When the name ends in neither.
    RunError
        When the system refuses to write.
    """
    path = Path(path)
    suffix = _suffix(path)
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    if suffix == ".safetensors":
        from safetensors.numpy import save

        write_bytes_atomic(path, save(contiguous))
    elif suffix == ".npz":
        write_npz(path, contiguous)
    else:
        raise CheckpointError(
            f"{path}: expected a name in .safetensors or .npz; received {path.suffix or 'none'}"
        )


def _suffix(path: Path) -> str:
    """Return the suffix in lower case.

    Raises
    ------
    CheckpointError
        When it is one that PyTorch gives to pickles.
    """
    suffix = path.suffix.lower()
    if suffix in PICKLED:
        raise CheckpointError(
            f"{path}: a pickle can run code, so it is not read; convert it where PyTorch is installed: "
            f"safetensors.torch.save_file(torch.load({path.name!r}, weights_only=True), "
            f"{path.stem + '.safetensors'!r})"
        )
    return suffix


def _line(error: Exception) -> str:
    """Return the first line of an error's text."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _read_npz(path: Path) -> Arrays:
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: not an npz file, or a part of one; save it with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise CheckpointError(f"{path}: damaged npz file ({_line(error)}); copy it again") from error
    except (ValueError, KeyError) as error:
        reason = "Python objects" if "pickle" in str(error) else "what is no array"
        raise CheckpointError(f"{path}: holds {reason}, which is not read; save plain arrays") from error


def _read_safetensors(path: Path) -> Arrays:
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged safetensors file ({_line(error)}); copy it again") from error
    return {name: _as_array(path, name, entry) for name, entry in entries}


def _as_array(path: Path, name: str, entry: Mapping[str, Any]) -> NDArray[Any]:
    if entry["dtype"] == "BF16":
        # The upper half of a float32: shifted back into place, the values are exact.
        halves = np.frombuffer(entry["data"], "<u2").astype(np.uint32)
        return (halves << 16).view(np.float32).reshape(entry["shape"])
    if entry["dtype"] not in DTYPES:
        raise CheckpointError(f"{path}: {name} has the dtype {entry['dtype']}; save it as F32")
    return np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
